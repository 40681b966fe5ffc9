"""Gather a cloud's events into one reply. They are read as plain JSON, because servers differ in details."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from hybrid_cli.cloud import faults
from hybrid_cli.cloud.events import END
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
    refusal: str = ""
    """What the model says in the place of an answer that it declines to give."""
    notes: list[str] = field(default_factory=list)
    """Doubts about the answer, for the user."""


class Reported(Exception):  # noqa: N818  becomes a CloudFault
    """A server reports an error inside its stream; holds the error as JSON."""


def gather(
    events: Iterable[Any], server: Server, on_text: Callable[[str], None], check: Callable[[], None]
) -> Reply:
    """The reply in `events`. `check` is called before each event and may raise.

    Raises Reported; CloudFault for a stream that is cut or malformed; and whatever reading `events` raises.
    What goes wrong after the answer's end does not matter.
    """
    reply = Reply(model=server.model)
    take = _take_event if server.api == "responses" else _take_chunk
    is_whole = False
    try:
        for event in events:
            check()
            if event is END:
                is_whole = True
                break
            if isinstance(event, dict):
                _refuse_error(event)
                take(event, reply, on_text)
    except Exception as error:  # noqa: BLE001  whatever happens after the answer's end, it was paid for
        if not reply.finish_reason:
            is_malformed = isinstance(
                error, (AttributeError, LookupError, TypeError, ValueError, OverflowError)
            )
            raise (faults.bad_response(server) if is_malformed else error) from None
    if not reply.finish_reason:
        if not (is_whole and reply.tokens_out is not None and (reply.text or reply.refusal)):
            raise faults.cut(server)
        reply.finish_reason = "stop"
        reply.notes.append("the cloud did not say why its answer ended; it looks complete")
    return reply


def _refuse_error(event: dict[str, Any]) -> None:
    """Raise Reported for an error that a server reports inside its stream or in a body with status 200."""
    error = event.get("error")
    if event.get("type") in ("error", "response.failed"):
        error = error or (event.get("response") or {}).get("error") or event
    if error:
        raise Reported(error)


def _take_chunk(chunk: Any, reply: Reply, on_text: Callable[[str], None]) -> None:
    """Add one chunk of Chat Completions to `reply`; a whole answer has `message` in the place of `delta`."""
    _take_frame(chunk, reply)
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():  # some chunks hold only the usage, or `null`
        if not isinstance(choice, dict) or choice.get("index") not in (0, None):
            continue
        delta = choice.get("delta") or choice.get("message") or {}
        _add(_text_of(delta.get("content")), reply, on_text)
        reply.refusal += _text_of(delta.get("refusal"))
        for annotation in delta.get("annotations") or ():
            _cite(reply, annotation)
        if choice.get("finish_reason") in _FAILURES:  # after the text of this chunk, which -v shows
            raise Reported(choice.get("error") or {"code": choice["finish_reason"]})
        if choice.get("finish_reason"):
            reply.finish_reason = _finish_reason(choice["finish_reason"])


def _take_event(event: Any, reply: Reply, on_text: Callable[[str], None]) -> None:
    """Add one event of the Responses API to `reply`; a whole answer is the object of the last event."""
    kind = event.get("type")
    if kind == "response.output_text.delta":
        _add(event["delta"], reply, on_text)
    elif kind == "response.output_text.done" and not reply.text:  # some gateways drop the pieces
        _add(_text_of(event.get("text")), reply, on_text)
    elif kind == "response.refusal.delta":
        reply.refusal += _text_of(event["delta"])
    elif kind == "response.output_text.annotation.added":
        _cite(reply, event["annotation"])
    elif kind == "response.output_item.done":
        _take_item(event["item"], reply)
    elif kind in ("response.completed", "response.incomplete"):
        _take_end(event["response"], reply, on_text)
    elif kind is None and event.get("object") == "response":
        _take_end(event, reply, on_text)
    elif kind is None:
        raise ValueError("not an event")


def _text_of(content: Any) -> str:
    """The text in a message's content: a string, or a list of parts. Parts of thinking are left out."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    parts = [part if isinstance(part, dict) else {"type": "text", "text": part} for part in content]
    return "".join(part["text"] for part in parts if part.get("type") in ("text", "output_text", None))


