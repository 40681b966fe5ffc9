"""From a JSON Schema to the grammar that constrains the model, by llama.cpp's own converter."""

from __future__ import annotations

from functools import cache

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.bindings import low_level


@cache
def grammar_of(schema: str) -> str:
    """The GBNF grammar of `schema`. Raises Failure (USAGE) where it has none.

    Keywords that no grammar can express (`uniqueItems`, `not`, ...) are left out here: the answer is
    validated against the whole schema afterwards.
    """
    converter = low_level("llama_grammar")
    try:
        grammar: str = converter.json_schema_to_gbnf(schema)
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise Failure(
            ExitStatus.USAGE, f"the schema cannot be a grammar: {error or type(error).__name__}"
        ) from error
    return grammar
