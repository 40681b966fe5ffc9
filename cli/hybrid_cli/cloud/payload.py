"""The body of a request, for Chat Completions or the Responses API, in the dialect of its server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from hybrid_cli.cloud.dialects import Dialect, first_dialect
from hybrid_cli.cloud.image import Image, counted
from hybrid_cli.cloud.reasoning import reasons_by_name
from hybrid_cli.profile.cloud_section import DEFAULT_SILENCE, Server
from hybrid_cli.profile.modes import Tool

MAX_TOOL_CALLS = 3
"""How many times a model may call its hosted tools in one request."""
_MAX_STOPS = 4
"""The most stop texts that Chat Completions accepts."""
_WRAPPER = "answer"
"""The key that holds an answer whose schema is no object, as clouds accept objects only."""
_REASONING_SECONDS = 300.0
"""How long a reasoning model may be silent, as many servers stream nothing while it thinks."""


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
    dialect: Dialect | None = None
    """How this server takes requests; None for where hybrid begins."""
    images: tuple[Image, ...] = ()
    """They belong to the last message."""
    describes_images: bool = False
    """Whether `content` has a description in the place of each image, for readers."""

    @property
    def path(self) -> str:
        """The URL path below the server's `base_url`."""
        return "/responses" if self.server.api == "responses" else "/chat/completions"

    @property
    def in_dialect(self) -> Dialect:
        """The dialect of the request."""
        return self.dialect or first_dialect(self.server.base_url)

    @property
    def token_limit(self) -> int:
        """The most tokens of the answer: the profile's, or the server's if that is less."""
        return min(self.max_tokens, self.in_dialect.most_tokens or self.max_tokens)

    @property
    def silence(self) -> float:
        """The seconds that the server may send nothing: a reasoning model, and an answer sent whole, take longer."""
        timeouts = self.server.timeouts
        if not self.in_dialect.streams:
            return timeouts.answer
        if timeouts.silent is not None:
            return timeouts.silent
        effort = self.server.reasoning_effort or self.server.extra.reasoning_effort
        reasons = effort not in (None, "none", "minimal") or reasons_by_name(self.server.model)
        return _REASONING_SECONDS if reasons else DEFAULT_SILENCE

    @property
    def has_system_message(self) -> bool:
        """Whether a message has the role `system` in this dialect."""
        return any(message["role"] == "system" for message in _texts(self))

    def body(self) -> dict[str, Any]:
        """The body as JSON types."""
        body = _responses_body(self) if self.server.api == "responses" else _chat_body(self)
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if "reasoning_effort" in self.in_dialect.omitted:
            body.pop("reasoning", None)
        return {name: value for name, value in body.items() if name not in self.in_dialect.omitted}

    def content(self) -> bytes:
        """The exact bytes that are sent."""
        return _compact(self.body()).encode("utf-8", "replace")

    def readable(self) -> bytes:
        """The content, with a short description in the place of each image."""
        return replace(self, describes_images=True).content() if self.images else self.content()

    @property
    def image_note(self) -> str:
        """The images in words, for the handoff notice; "" if there are none."""
        return f", with {counted(self.images)} (not scanned)" if self.images else ""

    def unwrapped(self, text: str) -> str:
        """The answer in `text`, taken out of the object that its schema was wrapped in for the cloud."""
        if self.schema is None or _is_object(self.schema):
            return text
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
        is_wrapped = isinstance(value, dict) and list(value) == [_WRAPPER]
        return json.dumps(value[_WRAPPER], ensure_ascii=False) if is_wrapped else text


def sent_forms(schema: dict[str, Any]) -> list[str]:
    """The texts in which a request may hold `schema`: as a field, and in a message; which one depends on the server."""
    return list(dict.fromkeys(_compact(one) for one in (_wrapped(schema), schema)))


