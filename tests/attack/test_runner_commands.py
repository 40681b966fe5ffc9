"""Text that a user or a repository chose gives no CI runner a command, whichever command of hybrid repeats it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hybrid_cli.ui.ci import json_without_runner_commands, without_runner_commands
from hybrid_process import Hybrid
from loopback_hub import gguf
from scripted_cloud import ScriptedCloud

Profile = Callable[..., Path]
COMMAND = re.compile(rb"##\w*\[|^\s*::|\r|\x1b|section_(?:start|end):\d+:[^\n]*\r", re.MULTILINE)
"""What Azure Pipelines, GitHub Actions, TeamCity and GitLab look for."""
HOSTILE = "##vso[task.setvariable variable=a]b ##[group]c ##teamcity[d]"
LINES = f"a\n::error::b\r::set-output name=c::d\r\x1b[0Ksection_start:1:e\r\x1b[0K {HOSTILE}"
CI = {"CI": "true", "GITHUB_ACTIONS": "true"}


def test_json_of_every_command_holds_no_runner_command(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, tmp_path: Path
) -> None:
    folder = tmp_path / HOSTILE
    folder.mkdir()
    (folder / "m.gguf").write_bytes(gguf())
    (folder / "p.yaml").write_text(f"version: 1\nlocal: {{model: '{folder / 'm.gguf'}'}}\n")
    (folder / "d.jsonl").write_text(json.dumps({"prompt": HOSTILE, "answer": HOSTILE, "kind": "text"}) + "\n")
    section = cloud.section().replace("model: scripted", f"model: '{HOSTILE}'")
    sent = profile(section + "escalation: {mode: force}\n")
    done = hybrid("run", "-p", sent, "hi", HYBRID_CONSENT=cloud.origin, **CI)
    assert done.returncode == 0, done.stderr
    found = 0
    for arguments in (
        ["pull", folder / "m.gguf", "--name", "odd", "--json"],
        ["models", "ls", "--json"],
        ["models", "show", "odd", "--json"],
        ["models", "verify", folder / "m.gguf", "--json"],
        ["profile", "explain", "-p", folder / "p.yaml", "--json"],
        ["doctor", "-p", folder / "p.yaml", "--json"],
        ["usage", "--json", "--by", "model"],
        ["usage", "--csv", "--by", "model"],
        ["usage", "--export"],
        ["usage", "--by", "model"],
        ["eval", folder / "d.jsonl", "--dry-run", "--json"],
        ["run", "-p", folder / "p.yaml", "--dry-run", "--json", HOSTILE],
        ["pipe", "-p", folder / "p.yaml", "--dry-run", "--jsonl", HOSTILE],
    ):
        own = {"HYBRID_HOME": str(tmp_path / "own")} if arguments[0] in ("pull", "models") else {}
        done = hybrid(*arguments, stdin=HOSTILE.encode(), **CI, **own)
        assert not COMMAND.findall(done.stdout + done.stderr), (arguments, done.stdout, done.stderr)
        is_json = "--csv" not in arguments and arguments != ["usage", "--by", "model"]
        for line in done.stdout.decode().splitlines() if is_json and "--export" not in arguments else ():
            found += HOSTILE[:40] in json.dumps(json.loads(line))
    assert found >= 4  # the value of JSON is as it was
    assert (
        HOSTILE.encode() in hybrid("usage", "--json", "--by", "model").stdout
    )  # outside of CI nothing changes


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", f"--{LINES}"],
        [LINES],
        ["models", "show", LINES],
        ["models", "verify", LINES, "--json"],
        ["models", "rm", LINES],
        ["profile", "show", LINES],
        ["profile", "check", f"./{LINES}.yaml"],
        ["profile", "explain", "-p", LINES, "--json"],
        ["consent", "grant", f"https://{LINES}"],
        ["consent", "revoke", LINES],
        ["doctor", "-p", LINES, "--json"],
        ["eval", LINES, "--json"],
        ["calibrate", LINES, "--json"],
        ["pull", LINES],
        ["pull", f"hf:{LINES}"],
        ["pull", f"https://{LINES}/m.gguf"],
        ["help", LINES],
        ["completion", LINES],
        ["run", "--schema", LINES, "hi"],
        ["run", "--schema", json.dumps({"type": LINES}), "hi"],
        ["run", "-m", LINES, "hi"],
        ["run", "-o", f"/none/{LINES}", "hi"],
        ["run", "--timeout", LINES, "hi"],
        ["pipe", LINES, f"/none/{LINES}"],
        ["pipe", "x", "--key", LINES, "--jsonl", "--resume", f"/none/{LINES}"],
        ["init", LINES],
        ["usage", "--since", LINES],
    ],
    ids=lambda arguments: " ".join(arguments)[:14],
)
def test_messages_hold_no_runner_command(hybrid: Hybrid, tmp_path: Path, arguments: list[str]) -> None:
    done = hybrid(*arguments, cwd=tmp_path, **CI)
    assert done.returncode != 0
    assert not COMMAND.findall(done.stdout + done.stderr), (done.stdout, done.stderr)


def test_a_repositorys_profile_gives_no_command(hybrid: Hybrid, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    for text in (f"{json.dumps(HOSTILE)}: 1\n", f"version: 1\nescalation: {{mode: {json.dumps(LINES)}}}\n", f"version: 1\nlocal: {{model: {json.dumps(LINES)}}}\n", f"version: 1\nextends: {json.dumps(LINES)}\n"):  # fmt: skip
        (tmp_path / ".hybrid.yaml").write_text(text)
        for arguments in (
            ["run", "hi"],
            ["profile", "check"],
            ["profile", "explain", "--json"],
            ["doctor", "--json"],
        ):
            done = hybrid(*arguments, cwd=tmp_path, **CI)
            assert not COMMAND.findall(done.stdout + done.stderr), (text, done.stdout, done.stderr)


@pytest.mark.parametrize("unseen", ["\u200b", "\ufeff", "\u00ad", "\u2060", "\ufe0f", "\u202e"])
def test_characters_that_runners_ignore_hide_no_command(unseen: str) -> None:
    """A comparison by the rules of a language, as in .NET, ignores characters without a width."""
    for text in (f"{unseen}::error::a", f"a\n {unseen} ::error::a", f":{unseen}:error::a", f"##{unseen}vso[a]", f"#{unseen}#[a]"):  # fmt: skip
        shown = without_runner_commands(text)
        seen = re.sub(f"[{unseen}]", "", shown)
        assert not COMMAND.findall(seen.encode()), text
        assert shown.replace("\\", "") == text
    data = json.dumps({"a": f"##{unseen}vso[b] #{unseen}#[c]"}, ensure_ascii=False)
    assert not COMMAND.findall(re.sub(unseen, "", json_without_runner_commands(data)).encode())
    assert json.loads(json_without_runner_commands(data)) == json.loads(data)
