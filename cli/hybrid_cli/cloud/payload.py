"""The body of a request, for Chat Completions or the Responses API, and the dialects of clouds (`DIALECTS`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hybrid_cli.profile.cloud_section import Server
from hybrid_cli.profile.modes import Tool
from hybrid_cli.profile.origin import origin_of

MAX_TOOL_CALLS = 3
"""How many times a model may call its hosted tools in one request."""
_MAX_STOPS = 4
"""The most stop texts that Chat Completions accepts."""


@dataclass(frozen=True)
class Dialect:
    """How a cloud's Chat Completions API differs from the common form, which is the defaults."""

    limit_field: str = "max_tokens"
    """The field that limits the answer's tokens."""
    accepts_stop: bool = True
    """Whether `stop` is sent. hybrid applies it to the answer in any case."""
    always: Mapping[str, Any] = field(default_factory=dict)
    """Fields that every request gets."""


DIALECTS: Mapping[str, Dialect] = {
    # `store: false` asks OpenAI to keep no copy; its reasoning models refuse `stop`.
    "https://api.openai.com": Dialect("max_completion_tokens", accepts_stop=False, always={"store": False}),
}
"""Dialects by origin: scheme, host, and a port other than the default, as in `http://127.0.0.1:8080`.

To add a dialect, add a row here, and a case in tests/egress/test_payload.py.
"""


@dataclass(frozen=True)
class Call:
    """One request to one server, independent of its API."""

    server: Server
    messages: Sequence[dict[str, str]]
    max_tokens: int
    temperature: float | None = None
    tools: tuple[Tool, ...] = ()
    schema: dict[str, Any] | None = None
    """The JSON Schema that the answer must match."""
    stop: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The URL path below the server's `base_url`."""
        return "/responses" if self.server.api == "responses" else "/chat/completions"

    def body(self) -> dict[str, Any]:
        """The body as JSON types."""
        body = _responses_body(self) if self.server.api == "responses" else _chat_body(self)
        return body if self.temperature is None else {**body, "temperature": self.temperature}

    def content(self) -> bytes:
        """The exact bytes that are sent."""
        return json.dumps(self.body(), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(
            "utf-8", "replace"
        )


def _chat_body(call: Call) -> dict[str, Any]:
    """The body for Chat Completions, in the server's dialect."""
    dialect = DIALECTS.get(origin_of(call.server.base_url), Dialect())
    return {
        "model": call.server.model,
        "messages": list(call.messages),
        "stream": True,
        "stream_options": {"include_usage": True},
        dialect.limit_field: call.max_tokens,
        **dialect.always,
        **({"stop": list(call.stop[:_MAX_STOPS])} if call.stop and dialect.accepts_stop else {}),
        **(
            {"response_format": {"type": "json_schema", "json_schema": _named(call.schema)}}
            if call.schema
            else {}
        ),
        **_extra_fields(call.server),
    }


def _responses_body(call: Call) -> dict[str, Any]:
    """The body for the Responses API. Without `store: false`, servers keep the request."""
    extra = _extra_fields(call.server)
    effort, verbosity = extra.pop("reasoning_effort", None), extra.pop("verbosity", None)
    tools = [{"type": tool} for tool in call.tools]
    text: dict[str, Any] = {"verbosity": verbosity} if verbosity else {}
    if call.schema:
        text["format"] = {"type": "json_schema", **_named(call.schema)}
    return {
        "model": call.server.model,
        "input": list(call.messages),
        "stream": True,
        "max_output_tokens": call.max_tokens,
        "store": False,
        **({"tools": tools, "tool_choice": "required", "max_tool_calls": MAX_TOOL_CALLS} if tools else {}),
        **({"reasoning": {"effort": effort}} if effort else {}),
        **({"text": text} if text else {}),
        **extra,
    }


def _named(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema in the form of both APIs. Without `strict`, which accepts only a subset of JSON Schema."""
    return {"name": "answer", "schema": schema}


def _extra_fields(server: Server) -> dict[str, Any]:
    """The fields that are set in the profile's `extra`, and its `reasoning_effort`."""
    extra: dict[str, Any] = {
        name: value for name, value in msgspec.to_builtins(server.extra).items() if value is not None
    }
    if server.reasoning_effort is not None:
        extra.setdefault("reasoning_effort", server.reasoning_effort)
    if "provider" in extra:
        extra["provider"] = {name: value for name, value in extra["provider"].items() if value is not None}
    return extra
