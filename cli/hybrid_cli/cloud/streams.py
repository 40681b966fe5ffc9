"""Gather a cloud's stream into one reply. Chunks are read as plain JSON, because servers differ in details."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from hybrid_cli.cloud import faults
from hybrid_cli.profile.cloud_section import Server
from hybrid_cli.profile.modes import Tool

_TOOL_ITEMS: dict[str, Tool] = {
    "web_search_call": "web_search",
    "image_generation_call": "image_generation",
}
_MAX_TOKENS = 10_000_000
"""A larger count cannot be true of one answer."""


@dataclass
class Reply:
    """A whole answer. Token counts are None if the server sent none."""

    text: str = ""
    model: str = ""
    finish_reason: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    cached: int = 0
    reasoning: int = 0
    citations: list[dict[str, str]] = field(default_factory=list)
    """The web pages that the answer cites: title and url."""
    images: list[bytes] = field(default_factory=list)
    tools: tuple[Tool, ...] = ()
    """The hosted tools that the model called, one entry for each call."""
    pause: float | None = None
    """Seconds to wait before the next request, if the server asks for it."""
    tier: str | None = None
    """The service tier that the server used; tiers differ in price."""


def gather(
    chunks: Iterable[Any], server: Server, on_text: Callable[[str], None], check: Callable[[], None]
) -> Reply:
    """The reply in `chunks`. `check` is called before each chunk and may raise.

    Raises CloudFault for a stream that ends without a finish reason, or that does not follow the API.
    """
    reply = Reply(model=server.model)
    take = _take_event if server.api == "responses" else _take_chunk
    for chunk in chunks:
        check()
        try:
            take(chunk, reply, on_text, server)
        except (AttributeError, LookupError, TypeError, ValueError, OverflowError):
            raise faults.bad_response(server) from None
    if not reply.finish_reason:
        raise faults.cut(server)
    return reply


def _take_chunk(chunk: Any, reply: Reply, on_text: Callable[[str], None], _server: Server) -> None:
    """Add one chunk of Chat Completions to `reply`."""
    reply.model = _valid(str(chunk.get("model") or reply.model))
    reply.tier = _tier(chunk) or reply.tier
    if usage := chunk.get("usage"):
        _take_usage(reply, usage, "prompt", "completion")
    for choice in chunk["choices"][:1]:
        delta = choice.get("delta") or {}
        if delta.get("content"):
            _add(delta["content"], reply, on_text)
        reply.citations += [_citation(item["url_citation"]) for item in delta.get("annotations") or []]
        reply.finish_reason = _valid(str(choice.get("finish_reason") or reply.finish_reason))


def _take_event(event: Any, reply: Reply, on_text: Callable[[str], None], server: Server) -> None:
    """Add one event of the Responses API to `reply`."""
    kind = event["type"]
    if kind == "response.output_text.delta":
        _add(event["delta"], reply, on_text)
    elif kind == "response.output_text.annotation.added":
        if event["annotation"]["type"] == "url_citation":
            _cite(reply, event["annotation"])
    elif kind == "response.output_item.done":
        _take_item(event["item"], reply)
    elif kind in ("response.completed", "response.incomplete"):
        _take_end(event["response"], reply)
    elif kind in ("response.failed", "error"):
        raise faults.bad_response(server, "reported an error in its stream")


def _add(text: str, reply: Reply, on_text: Callable[[str], None]) -> None:
    text = _valid(text)
    reply.text += text
    on_text(text)


def _valid(text: str) -> str:
    """`text` without lone surrogates, which JSON can contain and UTF-8 cannot."""
    return text.encode(errors="replace").decode()


def _take_item(item: Any, reply: Reply) -> None:
    tool = _TOOL_ITEMS.get(item.get("type"))
    if tool is not None:
        reply.tools += (tool,)
    if tool == "image_generation" and item.get("result"):
        reply.images.append(base64.b64decode(item["result"], validate=True))


def _take_end(response: Any, reply: Reply) -> None:
    reply.model = _valid(str(response.get("model") or reply.model))
    reply.tier = _tier(response) or reply.tier
    if usage := response.get("usage"):
        _take_usage(reply, usage, "input", "output")
    has_tools = bool(reply.tools)
    for item in response.get("output") or []:  # some servers name tools and sources only here
        if not has_tools:
            _take_item(item, reply)
        for part in item.get("content") or []:
            for annotation in part.get("annotations") or []:
                if annotation["type"] == "url_citation":
                    _cite(reply, annotation)
    why = (response.get("incomplete_details") or {}).get("reason")
    reply.finish_reason = {None: "stop", "max_output_tokens": "length"}.get(why, _valid(str(why)))


def _take_usage(reply: Reply, usage: Any, tokens_in: str, tokens_out: str) -> None:
    """Add the server's token counts to `reply`; impossible ones are ignored.

    `tokens_in` and `tokens_out` are the API's names for both: prompt and completion, or input and output.
    """
    reply.tokens_in = _count(usage.get(f"{tokens_in}_tokens"))
    reply.tokens_out = _count(usage.get(f"{tokens_out}_tokens"))
    cached = _count(_part(usage, f"{tokens_in}_tokens_details").get("cached_tokens"))
    reasoning = _count(_part(usage, f"{tokens_out}_tokens_details").get("reasoning_tokens"))
    reply.cached = min(cached or 0, reply.tokens_in or 0)
    reply.reasoning = min(reasoning or 0, reply.tokens_out or 0)


def _part(usage: Any, name: str) -> dict[str, Any]:
    part = usage.get(name)
    return part if isinstance(part, dict) else {}


def _tier(data: Any) -> str | None:
    tier = data.get("service_tier")
    return tier if isinstance(tier, str) else None


def _count(value: Any) -> int | None:
    """`value` if it is a possible number of tokens, or else None."""
    return value if type(value) is int and 0 <= value <= _MAX_TOKENS else None


def _cite(reply: Reply, item: Any) -> None:
    """Add a citation, unless it is there already."""
    citation = _citation(item)
    if citation not in reply.citations:
        reply.citations.append(citation)


def _citation(item: Any) -> dict[str, str]:
    return {"title": _valid(str(item.get("title") or "")), "url": _valid(str(item["url"]))}