def _compact(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _chat_body(call: Call) -> dict[str, Any]:
    """The body for Chat Completions, in the server's dialect."""
    dialect = call.in_dialect
    return {
        "model": call.server.model,
        "messages": _messages(call),
        "stream": dialect.streams,
        **({"stream_options": {"include_usage": True}} if dialect.streams else {}),
        dialect.limit_field: call.token_limit,
        **({"store": False} if dialect.keeps_nothing else {}),
        **({"stop": list(call.stop[:_MAX_STOPS])} if call.stop else {}),
        **_response_format(call),
        **_extra_fields(call.server),
    }


def _response_format(call: Call) -> dict[str, Any]:
    if call.schema is None or call.in_dialect.schema_form == "prompt":
        return {}
    if call.in_dialect.schema_form == "json_object":
        return {"response_format": {"type": "json_object"}}
    return {"response_format": {"type": "json_schema", "json_schema": _named(call.schema)}}


def _messages(call: Call) -> list[dict[str, Any]]:
    """The messages, with the images in the last one."""
    texts = _texts(call)
    if not call.images:
        return texts
    *others, last = texts
    return [*others, {**last, "content": _parts(call, last["content"])}]


def _parts(call: Call, text: str) -> list[dict[str, Any]]:
    """The content of a message with images, in the form of the API."""
    urls = [str(image) if call.describes_images else image.data_url() for image in call.images]
    if call.server.api == "responses":
        images: list[dict[str, Any]] = [{"type": "input_image", "image_url": url} for url in urls]
        return [{"type": "input_text", "text": text}, *images]
    images = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"type": "text", "text": text}, *images]


def _texts(call: Call) -> list[dict[str, str]]:
    """The messages, with the schema in the last one if the server does not take it as a field."""
    messages = list(call.messages)
    if not call.in_dialect.takes_system:
        messages = _without_system(messages)
    if call.schema is None or call.in_dialect.schema_form == "json_schema":
        return messages
    wanted = call.schema if call.in_dialect.schema_form == "prompt" else _wrapped(call.schema)
    text = _compact(wanted)
    content = f"{messages[-1]['content']}\nAnswer only with JSON that matches this JSON Schema: {text}"
    return [*messages[:-1], {**messages[-1], "content": content}]


def _without_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """The messages with the text of the system messages at the beginning of the first of the others."""
    texts = [message["content"] for message in messages if message["role"] == "system"]
    others = [message for message in messages if message["role"] != "system"]
    if not texts or not others:
        return messages
    first, *rest = others
    return [{**first, "content": "\n\n".join([*texts, first["content"]])}, *rest]


def _responses_body(call: Call) -> dict[str, Any]:
    """The body for the Responses API. Without `store: false`, servers keep the request."""
    extra = _extra_fields(call.server)
    effort, verbosity = extra.pop("reasoning_effort", None), extra.pop("verbosity", None)
    tools = [{"type": tool} for tool in call.tools]
    text: dict[str, Any] = {"verbosity": verbosity} if verbosity else {}
    if call.schema is not None and call.in_dialect.schema_form != "prompt":
        is_plain = call.in_dialect.schema_form == "json_object"
        text["format"] = (
            {"type": "json_object"} if is_plain else {"type": "json_schema", **_named(call.schema)}
        )
    return {
        "model": call.server.model,
        "input": _messages(call),
        "stream": call.in_dialect.streams,
        "max_output_tokens": call.token_limit,
        "store": False,
        **({"tools": tools, "tool_choice": "required", "max_tool_calls": MAX_TOOL_CALLS} if tools else {}),
        **({"reasoning": {"effort": effort}} if effort else {}),
        **({"text": text} if text else {}),
        **extra,
    }


def _named(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema in the form of both APIs. Without `strict`, which accepts only a subset of JSON Schema."""
    return {"name": "answer", "schema": _wrapped(schema)}


def _is_object(schema: dict[str, Any]) -> bool:
    """Whether `schema` describes an object, the only kind that every cloud accepts."""
    return schema.get("type") == "object"


def _wrapped(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` itself if it is an object's, or else that of an object which holds the answer."""
    if _is_object(schema):
        return schema
    return {
        "type": "object",
        "properties": {_WRAPPER: _moved(schema)},
        "required": [_WRAPPER],
        "additionalProperties": False,
    }


def _moved(data: Any) -> Any:
    """A part of a schema with its references changed to its place in the wrapper."""
    if isinstance(data, list):
        return [_moved(item) for item in data]
    if not isinstance(data, dict):
        return data
    moved = {
        key: value if key in ("const", "enum", "default", "examples") else _moved(value)
        for key, value in data.items()
        if key not in ("$schema", "$id")
    }
    reference = data.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        moved["$ref"] = f"#/properties/{_WRAPPER}{reference[1:]}"
    return moved


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
