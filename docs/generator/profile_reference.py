"""The reference of profile keys, and the JSON Schema that editors check profiles with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hybrid_cli.profile.published_schema import json_schema

_INTRO = """\
<!-- Generated from the schema by: python docs/generator -->

# Profiles: every key

[Profiles and who decides](policy.md) explains how to write a profile and which setting wins.

- `hybrid profile check FILE` checks a profile.
- `hybrid profile explain` prints the effective values, and the layer that set each.
- `hybrid profile schema` prints the JSON Schema behind this table.

`[]` means each entry of a list.

| key | type | default | meaning |
|---|---|---|---|
"""
_SERVER = "#/$defs/Server"


def profiles_page() -> str:
    """Return the text of the page."""
    schema = json_schema()
    return _INTRO + "".join(_rows(schema["$ref"], "", schema["$defs"]))


def profiles_schema() -> str:
    """Return the text of the file that the shipped profiles name as their schema."""
    return json.dumps(json_schema(), indent=2) + "\n"


def _rows(reference: str, prefix: str, definitions: dict[str, Any]) -> Iterator[str]:
    section = definitions[reference.rsplit("/", 1)[-1]]
    for name, field in section["properties"].items():
        key = f"{prefix}{name}"
        below = list(_references(field))
        description = field.get("description", "")
        if below and below[0][0] != _SERVER:
            ((inner, is_list),) = below
            description = description or definitions[inner.rsplit("/", 1)[-1]].get("description", "")
            yield _row(key, "list" if is_list else "section", "", description)
            yield from _rows(inner, f"{key}{'[]' if is_list else ''}.", definitions)
        elif below:
            yield _row(key, "list; its entries have the keys of `cloud`", "", description)
        else:
            yield _row(key, _type(field), _default(name, field, section), description)


def _row(key: str, kind: str, default: str, meaning: str) -> str:
    return f"| `{key}` | {kind} | {default} | {' '.join(meaning.split())} |\n"


def _references(field: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield the sections that a field refers to, and whether it holds a list of them."""
    for one in (field, *field.get("anyOf", ()), *field.get("allOf", ())):
        if "$ref" in one:
            yield one["$ref"], False
        elif "$ref" in one.get("items", {}):
            yield one["items"]["$ref"], True


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(one) for one in field["anyOf"] if one.get("type") != "null")
    if "const" in field or "enum" in field:
        return ", ".join(f"`{word}`" for word in field.get("enum", [field.get("const")]))
    if field["type"] == "array":
        return f"list of {_type(field['items'])}"
    if field["type"] == "object":
        return f"mapping to {_type(field['additionalProperties'])}"
    return f"{field['type']}{_bounds(field)}"


def _bounds(field: dict[str, Any]) -> str:
    if "minimum" in field:
        return f" from {field['minimum']:g} to {field['maximum']:.10g}"
    if "exclusiveMinimum" in field:
        return f" over {field['exclusiveMinimum']:g}, to {field['maximum']:.9g}"
    return ""


def _default(name: str, field: dict[str, Any], section: dict[str, Any]) -> str:
    if name in section.get("required", ()):
        return "required"
    default = field.get("default")
    return "" if default in (None, [], {}) else f"`{json.dumps(default)}`"
