"""How servers differ in the requests that they take: where hybrid begins, and what a refusal teaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from hybrid_cli.profile.origin import origin_of

LimitField = Literal["max_tokens", "max_completion_tokens"]
SchemaForm = Literal["json_schema", "json_object", "prompt"]
"""How the answer's JSON Schema is sent: as itself, as a wish for any JSON object, or in the prompt alone."""


class Dialect(msgspec.Struct, frozen=True):
    """The request that one server takes for one model. The defaults are the common form."""

    limit_field: LimitField = "max_tokens"
    """The field of Chat Completions that limits the answer's tokens."""
    most_tokens: int | None = None
    """The server's own upper bound for the limit."""
    schema_form: SchemaForm = "json_schema"
    streams: bool = True
    omitted: frozenset[str] = frozenset()
    """Fields that are not sent."""
    takes_system: bool = True
    """Whether messages may have the role `system`; else its text begins the first prompt."""
    keeps_nothing: bool = False
    """Whether Chat Completions gets `store: false`, which asks OpenAI to keep no copy."""


_OPENAI = Dialect("max_completion_tokens", omitted=frozenset({"stop"}), keeps_nothing=True)
"""OpenAI's reasoning models refuse `stop` and `max_tokens`. hybrid applies stop strings to the answer in any case."""
_HOSTS: Mapping[str, Dialect] = {"api.openai.com": _OPENAI}
"""Dialects that hybrid knows beforehand, by host; hosts below it count, such as eu.api.openai.com.

The table has only what must hold for the very first request, such as `store: false`. A refusal teaches the rest.
"""


def first_dialect(base_url: str) -> Dialect:
    """The dialect to begin with at a server."""
    host = origin_of(base_url).partition("://")[2].partition(":")[0]
    known = (dialect for name, dialect in _HOSTS.items() if host == name or host.endswith(f".{name}"))
    return next(known, Dialect())


def _without(field: str) -> Callable[[Dialect], Dialect]:
    return lambda dialect: msgspec.structs.replace(dialect, omitted=dialect.omitted | {field})


def _limit(field: LimitField) -> Callable[[Dialect], Dialect]:
    return lambda dialect: msgspec.structs.replace(dialect, limit_field=field)


def _plainer_schema(dialect: Dialect) -> Dialect:
    plainer: SchemaForm = "json_object" if dialect.schema_form == "json_schema" else "prompt"
    return msgspec.structs.replace(dialect, schema_form=plainer)


def _whole(dialect: Dialect) -> Dialect:
    return msgspec.structs.replace(dialect, streams=False)


def _without_system(dialect: Dialect) -> Dialect:
    return msgspec.structs.replace(dialect, takes_system=False)


REMEDIES: Mapping[str, tuple[str, Callable[[Dialect], Dialect]]] = {
    "stream_options": ("without it", _without("stream_options")),
    "max_tokens": ("with max_completion_tokens", _limit("max_completion_tokens")),
    "max_completion_tokens": ("with max_tokens", _limit("max_tokens")),
    "store": ("without it", _without("store")),
    "temperature": ("without it", _without("temperature")),
    "stop": ("without it", _without("stop")),
    "reasoning_effort": ("without it", _without("reasoning_effort")),
    "response_format": ("with a plainer one", _plainer_schema),
    "system": ("with the system message in the first prompt", _without_system),
    "stream": ("for the whole answer at once", _whole),
}
"""What hybrid asks for after a server refused a field: in words, and as a change of the dialect.

To handle one more field, add a row here, and a server that refuses it to tests/support/server_shapes.py.
"""


def after_refusal(dialect: Dialect, field: str) -> Dialect:
    """The dialect to try after the server refused `field`; the same one if there is no other."""
    if field not in REMEDIES or (field == "store" and dialect.keeps_nothing):
        return dialect
    return REMEDIES[field][1](dialect)
