"""Clouds by name, another model at the same cloud, and where a key may go."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from hybrid_cli.exit_status import Failure
from hybrid_cli.profile.check import every_mistake
from hybrid_cli.profile.cloud_section import Cloud, Key
from hybrid_cli.profile.clouds import CLOUDS, CloudName, is_cloud_model
from hybrid_cli.profile.origin import is_loopback, origin_of
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.ui.environment import Environment
from hybrid_process import Hybrid
from scripted_cloud import ScriptedCloud

OPENAI = "https://api.openai.com/v1"
KEY = Key(env="OPENAI_API_KEY")
Write = Callable[..., Path]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.chdir(tmp_path)
    return Environment(None, None, io.StringIO(), {"HYBRID_HOME": str(tmp_path / "home")})


def cloud_of(world: Environment, path: Path | None = None, **flags: Any) -> Cloud:
    cloud = merge_policy(Flags(profile=None if path is None else str(path), **flags), world).cloud
    assert cloud is not None
    return cloud


def test_each_known_cloud_has_a_safe_url_and_a_key_of_its_own(world: Environment, profile: Write) -> None:
    assert tuple(CLOUDS) == get_args(CloudName)
    for name, known in CLOUDS.items():
        cloud = cloud_of(world, profile(f"cloud: {{use: {name}, model: m}}\n"))
        assert cloud.base_url == known.base_url and origin_of(cloud.base_url)
        assert cloud.key == (Key(env=known.key) if known.key else None)
        assert (cloud.key is None) == is_loopback(cloud.base_url)
    keys = [known.key for known in CLOUDS.values() if known.key]
    assert len(set(keys)) == len(keys)


def test_another_model_keeps_the_server_and_the_key_of_the_same_layer(
    world: Environment, profile: Write
) -> None:
    """Prices, limits and effort are those of the model, so that another one does not get them."""
    cloud = cloud_of(world, profile("extends: default\ncloud: {model: gpt-5}\n"))
    assert (cloud.base_url, cloud.key, cloud.model) == (OPENAI, KEY, "gpt-5")
    assert (cloud.prices, cloud.max_tokens, cloud.reasoning_effort) == (None, None, None)
    cloud = cloud_of(world, profile("extends: default\ncloud: {retries: 0}\n"))
    assert (cloud.model, cloud.retries, cloud.prices is None) == ("gpt-5-mini", 0, False)
    cloud = cloud_of(world, profile("extends: default\ncloud: {base_url: https://a.example/v1, model: m}\n"))
    assert (cloud.base_url, cloud.key) == ("https://a.example/v1", None)
    cloud = cloud_of(world, profile("extends: default\ncloud: {use: groq, model: m}\n"))
    assert cloud.key == Key(env="GROQ_API_KEY")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cloud: {use: groq}\n", ":2: cloud: needs `model`, the model's name at that server"),
        ("cloud: {model: m}\n", ":2: cloud: needs `use`, such as openai, or `base_url`"),
        ("extends: offline\ncloud: {model: m}\n", "sets no cloud to inherit"),
        (
            "cloud: {use: groq, model: m, base_url: https://a.example}\n",
            ":2: cloud.use: set `use` or `base_url`, not both",
        ),
        ("cloud: {use: grok, model: m}\n", ":2: cloud.use: unknown value `grok`; did you mean `groq`?"),
    ],
)
def test_a_cloud_that_is_not_whole(text: str, expected: str, world: Environment, profile: Write) -> None:
    (mistake,) = every_mistake(profile(text), world)
    assert expected in mistake


def test_the_options_choose_a_cloud_for_one_run(world: Environment) -> None:
    cloud = cloud_of(world, cloud_model="gpt-5")
    assert (cloud.base_url, cloud.key, cloud.model, cloud.prices) == (OPENAI, KEY, "gpt-5", None)
    cloud = cloud_of(world, cloud="mistral", cloud_model="mistral-small-latest")
    assert (cloud.base_url, cloud.key) == (CLOUDS["mistral"].base_url, Key(env="MISTRAL_API_KEY"))
    cloud = cloud_of(world, cloud="https://a.example/v1", cloud_model="m")
    assert (cloud.base_url, cloud.key) == ("https://a.example/v1", None)
    value = merge_policy(Flags(cloud_model="gpt-5"), world).values["cloud"]
    assert value.layer == "--cloud-model; server and key: profile `default`"
    for flags, expected in (
        ({"cloud": "groq"}, "--cloud needs the model's name"),
        (
            {"cloud": "grok", "cloud_model": "m"},
            r"--cloud: no known cloud is named `grok`; did you mean `groq`\?$",
        ),
        ({"cloud": "nowhere", "cloud_model": "m"}, "named `nowhere`; known: openai, .*; or give the URL$"),
        (
            {"cloud": "ftp://a.example", "cloud_model": "m"},
            r"^cloud: base_url: `ftp://a.example` is not an origin; write it like https://api.openai.com$",
        ),
        ({"cloud": "http://a.example/v1", "cloud_model": "m"}, "is not encrypted"),
        (
            {"cloud": "http://0.0.0.0:11434/v1", "cloud_model": "m"},
            "use 127.0.0.1 for a server on this machine",
        ),
        ({"cloud_model": "m", "profile": "offline"}, "the profile sets none"),
    ):
        with pytest.raises(Failure, match=expected):
            merge_policy(Flags(**flags), world)


def test_a_server_on_this_machine_costs_nothing_and_gets_no_key(
    hybrid: Hybrid, cloud: ScriptedCloud, tmp_path: Path
) -> None:
    """The limits in USD of the profile need no prices for it, and the consent is asked for as ever."""
    options = ("--cloud", f"{cloud.origin}/v1", "--cloud-model", "mine", "--json", "hi")
    variables = {"OPENAI_API_KEY": "sk-canary", "cwd": tmp_path}
    done = hybrid("run", "-p", "cloud", *options, HYBRID_CONSENT=cloud.origin, **variables)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["cost_usd"], answer["answered_by"]) == (0.0, "cloud")
    (request,) = cloud.received
    assert (request.body["model"], "authorization" in request.headers) == ("mine", False)
    assert hybrid("run", "-p", "cloud", *options, **variables).returncode == 3
    assert hybrid("run", "-p", "offline", *options, HYBRID_CONSENT=cloud.origin, **variables).returncode == 0
    assert len(cloud.received) == 1  # forbid beats the options


def test_a_cloud_model_after_m_is_told_the_right_option(hybrid: Hybrid) -> None:
    done = hybrid("run", "-m", "gpt-5-mini", "-p", "offline", "hi")
    assert (
        b"`gpt-5-mini` is a cloud model; to choose the cloud's model: --cloud-model gpt-5-mini" in done.stderr
    )
    local = ["qwen3-4b", "gpt-oss-20b", "deepseek-r1-7b", "phi-4-mini", "mistral-7b", "o1x"]
    hosted = [
        "gpt-5-mini",
        "openai/gpt-4o",
        "o3",
        "o4-mini",
        "claude-sonnet-4-5",
        "gemini-2.5-flash",
        "deepseek-chat",
    ]
    assert [name for name in local + hosted if is_cloud_model(name)] == hosted


def test_the_table_of_the_documents_is_the_datas() -> None:
    page = (Path(__file__).parents[2] / "docs" / "clouds.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(\S+)` \| `?(\w+)`? \|$", page, re.MULTILINE)
    assert rows == [(name, known.base_url, known.key or "none") for name, known in CLOUDS.items()]
