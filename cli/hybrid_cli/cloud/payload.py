"""The exact bytes that a request sends: Chat Completions, or Responses where the profile says so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from hybrid_cli.profile.modes import Tool
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.profile.schema import Server

_OPENAI = "https://api.openai.com"
MAX_TOOL_CALLS = 3
"""How often a model may call its hosted tools for one request."""
_MOST_STOPS = 4  # the most that Chat Completions takes


@dataclass(frozen=True)
class Call:
    """One request to one server, before it is spelled out."""

    server: Server
    messages: Sequence[dict[str, str]]
    max_tokens: int
    temperature: float | None = None
    tools: tuple[Tool, ...] = ()
    schema: dict[str, Any] | None = None
    """The JSON Schema that the answer must fit."""
    stop: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return "/responses" if self.server.api == "responses" else "/chat/completions"

    def body(self) -> dict[str, Any]:
        """What is sent, as JSON's own types."""
        body = _responses(self) if self.server.api == "responses" else _chat(self)
        return body if self.temperature is None else {**body, "temperature": self.temperature}

    def content(self) -> bytes:
        """What is sent, byte for byte."""
        return json.dumps(self.body(), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(
            "utf-8", "replace"
        )


def _chat(call: Call) -> dict[str, Any]:
    """OpenAI's own servers take the newer name of the limit, and may be told to keep nothing.

    They get no `stop`, which their reasoning models refuse; it is applied to the answer in any case.
    """
    own = origin_of(call.server.base_url) == _OPENAI
    return {
        "model": call.server.model,
        "messages": list(call.messages),
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens" if own else "max_tokens": call.max_tokens,
        **({"store": False} if own else {}),
        **({"stop": list(call.stop[:_MOST_STOPS])} if call.stop and not own else {}),
        **(
            {"response_format": {"type": "json_schema", "json_schema": _named(call.schema)}}
            if call.schema
            else {}
        ),
        **_hints(call.server),
    }


def _responses(call: Call) -> dict[str, Any]:
    """Its servers keep what they get unless they are told not to."""
    hints = _hints(call.server)
    effort, verbosity = hints.pop("reasoning_effort", None), hints.pop("verbosity", None)
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
        **hints,
    }


def _named(schema: dict[str, Any]) -> dict[str, Any]:
    """As both APIs want it. Not `strict`, which only takes schemas of a special form."""
    return {"name": "answer", "schema": schema}


def _hints(server: Server) -> dict[str, Any]:
    """The profile's `extra`, without what is not set."""
    hints: dict[str, Any] = {
        name: value for name, value in msgspec.to_builtins(server.extra).items() if value is not None
    }
    if "provider" in hints:
        hints["provider"] = {name: value for name, value in hints["provider"].items() if value is not None}
    return hints
