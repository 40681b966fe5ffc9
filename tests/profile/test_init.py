"""`hybrid init`, and `hybrid profile check` on a file with mistakes of every kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest
import yaml

from hybrid_process import Hybrid, environment

TWELVE = """\
version: 1
extends: nowhere
local: {model: qwen3-4x, thread: 2}
cloud:
  use: groq
  key: sk-abcdefghijklmnopqrstuvwx
  prices: {input: cheap, output: 1}
  timeouts: 5
escalation:
  mode: on
  target: {threshold: 2}
  rules: [{when: {matches: '('}, then: forbid}]
checks: {schema: nowhere.json}
privacy: {redact: [emial]}
limits: {seconds: 1, seconds: 2}
log: {}
"""
EXPECTED = [
    "2: extends: no profile `nowhere`; use a path or one of ci, cloud, default, ",
    "3: local.thread: unknown key; did you mean `threads`?",
    "3: local.model: no model `qwen3-4x`; did you mean `qwen3-4b`?",
    "4: cloud: needs `model`, the model's name at that server",
    "6: cloud.key: never the key itself; write {env: OPENAI_API_KEY}",
    "7: cloud.prices.input: must be a number from 0 to 1000000, not `cheap`",
    "8: cloud.timeouts: must be a section; its keys are connect, silent, answer, not `5`",
    '10: YAML readers disagree whether `on` is a boolean; write true, false or "on"',
    "11: escalation.target.threshold: must be a number from 0 to 1, not `2`",
    "12: escalation.rules.0.when.matches: ",
    "13: checks.schema: no such file: ",
    "14: privacy.redact.0: unknown value `emial`; did you mean `email`?",
    "15: `seconds` is set twice",
]


def test_mistakes_of_every_kind_are_told_at_once(
    hybrid: Hybrid, profile: Callable[..., Path], tmp_path: Path
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(TWELVE)
    done = hybrid("profile", "check", path)
    found = [line.removeprefix(f"{path}:") for line in done.stdout.decode().splitlines()]
    assert done.returncode == 2
    assert [line.startswith(start) for line, start in zip(found, EXPECTED, strict=True)] == [True] * 13, found
    assert not any(word in done.stdout for word in (b"Expected", b"sk-abc", b"null", b"str"))
    (tmp_path / "tabs.yaml").write_text("version: 1\nlocal:\n\tmodel: default\n")
    assert (
        b":3: YAML is indented with spaces, not tabs"
        in hybrid("profile", "check", tmp_path / "tabs.yaml").stdout
    )
    clear = profile("cloud: sk-abcdefghijklmnopqrstuvwx\n", "clear.yaml")
    done = hybrid("profile", "check", clear)
    assert b":2: cloud: must be a section, such as {use: openai, model: gpt-5-mini}" in done.stdout
    assert b"sk-abc" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "file", "expected", "told"),
    [
        ((), "profile.yaml", {"model": "default", "cloud": None, "mode": "auto"}, "wrote "),
        (
            ("--cloud", "groq", "--cloud-model", "openai/gpt-oss-120b", "--usd-per-day", "0.5"),
            "profile.yaml",
            {"model": "default", "cloud": {"use": "groq", "model": "openai/gpt-oss-120b"}, "mode": "auto"},
            "to allow handoffs: hybrid consent grant https://api.groq.com",
        ),
        (
            ("--cloud", "https://a.example/v1", "--cloud-model", "m"),
            "profile.yaml",
            {"model": "default", "cloud": {"base_url": "https://a.example/v1", "model": "m"}, "mode": "auto"},
            "if the server needs a key, add `key: {env: VARIABLE}` below `cloud` in ",
        ),
        (
            (
                "--name",
                "work",
                "--model",
                "qwen3-4b",
                "--cloud",
                "http://127.0.0.1:9/v1",
                "--cloud-model",
                "a: b #",
            ),
            "profiles/work.yaml",
            {
                "model": "qwen3-4b",
                "cloud": {"base_url": "http://127.0.0.1:9/v1", "model": "a: b #"},
                "mode": "auto",
            },
            "to use it: hybrid run -p work",
        ),
    ],
)
def test_a_profile_by_options_is_valid_and_used(
    arguments: tuple[str, ...], file: str, expected: dict[str, object], told: str, hybrid: Hybrid, home: Path
) -> None:
    done = hybrid("init", *arguments)
    assert (done.returncode, told in done.stderr.decode()) == (0, True), done.stderr
    path = home / "config" / file
    data = yaml.safe_load(path.read_text())
    found = {"model": data["local"]["model"], "cloud": data.get("cloud"), "mode": data["escalation"]["mode"]}
    assert found == expected
    assert hybrid("profile", "check", path).returncode == 0
    assert hybrid("profile", "explain", *(("-p", "work") if "--name" in arguments else ())).returncode == 0
    before = path.read_bytes()
    again = hybrid("init", *arguments, "--escalation", "ask")
    assert (again.returncode, path.read_bytes()) == (1, before)
    assert b"exists; edit it, or write another profile" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--model", "qwen3-4x"), "did you mean `qwen3-4b`?"),
        (("--cloud", "groq"), "--cloud and --cloud-model belong together"),
        (("--cloud", "grok", "--cloud-model", "m"), "no known cloud is named `grok`; did you mean `groq`?"),
        (("--cloud", "nowhere", "--cloud-model", "m"), "known: openai, "),
        (("--cloud", "http://a.example", "--cloud-model", "m"), "is not encrypted"),
        (("--name", "../x"), "--name must be letters"),
        (("--name", "offline"), "`offline` is a profile that hybrid includes; choose another name"),
        (("--name", "default"), "`default` is a profile that hybrid includes; choose another name"),
    ],
)
def test_a_wrong_choice_writes_nothing(
    arguments: tuple[str, ...], told: str, hybrid: Hybrid, home: Path
) -> None:
    done = hybrid("init", *arguments)
    assert (done.returncode, told in done.stderr.decode()) == (2, True), done.stderr
    assert list(home.rglob("config/**/*.yaml")) == []


def test_a_terminal_is_asked_for_model_and_cloud(command: str, home: Path) -> None:
    child = pexpect.spawn(command, ["init"], env=environment(home), timeout=60)  # type: ignore[arg-type]
    for question, answer in (
        ("local model", ""),
        ("cloud: openai, ", "mistral"),
        ("model at mistral", "mistral-small"),
    ):
        child.expect(question)
        child.sendline(answer)
    child.expect("export MISTRAL_API_KEY")
    child.expect(pexpect.EOF)
    data = yaml.safe_load((home / "config" / "profile.yaml").read_text())
    assert data["cloud"] == {"use": "mistral", "model": "mistral-small"}


def test_the_list_shows_what_a_run_would_do(hybrid: Hybrid, home: Path) -> None:
    hybrid("init", "--model", "smollm2-135m", "--cloud", "ollama", "--cloud-model", "llama3")
    rows = {
        line.split("\t")[0]: line.split("\t") for line in hybrid("profile", "ls").stdout.decode().splitlines()
    }
    assert rows["default"][1:5] == ["*", "auto", "smollm2-135m", "llama3"]
    assert rows["offline"][2:5] == ["forbid", "smollm2-135m", ""]
    (home / "config" / "profile.yaml").write_text("version: 1\nescalation: {mode: forbid}\n")
    rows = {
        line.split("\t")[0]: line.split("\t") for line in hybrid("profile", "ls").stdout.decode().splitlines()
    }
    assert rows["default"][2] == "forbid"
    assert rows["cloud"][2] == "denied"
