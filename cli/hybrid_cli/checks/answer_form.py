"""The form an answer must have, said to the model in few words, and the number of answers it allows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hybrid_cli.checks.json_schema import AnswerSchema

_LONGEST = 2000
"""Characters of a schema that is quoted; the grammar enforces a longer one without it."""
_TYPES = {"string", "integer", "number", "boolean", "null", "array", "object"}


def form_instruction(schema: AnswerSchema | None, choices: Sequence[str]) -> str:
    """Return the sentence that tells a model the form of its answer; "" for a free answer."""
    if choices:
        return f"Answer with exactly one of: {', '.join(choices)}."
    if schema is None:
        return ""
    values = allowed_values(schema)
    if values is not None:
        return f"Answer with exactly one of: {', '.join(map(_compact, values))}."
    keys = _keys(schema.data)
    if keys is not None:
        return f"Answer as JSON with the keys {keys}."
    quoted = _compact(schema.data)
    return (
        f"Answer as JSON that matches this schema: {quoted}" if len(quoted) <= _LONGEST else "Answer as JSON."
    )


def allowed_values(schema: AnswerSchema) -> list[Any] | None:
    """Return the values a schema allows, if it lists them (`enum`, `const`, a boolean); else None."""
    data = schema.data
    if "enum" in data:
        return list(data["enum"])
    if "const" in data:
        return [data["const"]]
    return [True, False] if data.get("type") == "boolean" else None


def alternatives(schema: AnswerSchema | None, choices: Sequence[str]) -> int | None:
    """Return how many answers the form allows; None if they cannot be counted."""
    if choices:
        return len(choices)
    values = None if schema is None else allowed_values(schema)
    return None if values is None else len(values)


def _keys(data: Any) -> str | None:
    """Return a flat object's keys with their types; None for any other schema."""
    properties = data.get("properties") if data.get("type") == "object" else None
    if not properties or {"$ref", "allOf", "anyOf", "oneOf", "patternProperties"} & data.keys():
        return None
    described = [(name, _type(part)) for name, part in properties.items()]
    if any(part is None for _, part in described):
        return None
    text = ", ".join(f"{name} ({part})" for name, part in described)
    return text if len(text) <= _LONGEST else None


def _type(part: Any) -> str | None:
    """Return the type of one key in words; None if it takes more than a few."""
    if not isinstance(part, dict):
        return None
    if "enum" in part:
        return "one of " + ", ".join(map(_compact, part["enum"]))
    kind = part.get("type")
    if kind == "array":
        items = _type(part.get("items", {}))
        return None if items is None or "(" in items else f"list of {items}"
    return kind if isinstance(kind, str) and kind in _TYPES - {"object"} else None


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
