"""hybrid against servers of other projects, which check keys, inject faults and validate requests."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hybrid_process import Hybrid
from server_process import served

Profile = Callable[..., Path]
FORCE = "escalation: {mode: force}\n"


@pytest.fixture(scope="module")
def katan() -> Iterator[str]:
    """Start llm-katan's echo server, which checks keys; yield its origin."""
    program = Path(sys.executable).parent / "llm-katan"
    keys = ["--validate-keys", "--api-keys", "openai=k-right"]
    with served([program, "--model", "echo", "--backend", "echo", *keys], "/health") as origin:
        yield origin


@pytest.mark.parametrize(("key", "code"), [("k-right", 0), ("k-wrong", 4), ("", 4)])
def test_a_server_that_checks_keys(hybrid: Hybrid, katan: str, profile: Profile, key: str, code: int) -> None:
    path = profile(f'cloud: {{base_url: "{katan}/v1", model: echo, key: {{env: THE_KEY}}}}\n{FORCE}')
    done = hybrid("run", "-p", path, "--json", "hello there", HYBRID_CONSENT=katan, THE_KEY=key)
    assert done.returncode == code, done.stderr
    if code == 0:
        assert "hello there" in json.loads(done.stdout)["answer"]
    assert b"k-wrong" not in done.stderr


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_llmock_accepts_the_requests(hybrid: Hybrid, llmock: Any, profile: Profile, api: str) -> None:
    origin = llmock.url.rstrip("/")
    path = profile(f'cloud: {{base_url: "{llmock.base_url()}", model: gpt-5-mini, api: {api}}}\n{FORCE}')
    llmock.rate_limit(times=1, retry_after=1)
    done = hybrid("run", "-p", path, "--json", "hi", HYBRID_CONSENT=origin)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["answer"]
    assert answer["usage"]["cloud"]["out"] > 0
    assert len(json.loads(hybrid("usage", "--export").stdout)["requests"]) == 2
    llmock.assert_resilient()


@pytest.mark.parametrize("fault", ["truncate", "corrupt", "disconnect"])
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_broken_stream_is_never_an_answer(
    hybrid: Hybrid, llmock: Any, profile: Profile, api: str, fault: str
) -> None:
    origin = llmock.url.rstrip("/")
    section = f'cloud: {{base_url: "{llmock.base_url()}", model: gpt-5-mini, api: {api}, retries: 0}}\n'
    getattr(llmock, fault)()
    done = hybrid("run", "-p", profile(section + FORCE), "hi", HYBRID_CONSENT=origin)
    assert (done.returncode, done.stdout) == (5, b""), done.stderr
