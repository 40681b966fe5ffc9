"""What the user asks: the prompt argument and stdin, by one rule for pipes, files and terminals.

- No prompt, or `-`: stdin is the prompt.
- A prompt and a pipe or file on stdin: stdin is context for it.
- A terminal, device, socket or closed stdin beside a prompt is not read.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from hybrid_cli.environment import Environment
from hybrid_cli.exit_status import ExitStatus, Failure

MAX_BYTES = 16_000_000
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Question:
    """What is asked, and the text that it is asked about ("" for none)."""

    prompt: str
    context: str


def read_question(prompt: str | None, environment: Environment, *, may_read: bool) -> Question:
    """The question from the argument and stdin. Raises Failure (USAGE) where there is none."""
    may_read = may_read and not environment.variables.get("HYBRID_NO_STDIN")
    if prompt is None or prompt == "-":
        question = Question(_stdin_as_prompt(environment, may_read=may_read), "")
    else:
        piped = may_read and environment.stdin_is_pipe_or_file()
        question = Question(_clean_argument(prompt), _read_text(environment) if piped else "")
    if not question.prompt.strip():
        raise Failure(ExitStatus.USAGE, "the prompt is empty")
    return question


def _stdin_as_prompt(environment: Environment, *, may_read: bool) -> str:
    if not may_read:
        raise Failure(ExitStatus.USAGE, "there is no prompt, and stdin is not read; give a PROMPT")
    if environment.stdin is None or environment.stdin_is_terminal():
        raise Failure(ExitStatus.USAGE, "there is no prompt; give a PROMPT, or pipe it in")
    return _read_text(environment)


def _clean_argument(prompt: str) -> str:
    try:
        prompt.encode()
    except UnicodeEncodeError:  # undecodable bytes of argv arrive as lone surrogates
        raise Failure(ExitStatus.USAGE, "the prompt is not UTF-8") from None
    return prompt


def _read_text(environment: Environment) -> str:
    data = bytearray()
    descriptor = environment.stdin.fileno() if environment.stdin is not None else -1
    hint = "waiting for stdin; --no-stdin or </dev/null if none is meant"
    with environment.waiting(hint):
        chunk = os.read(descriptor, _CHUNK)
    while chunk:
        data += chunk
        if len(data) > MAX_BYTES:
            raise Failure(ExitStatus.USAGE, f"stdin is over {MAX_BYTES // 1_000_000} MB; send less of it")
        chunk = os.read(descriptor, _CHUNK)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Failure(
            ExitStatus.USAGE, f"stdin is not UTF-8 (byte {error.start}); convert it, for example with iconv"
        ) from None
