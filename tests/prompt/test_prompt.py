"""The messages that a prompt becomes."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from hybrid_cli.egress.prompt_rules import RequestFacts
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.prompt import Question, Request, Turn, read_question
from hybrid_cli.ui.environment import Environment


def test_earlier_turns_stand_between_system_message_and_prompt() -> None:
    history = (Turn("user", "Hello"), Turn("assistant", "Hi."))
    request = Request(Question("And now?", ""), "Be brief.", history=history)
    assert [(one["role"], one["content"]) for one in request.messages()] == [
        ("system", "Be brief."),
        ("user", "Hello"),
        ("assistant", "Hi."),
        ("user", "And now?"),
    ]
    facts = RequestFacts(request, frozenset())
    assert facts.matches("^Hi")  # each turn is searched alone, too
    assert facts.matches("(?s)Hello.*now")


def test_messages_put_context_before_the_prompt() -> None:
    request = Request(Question("Which city?", "In Paris.\n"), "Be brief.")
    assert request.messages() == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "In Paris.\n\nWhich city?"},
    ]
    assert Request(Question("Hi", " \n"), None).messages() == [{"role": "user", "content": "Hi"}]


def environment(stdin: BinaryIO, **variables: str) -> Environment:
    return Environment(stdin, None, io.StringIO(), variables)


@contextmanager
def opened(kind: str, folder: Path) -> Iterator[BinaryIO]:
    """Yield a stdin of this kind that holds `the context`, if it can hold any text."""
    if kind == "socket":
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(b"the context")
            theirs.shutdown(socket.SHUT_WR)
            with os.fdopen(os.dup(ours.fileno()), "rb") as stdin:
                yield stdin
        return
    if kind == "unconnected socket":
        with socket.socket() as alone, os.fdopen(os.dup(alone.fileno()), "rb") as stdin:
            yield stdin
        return
    if kind == "pipe":
        out, into = os.pipe()
        os.write(into, b"the context")
        os.close(into)
        with os.fdopen(out, "rb") as stdin:
            yield stdin
        return
    path = {"null device": "/dev/null", "device": "/dev/zero", "folder": str(folder)}.get(kind)
    if path is None:
        path = str(folder / "file")
        Path(path).write_text("the context")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        stdin = io.FileIO(descriptor, closefd=False) if kind != "folder" else _Descriptor(descriptor)
        yield stdin  # type: ignore[misc]
    finally:
        os.close(descriptor)


class _Descriptor:
    """A stream of a folder, which Python opens none for; the command's own stdin may be one all the same."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("kind", "context", "told"),
    [
        ("pipe", "the context", ""),
        ("file", "the context", ""),
        ("socket", "the context", ""),
        ("null device", "", ""),
        ("device", "", "stdin is a device and is not read"),
    ],
)
def test_context_is_read_from_what_can_hold_text(tmp_path: Path, kind: str, context: str, told: str) -> None:
    with opened(kind, tmp_path) as stdin:
        found = environment(stdin)
        assert read_question("Sum up.", found, may_read=True).context == context
        said = found.stderr.getvalue()  # type: ignore[union-attr]
        assert told in said
        assert bool(said) == bool(told)


@pytest.mark.parametrize("prompt", ["Sum up.", None])
@pytest.mark.parametrize(
    ("kind", "told"), [("folder", "stdin is a folder"), ("unconnected socket", "stdin cannot be read")]
)
def test_a_stdin_that_cannot_be_read_is_one_line(
    tmp_path: Path, kind: str, told: str, prompt: str | None
) -> None:
    with opened(kind, tmp_path) as stdin, pytest.raises(Failure, match=told) as failure:
        read_question(prompt, environment(stdin), may_read=True)
    assert failure.value.status is ExitStatus.USAGE


@pytest.mark.parametrize(
    ("value", "context"), [("0", "the context"), ("false", "the context"), ("1", ""), ("yes", "")]
)
def test_a_variable_of_zero_switches_nothing_on(tmp_path: Path, value: str, context: str) -> None:
    with opened("file", tmp_path) as stdin:
        found = environment(stdin, HYBRID_NO_STDIN=value)
        assert read_question("Sum up.", found, may_read=True).context == context
    assert environment(stdin, CI=value).in_ci() == (not context)
