"""A JSON Schema without combinations: alternatives that each name one type, or the values that are allowed.

The converter to a grammar reads one keyword of a schema at a time. Here `allOf`, `anyOf` beside other keywords, lists of
types and references with siblings become schemas that it understands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

Schema = dict[str, Any]
Resolve = Callable[[str], Any]
"""Returns the target of a reference."""

_MOST = 256
"""Alternatives of one schema; more come only of unions within unions."""
_TYPES: Mapping[str, tuple[str, ...]] = {
    "object": (
        "properties",
        "required",
        "additionalProperties",
        "patternProperties",
        "propertyNames",
        "minProperties",
        "maxProperties",
    ),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
"""The keywords that constrain values of one type."""
_KNOWN = {"type", "enum", "const", "$ref", "allOf", "anyOf", "oneOf"}.union(*_TYPES.values())
_CLASSES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
    "number": (int, float),
}


def target_in(whole: Any) -> Resolve:
    """Return a function for the target of a reference within `whole`. It raises ValueError if there is none."""

    @cache
    def resolve(reference: str) -> Any:
        from referencing import Registry  # late: few schemas have references
        from referencing.exceptions import Unresolvable
        from referencing.jsonschema import DRAFT202012

        registry = Registry().with_resource("", DRAFT202012.create_resource(whole))
        try:
            return registry.resolver().lookup(reference).contents
        except Unresolvable:
            raise ValueError(f"it does not contain {reference}") from None

    return resolve


def plain(schema: Any, resolve: Resolve) -> Schema:
    """Return `schema` as a lone `$ref`, an `anyOf` of schemas, an `enum`, or the keywords of one `type`.

    An empty result allows any value. Raises ValueError if no value is allowed.
    """
    known = _known(schema)
    match known:
        case {"$ref": _} if len(known) == 1:
            return known
        case {"anyOf": union} | {"oneOf": union} if len(known) == 1:
            return {"anyOf": [part for part in union if part is not False]}
        case {"allOf": [part]} if len(known) == 1:
            return plain(part, resolve)
    found = _alternatives(known, resolve)
    return found[0] if len(found) == 1 else {"anyOf": found}


def _known(schema: Any) -> Schema:
    """Return the keywords of `schema` that a grammar can express."""
    if schema is False:
        raise ValueError("no value can match a part of it")
    known = {} if schema is True else {key: value for key, value in schema.items() if key in _KNOWN}
    for bound, excluded in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        # In draft 4 the second one says whether the first one is excluded.
        if isinstance(known.get(excluded), bool) and known.pop(excluded) and bound in known:
            known[excluded] = known.pop(bound)
    return known


def _alternatives(schema: Any, resolve: Resolve) -> list[Schema]:
    """Return schemas of which one matches wherever `schema` does, each without a reference or a combination."""
    known = _known(schema)
    parts, reference = known.pop("allOf", []), known.pop("$ref", None)
    unions = [known.pop(key) for key in ("anyOf", "oneOf") if key in known]
    if "const" in known:
        known["enum"] = [known.pop("const")]
    types = known.get("type")
    found = [{**known, "type": one} for one in types] if isinstance(types, list) else [known]
    if reference is not None:
        parts = [*parts, resolve(reference)]
    for part in parts:
        found = _both(found, _alternatives(part, resolve))
    for union in unions:
        branches = (part for part in union if part is not False)
        found = _both(found, [one for part in branches for one in _alternatives(part, resolve)])
    found = [typed for typed in map(_typed, found) if typed is not None]
    if not found:
        raise ValueError("no value can match a part of it")
    return found


def _both(left: list[Schema], right: list[Schema]) -> list[Schema]:
    """Return the alternatives that match both one of `left` and one of `right`."""
    if len(left) * len(right) > _MOST:
        raise ValueError(f"its unions have over {_MOST} alternatives")
    merged = (_merged(one, other) for one in left for other in right)
    return [one for one in merged if one is not None]


def _merged(left: Schema, right: Schema) -> Schema | None:
    """Return a schema that matches where both do; None if their types differ.

    Of two patterns or formats the first stays: a grammar cannot express both.
    """
    merged = {**right, **left}
    for key in left.keys() & right.keys():
        one, other = left[key], right[key]
        if key == "type" and {one, other} == {"integer", "number"}:
            merged[key] = "integer"
        elif key == "type" and one != other:
            return None
        elif key == "enum":
            texts = set(map(_text, other))
            merged[key] = [value for value in one if _text(value) in texts]
        elif key in ("properties", "patternProperties"):
            shared = {name: _all_of(one[name], other[name]) for name in one if name in other}
            merged[key] = {**one, **other, **shared}
        elif key == "required":
            merged[key] = list(dict.fromkeys([*one, *other]))
        elif key in ("items", "additionalProperties", "propertyNames"):
            merged[key] = _all_of(one, other)
        elif key.startswith(("min", "exclusiveMin")):
            merged[key] = max(one, other)
        elif key.startswith(("max", "exclusiveMax")):
            merged[key] = min(one, other)
    return merged


def _all_of(one: Any, other: Any) -> Any:
    """Return a schema for the values that match both `one` and `other`."""
    if one is False or other is False:
        return False
    return one if one == other else {"allOf": [one, other]}


def _typed(schema: Schema) -> Schema | None:
    """Return `schema` with the type that its keywords are about; None if none of its values has its type."""
    if "enum" in schema:
        values = [
            value for value in schema["enum"] if "type" not in schema or has_type(value, schema["type"])
        ]
        return {"enum": values} if values else None
    if "type" in schema:
        return schema
    kind = next((kind for kind, keys in _TYPES.items() if any(key in schema for key in keys)), None)
    return schema if kind is None else {"type": kind, **schema}


def has_type(value: Any, kind: str) -> bool:
    """Return whether `value` has the JSON Schema type `kind`. A number without a fraction is an integer."""
    if kind == "integer":
        return has_type(value, "number") and value == int(value)
    return isinstance(value, _CLASSES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
