"""Checks of an answer that need no model: the user's command, and refusals."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hybrid_cli.checks import verify as verify_module
from hybrid_cli.checks.refusal import is_refusal
from hybrid_cli.checks.verify import read_command, verify
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_process import Hybrid
from scripted_cloud import ScriptedCloud

PYTHON = [sys.executable, "-c"]


@pytest.mark.parametrize(
    ("command", "outcome"),
    [
        (["true"], None),
        (["false"], "`false` exited with code 1"),
        (["grep", "-q", "forty", "{file}"], None),
        (["grep", "-q", "forty"], None),
        (["grep", "-q", "fifty", "{file}"], "`grep` exited with code 1"),
        (["echo", "$(exit 3)", ";", "false"], None),  # no shell reads it
        (["sh", "-c", "kill -9 $$"], "`sh` exited with code -9"),
    ],
)
def test_a_command_judges_the_answer(command: list[str], outcome: str | None) -> None:
    assert verify(command, "forty two\n", os.environ) == outcome


def test_it_gets_no_secret_and_its_file_is_private_and_goes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # other tests verify at the same time
    seen = "import os, sys; p = sys.argv[1]; s = os.stat(os.path.dirname(p)).st_mode & 0o77"
    code = f"{seen}; sys.exit(1 if s or not p.startswith({str(tmp_path)!r}) or {{'CANARY_KEY', 'PLAIN'}} & set(os.environ) or 'LC_ALL' not in os.environ else 0)"
    variables = {**os.environ, "CANARY_KEY": "sk-canary", "PLAIN": "x", "LC_ALL": "C"}
    assert verify([*PYTHON, code, "{file}"], "x", variables) is None
    assert list(tmp_path.iterdir()) == []


def test_it_cannot_outlive_its_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(verify_module, "VERIFY_SECONDS", 1)
    late = tmp_path / "late"
    started = time.monotonic()
    told = verify(["sh", "-c", f"(sleep 2; touch {late}) & sleep 60"], "x", os.environ)
    assert told == "`sh` took over 1 s"
    assert time.monotonic() - started < 30
    time.sleep(max(0.0, started + 2.5 - time.monotonic()))
    assert not late.exists()  # what it started is gone, too


def test_one_that_cannot_start_is_the_users_mistake() -> None:
    with pytest.raises(Failure, match="`no-such-command` cannot be started: No such file") as raised:
        verify(["no-such-command"], "x", os.environ)
    assert raised.value.status is ExitStatus.USAGE


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I cannot answer this question.", True),
        (
            "I'm sorry for any confusion. I'll be happy to help with that. However, I'm unable to answer.",
            True,
        ),
        (
            "I'm sorry for the mistake: penguins are birds, but as far as anybody knows they cannot fly.",
            False,
        ),
        ("I can’t do that.", True),
        ("As an AI language model, I do not have feelings.", True),
        ("Unfortunately, I don't know who won.", True),
        ("I'm unable to browse the web.", True),
        ("I am not able to open files.", True),
        ("Sorry is a word of apology.", False),
        ("Paris.", False),
        ("I can help: first, open the file.", False),
        ("The canary cannot fly.", False),
        ("I cannot stress enough how " + "very " * 100 + "good it is.", False),
    ],
)
def test_refusals(answer: str, refusal: bool) -> None:
    assert is_refusal(answer) == refusal


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("no-such-command x", "`no-such-command` cannot be started: No such file or directory"),
        ("/etc/passwd", "`/etc/passwd` cannot be started: Permission denied"),
        ("./no/such", "`./no/such` cannot be started: No such file or directory"),
        ("grep -q 4 && true", "no shell reads --verify, so `&&` would be an argument; write --verify"),
        ("grep 4 | wc -l", "so `|` would be an argument"),
        ("true; false", "so `;` would be an argument"),
        ("cat {file} > /dev/null", "so `>` would be an argument"),
        ("(true)", "so `(` would be an argument"),
        ("grep 'open", "--verify cannot be read: no closing quotation"),
    ],
)
def test_a_command_that_cannot_work_is_an_error_before_anything_is_asked(given: str, told: str) -> None:
    with pytest.raises(Failure) as failure:
        read_command(given, os.environ)
    assert failure.value.status is ExitStatus.USAGE
    assert told in str(failure.value)


@pytest.mark.parametrize(
    "given",
    ["grep -q '|'", 'grep -q "a && b"', "sh -c 'true && true'", "true # no comment", "grep -q 'a;b' {file}", "{file} -x"],
)  # fmt: skip
def test_a_quoted_sign_is_an_argument(given: str) -> None:
    assert read_command(given, os.environ) == tuple(shlex.split(given))


def test_the_command_that_is_proposed_works() -> None:
    with pytest.raises(Failure) as failure:
        read_command("grep -q 'it''s' && true", os.environ)
    proposed = str(failure.value).partition("write ")[2]
    option, command = shlex.split(proposed)
    assert (option, verify(read_command(command, os.environ), "its", os.environ)) == ("--verify", None)


@pytest.mark.parametrize("verb", ["run", "pipe"])
@pytest.mark.parametrize("where", ["option", "profile"])
def test_without_its_command_nothing_is_sent(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path], verb: str, where: str
) -> None:
    more = "checks: {verify: [no-such-command]}\n" if where == "profile" else ""
    path = profile(f"{cloud.section()}escalation: {{mode: force}}\n{more}")
    options = ["--verify", "no-such-command"] if where == "option" else []
    done = hybrid(verb, "-p", path, *options, "hi", stdin=b"a\n", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout, cloud.received) == (2, b"", [])
    assert b"`no-such-command` cannot be started" in done.stderr
