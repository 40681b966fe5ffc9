"""What the user asks: the prompt argument and stdin, by one rule for pipes, files and terminals.

- No prompt, or `-`: stdin is the prompt.
- A prompt and a pipe or file on stdin: stdin is context for it.
- A terminal, device, socket or closed stdin beside a prompt is not read.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from hybrid_cli.checks.json_schema import AnswerSchema
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.modes import Tool
from hybrid_cli.ui.environment import Environment

MAX_BYTES = 16_000_000
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Question:
    """What is asked, and the text that it is asked about ("" for none)."""

    prompt: str
    context: str


@dataclass(frozen=True)
class Request:
    """One prompt on its way to one answer."""

    question: Question
    system: str | None
    stop: tuple[str, ...] = ()
    """Strings that end the answer, which is without them."""
    schema: AnswerSchema | None = None
    """What the answer must fit."""
    verify: tuple[str, ...] = ()
    """A command that must accept the answer; see `checks.verify`."""
    choices: tuple[str, ...] = ()
    """Texts of which the answer must be one; none for any answer."""
    tools: tuple[Tool, ...] = ()
    """Hosted tools that were asked for: only a cloud has them."""
    asked: str | None = None
    """What the local model asks such a tool for; None where the user asks, in the prompt."""

    def messages(self) -> list[dict[str, str]]:
        """The chat messages, the same for either side: context first, then what is asked of it."""
        content = self.question.prompt
        if self.question.context.strip():
            content = f"{self.question.context.rstrip()}\n\n{content}"
        user = {"role": "user", "content": content}
        return [user] if self.system is None else [{"role": "system", "content": self.system}, user]

    def arguments(self) -> list[dict[str, str]]:
        """What a hosted tool is asked for, without the text and the system message around it."""
        return [{"role": "user", "content": self.question.prompt if self.asked is None else self.asked}]


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
        raise Failure(ExitStatus.USAGE, "no prompt; pass PROMPT, because stdin is not read")
    if environment.stdin is None or environment.stdin_is_terminal():
        raise Failure(ExitStatus.USAGE, "no prompt; pass PROMPT or pipe text to stdin")
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
    hint = "waiting for stdin; if nothing is piped, use --no-stdin"
    with environment.waiting(hint):
        chunk = os.read(descriptor, _CHUNK)
    while chunk:
        data += chunk
        if len(data) > MAX_BYTES:
            raise Failure(ExitStatus.USAGE, f"stdin is over {MAX_BYTES // 1_000_000} MB; pipe less text")
        chunk = os.read(descriptor, _CHUNK)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Failure(
            ExitStatus.USAGE, f"stdin is not UTF-8 (byte {error.start}); convert it, for example with iconv"
        ) from None
