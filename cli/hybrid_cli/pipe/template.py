"""The text that the model sees of a record: the whole record, one field, or a template filled with fields."""

from __future__ import annotations

import json
import string
from dataclasses import dataclass
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.pipe.records import Record
from hybrid_cli.ui.sanitize import shorten

_EXAMPLES = ("a", "7")
"""Two texts without a common beginning."""


@dataclass(frozen=True)
class RecordTemplate:
    """Literal texts, each followed by the path of a field or None. No parts stand for the whole record."""

    parts: tuple[tuple[str, str | None], ...] = ()

    def text(self, record: Record) -> str:
        """Return the text for `record`. Raises Failure (USAGE) if a field is missing."""
        if not self.parts:
            return record.text
        text = "".join(literal + _field_text(record, path) for literal, path in self.parts)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Failure(ExitStatus.USAGE, "a field contains half a character (a lone surrogate)") from None
        return text

    def examples(self) -> list[str]:
        """Return the texts for two records without a common beginning."""
        return [
            "".join(literal + ("" if path is None else example) for literal, path in self.parts) or example
            for example in _EXAMPLES
        ]


def field_template(name: str) -> RecordTemplate:
    """Return the template that shows one field."""
    return RecordTemplate((("", name),))


def user_template(template: str) -> RecordTemplate:
    """Parse `template`, in which `{name}` is a field, and `{{` and `}}` are literal braces.

    Raises Failure (USAGE) if it has no field, or anything but a field's name in braces.
    """
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise Failure(ExitStatus.USAGE, f"--template: {error}; write a literal brace twice") from None
    for _, name, form, conversion in parts:
        if name == "" or form or conversion:
            raise Failure(ExitStatus.USAGE, "--template: braces may contain only the name of a field")
    if not any(name for _, name, _, _ in parts):
        raise Failure(ExitStatus.USAGE, "--template has no field; write one in braces, for example {title}")
    return RecordTemplate(tuple((literal, name) for literal, name, _, _ in parts))


def _field_text(record: Record, path: str | None) -> str:
    """Return the field at `path`: a string unchanged, any other value as JSON. "" without a path."""
    if path is None:
        return ""
    if not record.is_object:
        raise Failure(ExitStatus.USAGE, f"not a JSON object, so it has no field `{shorten(path)}`")
    value = _look_up(record.value, path)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _look_up(value: dict[str, Any], path: str) -> Any:
    """Return the field named `path`, or else the nested field at the dotted path."""
    if path in value:
        return value[path]
    found: Any = value
    for name in path.split("."):
        if not isinstance(found, dict) or name not in found:
            raise Failure(ExitStatus.USAGE, f"no field `{shorten(path)}`")
        found = found[name]
    return found
