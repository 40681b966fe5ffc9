"""Format a record's outcome as a line of output: the plain answer, or a JSON object."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Any, Protocol

from hybrid_cli.cascade.answer import Answer
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.pipe.records import Record
from hybrid_cli.prompt_files.decoding import MAX_BYTES
from hybrid_cli.ui.ci import json_without_runner_commands, without_runner_commands
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import plain, reveal_bidi, shorten

_INPUT = "input"
"""The field for a record that is not a JSON object."""


class Sink(Protocol):
    """Formats the line of a record."""

    def problem(self, record: Record) -> str | None:
        """Return why `record` cannot be written with an answer, or None."""

    def answer(self, record: Record, answer: Answer, key: str) -> bytes:
        """Return the line of `record` with its `answer`. --resume later finds it by `key`."""

    def failure(self, record: Record, failure: Failure) -> bytes:
        """Return the line of a record that failed."""

    def blank(self) -> bytes:
        """Return the line of an empty record."""


class Lines:
    """Writes only the answers; an empty line for a failed record. Can be pickled, for the nodes of a cluster."""

    def __init__(self, environment: Environment) -> None:
        self._in_ci = environment.in_ci()
        self._on_terminal = environment.stdout_is_terminal()

    def problem(self, record: Record) -> str | None:  # noqa: ARG002  a Sink's signature
        return None

    def answer(self, record: Record, answer: Answer, key: str) -> bytes:  # noqa: ARG002
        """Return one line, with line ends escaped as `\\n`; `printf %b` restores them."""
        text = plain(answer.answer).replace("\\", "\\\\").replace("\n", "\\n")
        if self._on_terminal:
            text = reveal_bidi(text)
        if self._in_ci:
            text = without_runner_commands(text)
        return text.encode("utf-8", "replace") + b"\n"

    def failure(self, record: Record, failure: Failure) -> bytes:  # noqa: ARG002
        return b"\n"

    def blank(self) -> bytes:
        """Return an empty line, so that input and output lines still correspond."""
        return b"\n"


@dataclass(frozen=True)
class Objects:
    """Writes the input's fields byte for byte, and one more: the answer object or the error."""

    key: str
    """The name of the answer's field."""
    on_terminal: bool = False
    in_ci: bool = False

    @classmethod
    def for_output(cls, key: str, environment: Environment) -> Objects:
        """Return the sink for the stdout of `environment`."""
        return cls(key, environment.stdout_is_terminal(), environment.in_ci())

    def __post_init__(self) -> None:
        if self.key == _INPUT:
            raise Failure(
                ExitStatus.USAGE,
                f"--key {_INPUT} is taken by records that are not JSON objects; choose another name",
            )

    def problem(self, record: Record) -> str | None:
        if record.is_object and self.key in record.value:
            return f"the field `{shorten(self.key)}` is taken; name the answer's field with --key"
        return None

    def answer(self, record: Record, answer: Answer, key: str) -> bytes:
        return self._line(record, {**answer.as_json(), "record": key})

    def failure(self, record: Record, failure: Failure) -> bytes:
        error = {"code": int(failure.status), "status": failure.status.name.lower(), "message": str(failure)}
        return self._line(record, {"error": error})

    def blank(self) -> bytes:
        """Return no line: there is no field to keep."""
        return b""

    def _line(self, record: Record, value: dict[str, Any]) -> bytes:
        fields = record.raw if record.is_object and self.problem(record) is None else _wrapped(record)
        before = fields[: fields.rindex(b"}")]
        comma = b"" if before.strip() == b"{" else b", "
        return self._safe(before + comma + _json(self.key) + b": " + _json(value) + b"}") + b"\n"

    def _safe(self, line: bytes) -> bytes:
        """Return the same JSON, with escapes for what a terminal or a CI runner would obey."""
        if not (self.on_terminal or self.in_ci):
            return line
        text = line.decode("utf-8", "replace")
        if self.on_terminal:
            text = _UNSAFE_ON_TERMINALS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
        return (json_without_runner_commands(text) if self.in_ci else text).encode()


_UNSAFE_ON_TERMINALS = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""C1 controls and characters that change the direction of text. JSON escapes the other controls itself."""


def _wrapped(record: Record) -> bytes:
    """Return `record` as an object with one field, or as {} if it is too long."""
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
