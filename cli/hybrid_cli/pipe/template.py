"""What the model sees of a record: all of it, one field, or a template that fields are put into."""

from __future__ import annotations

import json
import string
from dataclasses import dataclass
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.pipe.records import Record
from hybrid_cli.ui.sanitize import shorten

_EXAMPLES = ("a", "7")
"""Two texts that begin with nothing alike."""


@dataclass(frozen=True)
class RecordTemplate:
    """`parts` are literal texts and, after each, the path of a field; without any, all of the record."""

    parts: tuple[tuple[str, str | None], ...] = ()

    def text(self, record: Record) -> str:
        """What is seen of `record`. Raises Failure (USAGE) where it has no such field."""
        if not self.parts:
            return record.text
        text = "".join(literal + _said(record, path) for literal, path in self.parts)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Failure(ExitStatus.USAGE, "its text holds half a character (a lone surrogate)") from None
        return text

    def examples(self) -> list[str]:
        """What is seen of two records that have nothing in common."""
        return [
            "".join(literal + ("" if path is None else example) for literal, path in self.parts) or example
            for example in _EXAMPLES
        ]


def field_template(name: str) -> RecordTemplate:
    return RecordTemplate((("", name),))


def user_template(template: str) -> RecordTemplate:
    """The view that `template` describes: `{name}` is a field, `{{` and `}}` are braces.

    Raises Failure (USAGE) for anything else between braces.
    """
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise Failure(ExitStatus.USAGE, f"--template: {error}; a brace is written twice") from None
    for _, name, form, conversion in parts:
        if name == "" or form or conversion:
            raise Failure(ExitStatus.USAGE, "--template: between braces stands the name of a field alone")
    if not any(name for _, name, _, _ in parts):
        raise Failure(ExitStatus.USAGE, "--template names no field, as {title} would")
    return RecordTemplate(tuple((literal, name) for literal, name, _, _ in parts))


def _said(record: Record, path: str | None) -> str:
    """The field at `path` as text: a string as it is, anything else as JSON."""
    if path is None:
        return ""
    if not record.is_object:
        raise Failure(ExitStatus.USAGE, f"it is no object, and has no field `{shorten(path)}`")
    value = _at(record.value, path)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _at(value: dict[str, Any], path: str) -> Any:
    """The field of that very name, or else the one that the dots lead to."""
    if path in value:
        return value[path]
    found: Any = value
    for name in path.split("."):
        if not isinstance(found, dict) or name not in found:
            raise Failure(ExitStatus.USAGE, f"it has no field `{shorten(path)}`")
        found = found[name]
    return found
