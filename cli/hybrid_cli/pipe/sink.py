"""What a record's outcome looks like on its line."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, Protocol

from hybrid_cli.cascade.answer import Answer
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.pipe.records import Record
from hybrid_cli.prompt import MAX_BYTES
from hybrid_cli.ui.ci import without_runner_commands
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import plain, reveal_bidi, shorten

_INPUT = "input"
"""The field of a record that is no object."""


class Sink(Protocol):
    """Makes the line of a record."""

    def problem(self, record: Record) -> str | None:
        """Why `record` cannot be written with an answer; None where it can."""

    def answer(self, record: Record, answer: Answer, key: str) -> bytes:
        """The line of `record` with its `answer`; `key` tells `--resume` that it is done."""

    def failure(self, record: Record, failure: Failure) -> bytes:
        """The line of `record` without an answer."""

    def blank(self) -> bytes:
        """The line of a record in which there was nothing."""


class Lines:
    """The answers alone. A record that failed has an empty line. It can be pickled, for the nodes of a cluster."""

    def __init__(self, environment: Environment) -> None:
        self._is_runners = environment.in_ci()
        self._is_terminals = environment.stdout_is_terminal()

    def problem(self, record: Record) -> str | None:  # noqa: ARG002  as that of Objects
        return None

    def answer(self, record: Record, answer: Answer, key: str) -> bytes:  # noqa: ARG002
        """One line: `printf %b` makes line ends of `\\n` again."""
        text = plain(answer.answer).replace("\\", "\\\\").replace("\n", "\\n")
        if self._is_terminals:
            text = reveal_bidi(text)
        if self._is_runners:
            text = without_runner_commands(text)
        return text.encode("utf-8", "replace") + b"\n"

    def failure(self, record: Record, failure: Failure) -> bytes:  # noqa: ARG002
        return b"\n"

    def blank(self) -> bytes:
        """So that lines of input and output still go together."""
        return b"\n"


@dataclass(frozen=True)
class Objects:
    """The input's own fields, as they were written, and one more: the answer object, or the error."""

    key: str
    """The name of that field."""

    def __post_init__(self) -> None:
        if self.key == _INPUT:
            raise Failure(ExitStatus.USAGE, f"--key {_INPUT} is the name of a record that is no object")

    def problem(self, record: Record) -> str | None:
        if record.is_object and self.key in record.value:
            return f"it has a field `{shorten(self.key)}` of its own; --key names another for the answer"
        return None

    def answer(self, record: Record, answer: Answer, key: str) -> bytes:
        return self._line(record, {**answer.as_json(), "record": key})

    def failure(self, record: Record, failure: Failure) -> bytes:
        error = {"code": int(failure.status), "status": failure.status.name.lower(), "message": str(failure)}
        return self._line(record, {"error": error})

    def blank(self) -> bytes:
        """Nothing: there is no field to keep."""
        return b""

    def _line(self, record: Record, value: dict[str, Any]) -> bytes:
        fields = record.raw if record.is_object and self.problem(record) is None else _wrapped(record)
        before = fields[: fields.rindex(b"}")]
        comma = b"" if before.strip() == b"{" else b", "
        return before + comma + _json(self.key) + b": " + _json(value) + b"}\n"


def _wrapped(record: Record) -> bytes:
    """`record` as an object with one field; one that is too long is left out."""
    if len(record.raw) > MAX_BYTES:
        return b"{}"
    if record.is_json:
        return b'{"input": ' + record.raw.strip() + b"}"
    try:
        return b'{"input": ' + _json(record.raw.decode()) + b"}"
    except UnicodeDecodeError:
        return b'{"input_base64": ' + _json(base64.b64encode(record.raw).decode()) + b"}"


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
