"""Read the question from the prompt argument, files and stdin.

- No prompt, or `-`: stdin is the prompt.
- A prompt, and a pipe, file or socket on stdin: stdin is context for the prompt.
- A prompt of `@FILE`: the file is the prompt. `@@` begins a prompt with `@`.
- Files (`-f`) are context, too, before that of stdin; `-f -` reads stdin as one of them.
- A prompt, and a terminal, /dev/null or closed stdin: stdin is not read. Another device gets a note.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from hybrid_cli.checks.json_schema import AnswerSchema
from hybrid_cli.cloud.image import Image
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.modes import Tool
from hybrid_cli.prompt_files.decoding import MAX_BYTES, utf_16_without_mark
from hybrid_cli.prompt_files.prompt_file import PromptFile
from hybrid_cli.ui.ci import is_on
from hybrid_cli.ui.environment import Environment

if TYPE_CHECKING:  # late, as most prompts have no template
    from hybrid_cli.prompt_files.templates import PromptTemplate

_READ_SIZE = 1 << 16
_PIPED = "the piped text"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")

NamedText = tuple[str, str]
"""A text that is all or a part of a message, after its name in a refusal."""


@dataclass(frozen=True)
class Question:
    """The prompt, and the text it is about."""

    prompt: str
    context: str
    """"" if there is none."""
    context_name: str = "the context"
    """Its name in a refusal, unless it is made of files."""
    context_follows: bool = False
    """Whether the context comes after the prompt, as a pipe's record does, so that all its prompts begin alike."""
    shared: str = ""
    """Text before the prompt, of the files that all records of a pipe share."""
    files: tuple[PromptFile, ...] = ()
    """The files that the context was made of, in their order, and the text on stdin beside them."""
    given: str = ""
    """The prompt, or a pipe's record, as it was given; "" if no template's text surrounds it."""
    template_head: str = ""
    """The beginning of the prompt that a template wrote, whatever its input."""
    joined: tuple[NamedText, ...] = ()
    """The messages that a client sent one after another as the prompt, if there are several."""

    @property
    def parts(self) -> list[NamedText]:
        """The texts of the message, in their order."""
        if self.joined:
            return list(self.joined)
        files = [(f"`{file.name}`", file.text) for file in self.files]
        if self.context_follows:
            return [*files, ("the instruction", self.prompt), (self.context_name, self.given or self.context)]
        context = files or [(self.context_name, self.context)]
        return [*context, ("the prompt", self.given or self.prompt)]


@dataclass(frozen=True)
class Turn:
    """An earlier message of a conversation."""

    role: Literal["user", "assistant"]
    content: str
    by_cloud: bool = False
    """Whether a cloud model wrote it."""
    numbers: tuple[int, ...] = ()
    """Its places, from 1, among the messages of its conversation; more than one if several were joined."""
    texts: tuple[str, ...] = ()
    """The text of the message at each of these places."""

    @property
    def name(self) -> str:
        """The message's name in a refusal."""
        return f"message {self.numbers[0]} ({self._kind})" if self.numbers else self._kind

    @property
    def parts(self) -> list[NamedText]:
        """The numbered messages that it was joined of, or the only one; [] without numbers."""
        return self.parts_as(self._kind)

    def parts_as(self, kind: str) -> list[NamedText]:
        """Return the numbered messages as `parts`, each called `kind` in a refusal."""
        numbered = zip(self.numbers, self.texts, strict=False)
        return [(f"message {number} ({kind})", text) for number, text in numbered]

    @property
    def _kind(self) -> str:
        return "an earlier prompt" if self.role == "user" else "an earlier answer"


