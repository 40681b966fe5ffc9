"""The short form of a schema: `name, age int, tags [str], note str?`.

    fields: field {"," field}
    field:  NAME ["?"] | NAME type ["?"]
    type:   "str" | "int" | "number" | "bool" | "[" type "]"

A field without a type is a text; `?` makes it optional.
"""

from __future__ import annotations

import re
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.sanitize import shorten

EXAMPLE = "name, age int, tags [str], note str?"
_TYPES = {"str": "string", "int": "integer", "number": "number", "bool": "boolean"}
_FIELD = re.compile(r"\s*(?P<name>[^\W\d][\w-]*)(?:\s+(?P<type>[\w\[\] ]*?))?\s*(?P<optional>\?)?\s*")
_MAX_DEPTH = 8


def short_schema(text: str) -> dict[str, Any]:
    """Return the JSON Schema that `text` stands for. Raises Failure (USAGE), with the right form."""
    properties: dict[str, Any] = {}
    required = []
    for field in text.split(","):
        found = _FIELD.fullmatch(field)
        if found is None:
            raise _mistake(
                f"`{shorten(field.strip())}` is not a field" if field.strip() else "a field is empty"
            )
        name = found["name"]
        if name in properties:
            raise _mistake(f"`{shorten(name)}` is named twice")
        properties[name] = _type(found["type"] or "str", name)
        if found["optional"] is None:
            required.append(name)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _type(written: str, name: str) -> dict[str, Any]:
    inner = written.strip()
    depth = 0
    while inner.startswith("[") and inner.endswith("]") and depth < _MAX_DEPTH:
        inner, depth = inner[1:-1].strip(), depth + 1
    if inner not in _TYPES:
        raise _mistake(f"`{shorten(name)}` has the type `{shorten(written)}`, not one of {', '.join(_TYPES)}")
    schema: dict[str, Any] = {"type": _TYPES[inner]}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def _mistake(what: str) -> Failure:
    return Failure(ExitStatus.USAGE, f"--schema: {what}; the form is: {EXAMPLE}")
