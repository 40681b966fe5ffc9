"""`--editor` and `hybrid templates edit` on a real terminal, with a shell script as the editor."""

from __future__ import annotations

from pathlib import Path

import pexpect
import pytest

from hybrid_process import HELLO, Hybrid, environment


@pytest.fixture
def editor(tmp_path: Path) -> Path:
    """An editor that keeps a copy of what it was given, notes the file's mode, and writes $WRITES instead."""
    path = tmp_path / "my editor"
    path.write_text(
        f'#!/bin/sh\ntest -t 0 && test -t 1 || exit 9\nfor file; do :; done\ncp "$file" {tmp_path}/given\n'
        f'stat -c %a "$file" > {tmp_path}/mode; echo "$file" > {tmp_path}/name; echo "$@" > {tmp_path}/arguments\n'
        'sleep ${PAUSE:-0}\ntest -z "$WRITES" || printf "%s\\n" "$WRITES" > "$file"\nexit ${CODE:-0}\n'
    )
    path.chmod(0o755)
    return path


def edited(command: str, home: Path, arguments: tuple[str, ...], **variables: str) -> tuple[int, str]:
    """Run the command on a terminal; return its exit code and what the terminal showed."""
    child = pexpect.spawn(
        command,
        list(arguments),
        env=environment(home, **variables),
        encoding="utf-8",
        timeout=60,  # type: ignore[arg-type]
    )
    child.expect(pexpect.EOF)
    child.close()
    return int(child.exitstatus or 0), str(child.before)


def test_the_prompt_is_written_in_the_editor(command: str, home: Path, editor: Path, tmp_path: Path) -> None:
    *system, prompt = HELLO
    line = ("run", "-p", "offline", *system, "--editor", "--no-stdin", "-q")
    visual = f"'{editor}' --wait"
    code, shown = edited(command, home, line, WRITES=prompt, VISUAL=visual, EDITOR="false")
    assert (code, "Hello" in shown) == (0, True)
    assert (tmp_path / "mode").read_text() == "600\n"
    assert not Path((tmp_path / "name").read_text().strip()).exists()
    assert (tmp_path / "arguments").read_text().startswith("--wait /")
    plan = (*line[:-1], "--dry-run", "start with this")
    code, shown = edited(command, home, plan, WRITES="@no file", VISUAL=visual)
    assert (code, "characters: 14" in shown) == (0, True)
    assert (tmp_path / "given").read_text() == "start with this"
    unhurried = (*plan, "--timeout", "1")  # the limit is not for the user
    assert edited(command, home, unhurried, WRITES="Hi", VISUAL=visual, PAUSE="1.1")[0] == 0


@pytest.mark.parametrize(
    ("variables", "prompt", "code", "says"),
    [
        ({"WRITES": " "}, [], 2, "the prompt is empty; nothing was asked"),
        ({}, [], 2, "the prompt is empty; nothing was asked"),
        ({}, ["as it was"], 2, "the prompt was not changed; nothing was asked"),
        ({"CODE": "3", "WRITES": "hi"}, [], 1, "exited with code 3"),
        ({"VISUAL": "no-such-editor"}, [], 2, "no editor `no-such-editor`; set VISUAL or EDITOR"),
        ({"VISUAL": "vi 'open"}, [], 2, "no editor `vi 'open`"),
    ],
)
def test_a_prompt_that_was_not_written_is_not_asked(
    command: str,
    home: Path,
    editor: Path,
    tmp_path: Path,
    variables: dict[str, str],
    prompt: list[str],
    code: int,
    says: str,
) -> None:
    given = {"VISUAL": f"'{editor}'", **variables}
    found, shown = edited(command, home, ("run", "--editor", *prompt), **given)
    assert (found, says in shown) == (code, True), shown
    if (tmp_path / "name").exists():
        assert not Path((tmp_path / "name").read_text().strip()).exists()


def test_without_a_terminal_there_is_no_editor(hybrid: Hybrid, editor: Path) -> None:
    done = hybrid("run", "--editor", VISUAL=f"'{editor}'")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"hybrid: an editor needs a terminal; pass the prompt as PROMPT\n"


def test_a_template_is_edited(command: str, home: Path, editor: Path) -> None:
    visual = f"'{editor}'"
    code, shown = edited(command, home, ("templates", "edit", "new"), VISUAL=visual, WRITES="Sum up {input}.")
    assert (code, "variables input" in shown) == (0, True)
    assert (home / "config/templates/new.md").read_text() == "Sum up {input}.\n"
    code, shown = edited(command, home, ("templates", "edit", "../out"), VISUAL=visual)
    assert (code, "cannot be a template's name" in shown) == (2, True)