@dataclass(frozen=True)
class Request:
    """A question with everything that shapes its answer."""

    question: Question
    system: str | None
    stop: tuple[str, ...] = ()
    """Strings that end the answer and are not part of it."""
    schema: AnswerSchema | None = None
    """The JSON Schema that the answer must fit."""
    verify: tuple[str, ...] = ()
    """The command that must accept the answer; see `checks.verify`."""
    choices: tuple[str, ...] = ()
    """The allowed answers; empty allows any text."""
    form: str = ""
    """The sentence that tells the model the form of its answer; "" if there is none, or the prompt has it."""
    code_only: bool = False
    """Whether only the first code block of the answer is wanted."""
    allows_truncated: bool = False
    """Whether an answer that is cut at its token limit is delivered."""
    checks_cut: bool = True
    """Whether an answer that is cut must fit the schema, too, which it hardly can."""
    top_logprobs: int | None = None
    """How many alternatives are wanted with each local token's log-probability; None if neither is wanted."""
    history: tuple[Turn, ...] = ()
    """The earlier turns of the conversation, oldest first. They are scanned and sent as the prompt is."""
    drops_oldest: bool = False
    """Whether the oldest turns are left out where the history is longer than the local context window."""
    images: tuple[Image, ...] = ()
    """Images that the prompt is about."""
    tools: tuple[Tool, ...] = ()
    """Hosted tools to use, which only a cloud offers."""
    unsent: tuple[str, ...] = ()
    """Texts that do not leave, but show which values of the prompt are secrets, such as a record below its header."""
    system_parts: tuple[NamedText, ...] = ()
    """The messages that the system message was joined of."""
    tool_argument: str | None = None
    """What the local model asks the tool for; None if the user asked for the tool, in the prompt."""

    @property
    def was_handed_off(self) -> bool:
        """Whether a cloud has answered an earlier turn."""
        return any(turn.by_cloud for turn in self.history)

    @property
    def template_head(self) -> str | None:
        """The beginning of the only message that a template wrote, "" if none did; None if other messages come first."""
        if self.system is not None or self.history:
            return None
        return "" if self.question.context.strip() else self.question.template_head

    def without_oldest(self, tokens: int, limit: int) -> Request:
        """Return the request without as many of the oldest turns as its `tokens` exceed `limit`, at least one.

        A question and its answer go together, so that a question comes first.
        """
        size = sum(len(message["content"]) for message in self.messages())
        excess = size - size * limit // max(tokens, 1)
        left = list(self.history)
        while left and (excess > 0 or len(left) == len(self.history) or left[0].role == "assistant"):
            excess -= len(left.pop(0).content)
        return replace(self, history=tuple(left))

    def messages(self) -> list[dict[str, str]]:
        """Return the chat messages for the local or the cloud model."""
        question = self.question
        content = f"{question.prompt}\n{self.form}" if self.form else question.prompt
        if question.context_follows:
            parts = (question.shared, content, question.context)
            content = "\n\n".join(part for part in parts if part)
        elif question.context.strip():
            content = f"{question.context.rstrip()}\n\n{content}"
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        earlier = [{"role": turn.role, "content": turn.content} for turn in self.history]
        return [*system, *earlier, {"role": "user", "content": content}]

    def message_names(self) -> list[str]:
        """Return the name of each of `messages` in a refusal."""
        system = [] if self.system is None else ["the system message"]
        return [*system, *(turn.name for turn in self.history), "the prompt"]

    def message_parts(self) -> list[list[NamedText]]:
        """Return the named texts that each of `messages` contains; [] if its name alone tells where a text is."""
        system = [] if self.system is None else [list(self.system_parts)]
        return [*system, *(turn.parts for turn in self.history), self.question.parts]

    def arguments(self) -> list[dict[str, str]]:
        """Return the chat messages for a hosted tool: only its argument, without context or system message."""
        argument = self.question.prompt if self.tool_argument is None else self.tool_argument
        return [{"role": "user", "content": argument}]


def read_question(
    prompt: str | None,
    environment: Environment,
    *,
    may_read: bool,
    files: Sequence[str] = (),
    template: PromptTemplate | None = None,
) -> Question:
    """Return the question. Raises Failure (USAGE).

    `files` are the paths of files for its context. `template` gets the prompt as its input, if it takes one.
    """
    may_read = may_read and not is_on(environment.variables, "HYBRID_NO_STDIN")
    if files.count("-") > 1:
        raise Failure(ExitStatus.USAGE, "-f - can be given once: stdin has one text")
    needs_prompt = template is None or template.takes_input
    if needs_prompt and prompt in (None, "-"):
        if "-" in files:
            raise Failure(ExitStatus.USAGE, "-f - reads stdin as a file, so the prompt must be an argument")
        text, piped = _stdin_as_prompt(environment, may_read=may_read), ""
    else:
        text = "" if prompt is None else prompt_of(prompt, environment)
        piped = _context(environment) if may_read and "-" not in files else ""
    if needs_prompt and not text.strip():
        raise Failure(ExitStatus.USAGE, "the prompt is empty")
    context, read = _with_files(files, piped, environment, may_read=may_read)
    if template is None:
        return Question(text, context, _PIPED, files=read)
    return _by_template(template, text, context, read)