def _add(text: str, reply: Reply, on_text: Callable[[str], None]) -> None:
    if text:
        text = _valid(text)
        reply.text += text
        on_text(text)


def _valid(text: str) -> str:
    """`text` without lone surrogates, which JSON can contain and UTF-8 cannot."""
    return text.encode(errors="replace").decode()


_FINISH_REASONS = {
    "stop": ("eos", "eos_token", "end_turn", "stop_sequence", "stop_token", "complete", "completed", "end"),
    "length": (
        "max_tokens",
        "max_output_tokens",
        "max_completion_tokens",
        "model_length",
        "token_limit",
        "model_context_window_exceeded",
    ),
    "content_filter": (
        "safety",
        "recitation",
        "prohibited_content",
        "blocklist",
        "spii",
        "guardrail",
        "sensitive",
    ),
}
"""What servers call the reasons that end an answer, by the names of OpenAI's API."""


_FAILURES = ("error", "network_error", "insufficient_system_resource")
"""Reasons of gateways whose model failed while it answered: the status 200 was already sent."""


def _finish_reason(given: Any) -> str:
    """OpenAI's name for the reason that a server gives; the server's own if it is another one."""
    name = _valid(str(given))
    known = name.lower().removeprefix("finish_reason_")
    return next((ours for ours, names in _FINISH_REASONS.items() if known in (ours, *names)), name)


def _take_frame(data: Any, reply: Reply) -> None:
    """Add model, service tier and usage, which stand beside the text."""
    reply.model = _valid(str(data.get("model") or reply.model))
    reply.tier = _tier(data) or reply.tier
    usage = data.get("usage") or _part(data, "x_groq").get("usage")
    if isinstance(usage, dict):
        _take_usage(reply, usage)


def _take_item(item: Any, reply: Reply) -> None:
    tool = _TOOL_ITEMS.get(item.get("type"))
    if tool is not None:
        reply.tools += (tool,)
    if tool == "image_generation" and item.get("result"):
        reply.images.append(base64.b64decode(item["result"], validate=True))


def _take_end(response: Any, reply: Reply, on_text: Callable[[str], None]) -> None:
    _take_frame(response, reply)
    has_tools = bool(reply.tools)
    texts = []
    for item in response.get("output") or []:  # some servers name text, tools and sources only here
        if not has_tools:
            _take_item(item, reply)
        for part in item.get("content") or []:
            if part.get("type") == "output_text":
                texts.append(part.get("text") or "")
            elif part.get("type") == "refusal" and not reply.refusal:
                reply.refusal = _text_of(part.get("refusal"))
            for annotation in part.get("annotations") or []:
                _cite(reply, annotation)
    whole = _valid("".join(texts))
    if whole.startswith(reply.text):
        _add(whole[len(reply.text) :], reply, on_text)
    if response.get("status") == "failed":
        raise ValueError("the response failed")
    why = (response.get("incomplete_details") or {}).get("reason")
    reply.finish_reason = "stop" if why is None else _finish_reason(why)


def _take_usage(reply: Reply, usage: dict[str, Any]) -> None:
    """Add the server's token counts to `reply`, by the names of either API; impossible ones are ignored."""
    tokens_in, tokens_out = (
        next((name for name in names if f"{name}_tokens" in usage), names[0])
        for names in (("prompt", "input"), ("completion", "output"))
    )
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


def _cite(reply: Reply, annotation: Any) -> None:
    """Add the web page that `annotation` cites, unless it is there already; other annotations are ignored."""
    if not isinstance(annotation, dict):
        return
    page = annotation.get("url_citation") or annotation
    if isinstance(page, dict) and isinstance(page.get("url"), str):
        citation = {"title": _valid(str(page.get("title") or "")), "url": _valid(page["url"])}
        if citation not in reply.citations:
            reply.citations.append(citation)
