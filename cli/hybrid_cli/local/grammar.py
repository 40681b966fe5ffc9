"""From a JSON Schema to the grammar that constrains the model, by llama.cpp's own converter."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.bindings import low_level

_WHOLE = "whole-schema"


@cache
def grammar_of(schema: str) -> str:
    """The GBNF grammar of `schema`. Raises Failure (USAGE) where it has none.

    Keywords that no grammar can express (`uniqueItems`, `not`, ...) are left out here: the answer is
    validated against the whole schema afterwards.
    """
    converter = low_level("llama_grammar")
    try:
        grammar: str = converter.json_schema_to_gbnf(json.dumps(_named(json.loads(schema))))
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise Failure(
            ExitStatus.USAGE, f"the schema cannot be a grammar: {error or type(error).__name__}"
        ) from error
    return grammar


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