def _with_files(
    files: Sequence[str], piped: str, environment: Environment, *, may_read: bool
) -> tuple[str, tuple[PromptFile, ...]]:
    """Return the context of files and the text on stdin, and each of them if there are files."""
    if not files:
        return piped, ()
    from hybrid_cli.prompt_files.collect import as_context, read_files

    stdin = _stdin_as_file(environment, may_read=may_read) if "-" in files else None
    read = read_files(files, environment, stdin)
    if not piped.strip():
        return as_context(read), tuple(read)
    return f"{as_context(read)}\n\n{piped}", (*read, PromptFile("stdin", piped))


def _by_template(
    template: PromptTemplate, given: str, context: str, files: tuple[PromptFile, ...]
) -> Question:
    """Return the question that `template` makes of the prompt `given`. Rules see `given` alone, too."""
    if given and not template.takes_input:
        raise Failure(ExitStatus.USAGE, f"template `{template.name}` has no {{input}}, so it takes no PROMPT")
    prompt = template.text(given)
    if not prompt.strip():
        raise Failure(ExitStatus.USAGE, "the prompt is empty")
    return Question(prompt, context, _PIPED, files=files, given=given, template_head=template.head)


def prompt_of(argument: str, environment: Environment) -> str:
    """Return the prompt in `argument`, or in the file that `@FILE` names. Raises Failure (USAGE)."""
    argument = _clean_argument(argument)
    if argument.startswith("@@"):
        return argument[1:]
    if not argument.startswith("@"):
        return argument
    from hybrid_cli.prompt_files.collect import read_text_file

    try:
        return read_text_file(os.path.expanduser(argument[1:]), environment)  # noqa: PTH111
    except Failure as failure:
        raise Failure(failure.status, f"@FILE: {failure}; to begin a prompt with @, write @@") from None


def _context(environment: Environment) -> str:
    """Return the text on stdin; "" if nothing was given there."""
    kind = environment.stdin_kind()
    if kind == "device":
        environment.note("stdin is a device and is not read; pipe text, or use --no-stdin")
    return "" if kind in ("nothing", "device") else _read_text(environment)


def _stdin_as_file(environment: Environment, *, may_read: bool) -> bytes:
    if not may_read or environment.stdin is None or environment.stdin_is_terminal():
        raise Failure(ExitStatus.USAGE, "-f - needs a file or a pipe on stdin")
    return _read_bytes(environment)


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


def _read_bytes(environment: Environment) -> bytes:
    data = bytearray()
    descriptor = environment.stdin.fileno() if environment.stdin is not None else -1
    hint = "waiting for stdin; if nothing is piped, use --no-stdin"
    try:
        with environment.waiting(hint):
            chunk = os.read(descriptor, _READ_SIZE)
        while chunk:
            data += chunk
            if len(data) > MAX_BYTES:
                raise Failure(ExitStatus.USAGE, f"stdin is over {MAX_BYTES // 1_000_000} MB; pipe less text")
            chunk = os.read(descriptor, _READ_SIZE)
    except IsADirectoryError:
        raise Failure(ExitStatus.USAGE, "stdin is a folder; give the text of a file") from None
    except OSError as error:  # for example a socket that is not connected
        raise Failure(
            ExitStatus.USAGE, f"stdin cannot be read: {error.strerror}; if nothing is piped, use --no-stdin"
        ) from None
    return bytes(data)


def _read_text(environment: Environment) -> str:
    data = _read_bytes(environment)
    refuse_utf_16(data, "stdin")
    try:
        # Text of several files may have a byte order mark at the start of each.
        return data.decode("utf-8-sig").replace("\n\ufeff", "\n")
    except UnicodeDecodeError as error:
        raise Failure(
            ExitStatus.USAGE, f"stdin is not UTF-8 (byte {error.start}); convert it, for example with iconv"
        ) from None


def refuse_utf_16(start: bytes, name: str) -> None:
    """Raise Failure (USAGE) if a text that begins with `start` is UTF-16, as PowerShell and Excel write it."""
    encoding = "UTF-16" if start.startswith(_UTF_16_MARKS) else utf_16_without_mark(start)
    if encoding is not None:
        raise Failure(
            ExitStatus.USAGE, f"{name} is {encoding}; convert it, for example: iconv -f {encoding} -t UTF-8"
        )
