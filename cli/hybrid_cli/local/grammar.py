"""From a JSON Schema to the grammar that constrains the model, by llama.cpp's own converter."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.bindings import low_level

_WHOLE = "whole-schema"
_MOST_REPEATS = 1000
"""llama.cpp's stack does not hold many more optional repetitions within each other."""
_MOST_VALUES = 5000
"""Of an enum: each is a way that llama.cpp follows at every token."""
_BOUNDS = ("minLength", "maxLength", "minItems", "maxItems")
_NOT_IN_STRINGS = r'"\\\x00-\x1F'
"""What a JSON string has escaped only, as the inside of a class in GBNF."""
_SHORTHANDS = {"d": "0-9", "w": "a-zA-Z0-9_", "s": " "}
_KEPT_ESCAPES = frozenset("[]()|{}*+?")
"""Those that the converter takes as they are."""


@cache
def grammar_of(schema: str) -> str:
    """The GBNF grammar of `schema`. Raises Failure (USAGE) where it has none.

    What no grammar can express (`uniqueItems`, lengths over a thousand, ...) is left out here: the answer
    is validated against the whole schema afterwards.
    """
    try:
        return _converted(_named(_portable(json.loads(schema))))
    except RecursionError:
        words = "its parts go too deep, or too many properties are optional"
        raise Failure(ExitStatus.USAGE, f"the schema cannot be a grammar: {words}") from None
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise Failure(
            ExitStatus.USAGE, f"the schema cannot be a grammar: {error or type(error).__name__}"
        ) from error


def _converted(schema: Any) -> str:
    module = low_level("llama_grammar")

    class Converter(module.SchemaConverter):  # type: ignore[misc,name-defined]
        def _format_literal(self, literal: str) -> str:
            """The converter's own leaves backslashes as they are, which GBNF then takes as escapes."""
            escaped = re.sub(r'["\\]', r"\\\g<0>", literal).replace("\r", "\\r").replace("\n", "\\n")
            return f'"{escaped}"'

    converter = Converter(prop_order={}, allow_fetch=False, dotall=False, raw_pattern=False)
    converter.visit(converter.resolve_refs(schema, "the schema"), "")
    grammar: str = converter.format_grammar()
    return grammar


def _portable(data: Any) -> Any:
    """`data` with bounds that a grammar can keep, and patterns as the converter reads them."""
    if isinstance(data, list):
        return [_portable(item) for item in data]
    if not isinstance(data, dict):
        return data
    kept: dict[str, Any] = {}
    for key, value in data.items():
        if key in _BOUNDS and isinstance(value, int) and value > _MOST_REPEATS:
            if key.startswith("min"):
                kept[key] = _MOST_REPEATS
        elif key == "enum" and isinstance(value, list) and len(value) > _MOST_VALUES:
            raise ValueError(f"an enum has {len(value)} values, over {_MOST_VALUES}")
        elif key == "pattern" and isinstance(value, str):
            kept[key] = _pattern(value)
        else:
            kept[key] = value if key in ("const", "enum") else _portable(value)
    return kept


def _pattern(pattern: str) -> str:
    """A regular expression that matches the same within a JSON string, in the converter's words.

    That knows neither shorthands (`\\d`) nor most escapes, and would let `.` and `[^a]` end the string.
    """
    pieces, in_class = [], False
    for piece in re.findall(r"\\.|\[\^|.", pattern, re.DOTALL):
        if len(piece) == 2 and piece[0] == "\\":
            pieces.append(_escape(piece, in_class=in_class))
            continue
        if not in_class and piece == ".":
            piece = f"[^{_NOT_IN_STRINGS}]"  # noqa: PLW2901
        elif not in_class and piece == '"':
            piece = r"\\" + '"'  # noqa: PLW2901
        elif not in_class and piece == "[^":
            piece, in_class = f"[^{_NOT_IN_STRINGS}", True  # noqa: PLW2901
        elif piece == ("]" if in_class else "["):
            in_class = not in_class
        pieces.append(piece)
    return "".join(pieces)


def _escape(piece: str, *, in_class: bool) -> str:
    """One escape of a pattern. Raises ValueError for one that no grammar has."""
    sign = piece[1]
    if sign in _SHORTHANDS:
        return _SHORTHANDS[sign] if in_class else f"[{_SHORTHANDS[sign]}]"
    if sign.isalnum() or not sign.isascii():
        raise ValueError(f"the escape {piece} of a pattern")
    if sign in '"\\':
        return rf"\x{ord(sign):02X}" if in_class else r"\\" + (r"\\" if sign == "\\" else sign)
    if in_class:
        return rf"\x{ord(sign):02X}"
    return piece if sign in _KEPT_ESCAPES else rf"[\x{ord(sign):02X}]"


def _named(schema: Any) -> Any:
    """`schema` under a name of its own, where it refers to itself (`#`) or is no more than a reference.

    The converter knows references by name only, and follows none behind one that stands at the top.
    """
    renamed = _renamed(schema)
    if renamed == schema and "$ref" not in schema:
        return schema
    rest = {key: value for key, value in renamed.items() if key != "$ref"}
    whole = {key: value for key, value in renamed.items() if key != "$defs"}
    named = {**renamed.get("$defs", {}), _WHOLE: whole}
    return {**rest, "$defs": named, "anyOf": [{"$ref": f"#/$defs/{_WHOLE}"}]}


def _renamed(data: Any) -> Any:
    if isinstance(data, list):
        return [_renamed(item) for item in data]
    if not isinstance(data, dict):
        return data
    return {
        key: f"#/$defs/{_WHOLE}" if key == "$ref" and value == "#" else _renamed(value)
        for key, value in data.items()
    }
