"""Clouds that send arbitrary bytes at any pace."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hybrid_cli.ledger.database import Ledger
from hybrid_process import Hybrid
from raw_server import sending

Profile = Callable[..., Path]
FORCE = "escalation: {mode: force}\n"
OPENED = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nConnection: close\r\n"
STREAM = OPENED % (b"200 OK", b"text/event-stream")
REFUSAL = OPENED % (b"400 Bad Request", b"application/json")


def event(**data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def chunk(text: str, reason: str | None = None) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": reason}])


def section(origin: str, more: str = "") -> str:
    return f'cloud: {{base_url: "{origin}/v1", model: m, retries: 0, timeouts: {{silent: 1, answer: 2}}{more}}}\n'


@pytest.mark.parametrize(
    ("pieces", "pause", "holds", "code", "told"),
    [
        pytest.param(
            [STREAM + b"\r\n", *[b": still here\n\n"] * 99], 0.2, False, 5, "did not end its answer in 2 s",
            id="a stream of comments",
        ),
        pytest.param(
            [STREAM, b"X-Slow: ", *[b"a"] * 99], 0.2, False, 5, "did not begin its answer in 1 s",
            id="slow headers",
        ),
        pytest.param(
            [*[bytes([one]) for one in STREAM]], 0.2, False, 5, "did not begin its answer in 1 s",
            id="a slow status line",
        ),
        pytest.param(
            [STREAM + b"Transfer-Encoding: chunked\r\n\r\n", *[b"0"] * 99], 0.2, False, 5,
            "did not end its answer in 2 s", id="a slow length of a chunk",
        ),
        pytest.param(
            [STREAM + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:3], *[bytes(1)] * 99], 0.2, False, 5,
            "did not end its answer in 2 s", id="a slow head of compressed text",
        ),
        pytest.param(
            [REFUSAL + b"Content-Length: 99\r\n\r\n", *[b" "] * 99], 0.2, False, 1, "refused the request: 400",
            id="a slow refusal",
        ),
        pytest.param(
            [REFUSAL + b"Content-Length: 99\r\n\r\n{"], 0, True, 1, "refused the request: 400",
            id="a refusal that stalls",
        ),
        pytest.param(
            [REFUSAL + b"Content-Length: 99\r\n\r\n{"], 0, False, 1, "refused the request: 400",
            id="a refusal that breaks off",
        ),
        pytest.param(
            [STREAM + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"data: " + b" " * 40_000_000)],
            0, False, 5, "sent over 32 MB",
            id="much in a small parcel",
        ),
        pytest.param(
            [STREAM + b"Content-Encoding: gzip\r\n\r\n" + chunk("plain", "stop")],
            0, False, 5, "sent a stream whose compression is broken",
            id="plain text that is called compressed",
        ),
        pytest.param(
            [STREAM + b"\r\n" + chunk("Half") + event(error={"message": "no\x1b[31m", "code": "overloaded"})],
            0, False, 5, "reported an error in its stream (overloaded)",
            id="an error in the stream",
        ),
        pytest.param(
            [STREAM + b"\r\n" + event(error={"message": "no", "code": 502})],
            0, False, 5, "reported an error in its stream (502)",
            id="an error with a number",
        ),
    ],
)  # fmt: skip
def test_any_bytes_give_one_line_and_a_ledger_row(
    hybrid: Hybrid,
    home: Path,
    profile: Profile,
    pieces: Sequence[bytes],
    pause: float,
    holds: bool,
    code: int,
    told: str,
) -> None:
    with sending(pieces, pause, holds=holds) as origin:
        path = profile(section(origin) + FORCE)
        done = hybrid("run", "-q", "-p", path, "hi", HYBRID_CONSENT=origin)
    assert (done.returncode, done.stdout) == (code, b"")
    assert done.stderr.decode().startswith(f"hybrid: the cloud at {origin}/v1 {told}")
    assert done.stderr.count(b"\n") == 1
    (row,) = Ledger(home / "state").rows()
    assert row["outcome"] == ("refused" if code == 1 else "unknown")


def test_a_lone_surrogate_in_an_answer_is_replaced(hybrid: Hybrid, home: Path, profile: Profile) -> None:
    with sending([STREAM + b"\r\n" + chunk("a\ud800b", "stop")]) as origin:
        done = hybrid("run", "-p", profile(section(origin) + FORCE), "hi", HYBRID_CONSENT=origin)
    assert (done.returncode, done.stdout) == (0, b"a?b\n"), done.stderr
    (row,) = Ledger(home / "state").rows()
    assert row["outcome"] == "answered"


@pytest.mark.parametrize("where", ["status", "stream"])
def test_a_key_that_the_cloud_repeats_is_not_shown(hybrid: Hybrid, profile: Profile, where: str) -> None:
    key = "sk-canary-0a1b2c3d0a1b2c3d"
    error = {"error": {"message": "no", "code": key}}
    refusal = OPENED % (b"401 Unauthorized", b"application/json") + b"\r\n" + json.dumps(error).encode()
    with sending([refusal if where == "status" else STREAM + b"\r\n" + event(**error)]) as origin:
        path = profile(section(origin, ", key: {env: CANARY}") + FORCE)
        done = hybrid("run", "-v", "-p", path, "hi", HYBRID_CONSENT=origin, CANARY=key)
    assert done.returncode == (4 if where == "status" else 5)
    assert key.encode() not in done.stderr


@pytest.mark.parametrize(
    ("status", "path", "code", "told"),
    [
        (b"404 Not Found", "/v1", 1, "is `m` one of its models?"),
        (b"404 Not Found", "", 1, "should base_url end in /v1, as in {origin}/v1?"),
        (b"404 Not Found", "/openai", 1, "should base_url end in /v1, as in {origin}/openai/v1?"),
        (b"402 Payment Required", "/v1", 8, "add credit there"),
    ],
)
def test_a_refusal_hints_at_what_to_check(
    hybrid: Hybrid, profile: Profile, status: bytes, path: str, code: int, told: str
) -> None:
    with sending([OPENED % (status, b"application/json") + b"\r\n{}"]) as origin:
        text = section(origin).replace(f"{origin}/v1", f"{origin}{path}")
        done = hybrid("run", "-p", profile(text + FORCE), "hi", HYBRID_CONSENT=origin)
    assert done.returncode == code
    assert told.format(origin=origin) in done.stderr.decode()


def test_without_credit_the_fallback_is_asked(hybrid: Hybrid, profile: Profile) -> None:
    with (
        sending([OPENED % (b"402 Payment Required", b"application/json") + b"\r\n{}"]) as poor,
        sending([STREAM + b"\r\n" + chunk("rich", "stop")]) as rich,
    ):
        other = f', fallbacks: [{{base_url: "{rich}/v1", model: other}}]'
        path = profile(section(poor, other) + FORCE)
        done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=f"{poor},{rich}")
    assert (done.returncode, done.stdout) == (0, b"rich\n"), done.stderr
