"""Conversion of a JSON Schema to a grammar for the model, by llama.cpp's own converter."""

from __future__ import annotations

import json
import math
import re
from functools import cache
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.bindings import low_level
from hybrid_cli.local.integer_range import integer_rule

_WHOLE = "whole-schema"
_MAX_REPEATS = 1000
"""llama.cpp's stack overflows with many more nested optional repetitions."""
_MAX_VALUES = 5000
"""Values of an enum: llama.cpp follows each of them at every token."""
_BOUNDS = ("minLength", "maxLength", "minItems", "maxItems")
_NOT_IN_STRINGS = r'"\\\x00-\x1F'
"""Characters that a JSON string must escape, as the inside of a GBNF character class."""
_JSON_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+|\\.")
_SHORTHANDS = {"d": "0-9", "w": "a-zA-Z0-9_", "s": " "}
_KEPT_ESCAPES = frozenset("[]()|{}*+?")
"""Escaped characters that the converter understands."""


@cache
def grammar_of(schema: str) -> str:
    """The GBNF grammar of `schema`, which is JSON text. Raises Failure (USAGE) if it cannot be converted.

    Constraints that no grammar can express (`uniqueItems`, lengths over a thousand, ...) are left out: the
    answer is validated against the whole schema afterwards.
    """
    try:
        return _converted(_named(_portable(json.loads(schema))))
    except RecursionError:
        why = "it is nested too deeply, or too many properties are optional"
        raise Failure(ExitStatus.USAGE, f"the schema cannot become a grammar: {why}") from None
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise Failure(
            ExitStatus.USAGE, f"the schema cannot become a grammar: {error or type(error).__name__}"
        ) from error


def _converted(schema: Any) -> str:
    module = low_level("llama_grammar")

    class Converter(module.SchemaConverter):  # type: ignore[misc,name-defined]
        def _format_literal(self, literal: str) -> str:
            """Escape backslashes, which the converter's own method does not: GBNF reads them as escapes.

            Letters beyond ASCII are written as they are. JSON has `\\u` escapes for them, which few models write.
            """
            literal = _JSON_ESCAPES.sub(_unescaped, literal)
            escaped = re.sub(r'["\\]', r"\\\g<0>", literal).replace("\r", "\\r").replace("\n", "\\n")
            return f'"{escaped}"'

        def _add_primitive(self, name: str, rule: Any) -> Any:
            """Keep control characters out of strings, where JSON does not allow them."""
            if name == "char":
                rule = module.BuiltinRule(rule.content.replace(r'[^"\\]', f"[^{_NOT_IN_STRINGS}]"), rule.deps)
            return super()._add_primitive(name, rule)

        def visit(self, schema: Any, name: str) -> Any:
            """Keep an integer within its bounds, which the converter's own method ignores."""
            bounds = _bounds_of(schema)
            if bounds is None:
                return super().visit(schema, name)
            return self._add_rule(
                f"{name}-" if name in module.RESERVED_NAMES else name or "root",
                f"({integer_rule(*bounds)}) space",
            )

    converter = Converter(prop_order={}, allow_fetch=False, dotall=False, raw_pattern=False)
    converter.visit(converter.resolve_refs(schema, "the schema"), "")
    grammar: str = converter.format_grammar()
    return grammar


def _unescaped(escapes: re.Match[str]) -> str:
    """The characters of JSON's escapes; the escapes themselves if they must stay, as for half of a surrogate pair."""
    if not escapes[0].startswith("\\u"):
        return escapes[0]
    text = json.dumps(json.loads(f'"{escapes[0]}"'), ensure_ascii=False)[1:-1]
    try:
        text.encode()
    except UnicodeEncodeError:
        return escapes[0]
    return text


def _bounds_of(schema: Any) -> tuple[int | None, int | None] | None:
    """The lowest and the highest value of an integer with bounds; None for any other schema."""
    others = {"$ref", "oneOf", "anyOf", "allOf", "const", "enum"}
    if not isinstance(schema, dict) or schema.get("type") != "integer" or others & schema.keys():
        return None
    lows = [_ceiling(schema.get("minimum"), 0), _ceiling(schema.get("exclusiveMinimum"), 1)]
    highs = [_floor(schema.get("maximum"), 0), _floor(schema.get("exclusiveMaximum"), 1)]
    low = max((one for one in lows if one is not None), default=None)
    high = min((one for one in highs if one is not None), default=None)
    return None if low is None and high is None else (low, high)


def _ceiling(bound: Any, excluded: int) -> int | None:
    """The least integer that is at least `bound`, or above it if `excluded` is 1."""
    if isinstance(bound, bool) or not isinstance(bound, int | float):
        return None
    return math.floor(bound) + 1 if excluded else math.ceil(bound)


def _floor(bound: Any, excluded: int) -> int | None:
    above = _ceiling(-bound, excluded) if isinstance(bound, int | float) else None
    return None if above is None or isinstance(bound, bool) else -above


def _portable(data: Any) -> Any:
    """`data` with bounds that a grammar can express, and patterns that the converter understands."""
    if isinstance(data, list):
        return [_portable(item) for item in data]
    if not isinstance(data, dict):
        return data
    kept: dict[str, Any] = {}
    for key, value in data.items():
        if key in _BOUNDS and isinstance(value, int) and value > _MAX_REPEATS:
            if key.startswith("min"):
                kept[key] = _MAX_REPEATS
        elif key == "enum" and isinstance(value, list) and len(value) > _MAX_VALUES:
            raise ValueError(f"an enum has {len(value)} values, over {_MAX_VALUES}")
        elif key == "pattern" and isinstance(value, str):
            kept[key] = _pattern(value)
        else:
            kept[key] = value if key in ("const", "enum") else _portable(value)
    return kept


def _pattern(pattern: str) -> str:
    """The pattern, rewritten for the converter so that it matches the same text inside a JSON string.

    The converter understands neither shorthands (`\\d`) nor most escapes, and would let `.` and `[^a]` match
    the quote that ends the string.
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
    """One escape of a pattern, rewritten. Raises ValueError for an escape that no grammar can express."""
    sign = piece[1]
    if sign in _SHORTHANDS:
        return _SHORTHANDS[sign] if in_class else f"[{_SHORTHANDS[sign]}]"
    if sign.isalnum() or not sign.isascii():
        raise ValueError(f"unsupported escape {piece} in a pattern")
    if sign in '"\\':
        return rf"\x{ord(sign):02X}" if in_class else r"\\" + (r"\\" if sign == "\\" else sign)
    if in_class:
        return rf"\x{ord(sign):02X}"
    return piece if sign in _KEPT_ESCAPES else rf"[\x{ord(sign):02X}]"


def _named(schema: Any) -> Any:
    """`schema` as a named definition, if it refers to itself (`#`) or is only a reference.

    The converter resolves references to names only, and none at the top level of the schema.
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
