"""Conversations as files: real turns of the local model and of a cloud on loopback."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pytest

from hybrid_cli.prompt import Question, Request, Turn
from hybrid_process import HELLO, Hybrid, environment
from scripted_cloud import Reply, ScriptedCloud
from secret_samples import mixed

Profile = Callable[..., Path]
LOCAL = ("run", "-q", "-p", "offline", "-c")


def stored(home: Path, name: str = "trip") -> Path:
    return home / "state" / "conversations" / f"{name}.jsonl"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_later_turn_knows_the_earlier_one(hybrid: Hybrid, home: Path) -> None:
    assert b"Paris" in hybrid(*LOCAL, "trip", "Name the capital of France.").stdout
    assert b"Madrid" in hybrid(*LOCAL, "trip", "And of Spain?").stdout
    path = stored(home)
    assert [(one["role"], one.get("answered_by")) for one in lines(path)] == [
        ("user", None),
        ("assistant", "local"),
    ] * 2
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert b"trip" in hybrid("conversations", "ls").stdout
    exported = json.loads(hybrid("conversations", "export", "trip").stdout)
    assert [one["role"] for one in exported] == ["user", "assistant"] * 2
    assert b"Madrid" in hybrid("conversations", "show", "trip").stdout
    assert hybrid("conversations", "rm", "trip").returncode == 0
    assert not path.exists()


def test_a_conversation_may_be_any_file(hybrid: Hybrid, tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    hybrid("run", "-q", "-p", "offline", "--conversation", path, "-s", "Answer in one word.", "Hello")
    hybrid("run", "-q", "-p", "offline", "--conversation", "talk.jsonl", "Hello again", cwd=tmp_path)
    assert [one["role"] for one in lines(path)] == ["system", *["user", "assistant"] * 2]


@pytest.mark.parametrize("place", ["/dev/full", "/dev/null", "folder.jsonl", "fifo"])
def test_a_conversation_needs_a_regular_file_before_anything_is_sent(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, tmp_path: Path, place: str
) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    os.mkfifo(tmp_path / "fifo")
    path = profile(cloud.section() + "escalation: {mode: force}\n")
    target = tmp_path / place
    done = hybrid("run", "-p", path, "--conversation", target, "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout, cloud.received) == (2, b"", [])
    assert done.stderr == f"hybrid: {target} cannot hold a conversation: not a regular file\n".encode()


def test_local_and_cloud_turns_mix(
    hybrid: Hybrid, home: Path, cloud: ScriptedCloud, profile: Profile
) -> None:
    sends = profile(cloud.section() + "escalation: {mode: force}\n", "sends.yaml")
    hybrid(*LOCAL, "trip", "-s", "Be brief.", "Name the capital of France.")
    done = hybrid(*("run", "-q", "-p", sends, "-c", "trip", "And of Spain?"), HYBRID_CONSENT=cloud.origin)
    assert done.stdout == b"The cloud says hello.\n"
    (received,) = cloud.received
    assert [(one["role"], one["content"][:9]) for one in received.body["messages"]] == [
        ("system", "Be brief."),
        ("user", "Name the "),
        ("assistant", lines(stored(home))[2]["content"][:9]),
        ("user", "And of Sp"),
    ]
    hybrid(*LOCAL, "trip", "Thank you.")
    assert len(cloud.received) == 1  # under forbid all turns stay
    answered = [one["answered_by"] for one in lines(stored(home)) if one["role"] == "assistant"]
    assert answered == ["local", "cloud", "local"]


@pytest.mark.parametrize(("sticky", "sent"), [("true", 2), ("false", 1)])
def test_a_sticky_conversation_stays_with_the_cloud(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, sticky: str, sent: int
) -> None:
    first = profile(cloud.section() + "escalation: {mode: force}\n", "first.yaml")
    then = profile(
        cloud.section() + f"escalation: {{sticky: {sticky}, target: {{threshold: 0.01}}}}\n", "then.yaml"
    )
    for path in (first, then):
        hybrid("run", "-q", "-p", path, "-c", "trip", "-s", "Brief.", "Hello", HYBRID_CONSENT=cloud.origin)
    assert len(cloud.received) == sent


def test_a_secret_in_an_earlier_turn_blocks_a_later_handoff(
    hybrid: Hybrid, home: Path, cloud: ScriptedCloud, profile: Profile
) -> None:
    secret = f"ghp_{mixed(random.Random(1), 36)}"
    hybrid(*LOCAL, "trip", f"Remember this: {secret}")
    sends = profile(cloud.section() + "escalation: {mode: force}\n")
    done = hybrid(*("run", "-p", sends, "-c", "trip", "What is the weather?"), HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, cloud.received) == (3, [])
    assert b"blocked: line 1 of message 1 (an earlier prompt) looks like a GitHub token" in done.stderr
    assert len(lines(stored(home))) == 2  # a failed turn changes nothing
    with stored(home).open("a") as file:  # numbered as in the file, which a system message is part of
        for role, content in (("system", "Be brief."), ("user", "Hi"), ("assistant", f"Is it\n{secret}?")):
            file.write(json.dumps({"role": role, "content": content}) + "\n")
    done = hybrid(*("run", "-p", sends, "-c", "trip", f"And\n\n{secret}?"), HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, cloud.received) == (3, [])
    found = re.findall(r"line \d+ of .*? looks like", done.stderr.decode())
    assert found == [
        "line 1 of message 1 (an earlier prompt) looks like",
        "line 2 of message 5 (an earlier answer) looks like",
        "line 3 of the prompt looks like",
    ]


def test_a_rule_sees_the_earlier_turns(hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile) -> None:
    hybrid(*LOCAL, "trip", "We call it Project Heron.")
    rule = "rules: [{when: {matches: '^We call it Project Heron'}, then: forbid}]"
    sends = profile(cloud.section() + f"escalation: {{mode: force, {rule}}}\n")
    done = hybrid(*("run", "-p", sends, "-c", "trip", "What is it?"), HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, cloud.received) == (3, [])


def test_a_failed_turn_changes_nothing(
    hybrid: Hybrid, home: Path, cloud: ScriptedCloud, profile: Profile
) -> None:
    sends = profile(cloud.section() + "escalation: {mode: force}\n")
    cloud.replies = [Reply(status=401)]
    done = hybrid(*("run", "-p", sends, "-c", "trip", "Hello"), HYBRID_CONSENT=cloud.origin)
    assert done.returncode == 4
    assert not stored(home).exists()
    assert hybrid(*LOCAL, "trip", "--dry-run", "Hello").returncode == 0
    assert not stored(home).exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"name": "package"}\n', ":1: not a conversation of hybrid"),
        ('{"role": "user", "content": "Hi"}\n{"role": "tool", "content": ""}\n', ":2: not a conversation"),
        ("no newline", ":1: not a conversation of hybrid"),
    ],
)
def test_a_foreign_file_is_refused_and_kept(
    hybrid: Hybrid, tmp_path: Path, content: str, problem: str
) -> None:
    path = tmp_path / "source" / "package.json"
    path.parent.mkdir()
    path.write_text(content, encoding="utf-8")
    done = hybrid("run", "-p", "offline", "--conversation", path, "Hello")
    assert done.returncode == 2
    assert f"{path}{problem}".encode() in done.stderr
    assert path.read_text(encoding="utf-8") == content


def test_a_line_that_a_crash_cut_short_is_written_over(hybrid: Hybrid, home: Path) -> None:
    path = stored(home)
    path.parent.mkdir(parents=True)
    path.write_text('{"role":"user","content":"Hi"}\n{"role":"assis', encoding="utf-8")
    done = hybrid("run", "-p", "offline", "-c", "trip", *HELLO)
    assert done.returncode == 0
    assert f"the last line of {path} is cut, and left out".encode() in done.stderr
    assert [one["role"] for one in lines(path)] == ["user", "system", "user", "assistant"]


def test_a_last_line_without_an_end_is_kept(hybrid: Hybrid, home: Path) -> None:
    path = stored(home)
    path.parent.mkdir(parents=True)
    path.write_text('{"role":"user","content":"Hi"}\n{"role":"assistant","content":"Yes?"}', encoding="utf-8")
    assert hybrid(*LOCAL, "trip", "Hello").returncode == 0
    assert [one["content"] for one in lines(path)][:2] == ["Hi", "Yes?"]
    assert [one["role"] for one in lines(path)] == ["user", "assistant"] * 2


def test_a_history_that_does_not_fit_is_told_or_dropped(hybrid: Hybrid, home: Path, profile: Profile) -> None:
    path = stored(home)
    path.parent.mkdir(parents=True)
    turns = [{"role": role, "content": f"{role} " + "word " * 30} for role in ["user", "assistant"] * 6]
    path.write_text("".join(json.dumps(turn) + "\n" for turn in turns), encoding="utf-8")
    small = profile("local: {context: 200}\nescalation: {mode: forbid}\n")
    told = hybrid("run", "-p", small, "-c", "trip", "Hello")
    assert told.returncode == 3
    assert b"the local context window holds 200" in told.stderr
    arguments = ("run", "-p", small, "-c", "trip", "--drop-oldest", "--max-tokens", "60", "--allow-truncated")
    done = hybrid(*arguments, "--json", "Hello")
    assert done.returncode == 0, done.stderr
    assert b"left out the " in done.stderr
    used = json.loads(done.stdout)["usage"]["local"]
    assert used["in"] + 60 <= 200  # room for the whole answer
    assert len(lines(path)) == 14  # what was left out of the prompt stays in the file


def test_the_oldest_turns_go_in_pairs() -> None:
    history = tuple(
        Turn(role, "x" * 100)
        for _ in range(5)
        for role in ("user", "assistant")  # type: ignore[arg-type]
    )
    request = Request(Question("y" * 100, ""), None, history=history)
    assert [turn.role for turn in request.without_oldest(1100, 1050).history] == ["user", "assistant"] * 4
    assert [turn.role for turn in request.without_oldest(1100, 550).history] == ["user", "assistant"] * 2
    assert request.without_oldest(1100, 10).history == ()


def test_two_commands_take_turns(hybrid: Hybrid, home: Path, command: str) -> None:
    runs = [
        subprocess.Popen([command, *LOCAL, "trip", f"Number {number}?"], env=environment(home))
        for number in range(3)
    ]
    assert [run.wait(timeout=60) for run in runs] == [0, 0, 0]
    assert [one["role"] for one in lines(stored(home))] == ["user", "assistant"] * 3


def test_old_conversations_are_deleted(hybrid: Hybrid, home: Path) -> None:
    old, new = stored(home, "old"), stored(home, "new")
    old.parent.mkdir(parents=True)
    for path in (old, new):
        path.write_text('{"role":"user","content":"Hi"}\n', encoding="utf-8")
    os.utime(old, (0, time.time() - 31 * 86_400))
    assert hybrid("conversations", "purge").stderr == b"hybrid: deleted 1 conversation\n"
    assert (old.exists(), new.exists()) == (False, True)
    assert hybrid("conversations", "purge", "--all").stderr == b"hybrid: deleted 1 conversation\n"


def test_who_forbids_stored_prompts_forbids_conversations(
    hybrid: Hybrid, home: Path, profile: Profile
) -> None:
    path = profile("escalation: {mode: forbid}\nlog: {prompts: false}\n")
    done = hybrid("run", "-p", path, "-c", "trip", "Hello")
    assert done.returncode == 3
    assert b"forbids stored prompts (log.prompts: false)" in done.stderr
    assert not stored(home).exists()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("-c", "Hello"), "-c alone continues the last conversation of a terminal"),
        (("-c", "/dev/null/x", "Hello"), "cannot open"),
        (("-c", "a b", "Hello"), "'a b' is no name for a conversation"),
        (("-c", "plain.txt", "Hello"), "or a path such as ./plain.txt"),
        (("-c", "nowhere/x.jsonl", "Hello"), "cannot open nowhere/x.jsonl: No such file or directory"),
        (("-c", "trip", "Hello", "more"), "unexpected argument `more`"),
        (("Hello", "more"), "unexpected argument `more`"),
    ],
)
def test_bad_input_is_one_line(hybrid: Hybrid, arguments: tuple[str, ...], problem: str) -> None:
    done = hybrid("run", "-q", "-p", "offline", *arguments)
    assert done.returncode == 2
    assert problem.encode() in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_a_terminal_continues_its_last_conversation(home: Path, command: str) -> None:
    (first, second) = (terminal(home), terminal(home))
    for shell in (first, second):
        ask(shell, command, "Hello")
    ask(first, command, "Hello again")
    for shell in (first, second):
        shell.close()
    counts = sorted(len(lines(path)) for path in (home / "state" / "conversations").glob("*.jsonl"))
    assert counts == [2, 4]


def terminal(home: Path) -> pexpect.spawn:
    variables = {**environment(home), "PS1": "$ ", "TERM": "dumb"}
    return pexpect.spawn("bash", ["--norc", "--noprofile"], env=variables, timeout=60, encoding="utf-8")


def ask(shell: pexpect.spawn, command: str, prompt: str) -> None:
    shell.sendline(f"{command} run -q -p offline -c '{prompt}' > /dev/null; echo code=$?")
    shell.expect(r"code=(\d+)\r")
    assert shell.match.group(1) == "0"
