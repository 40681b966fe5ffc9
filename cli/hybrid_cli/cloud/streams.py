"""Gather a cloud's events into one reply. They are read as plain JSON, because servers differ in details."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from hybrid_cli.cloud import faults
from hybrid_cli.cloud.answer_text import AnswerText, is_answer, joined, valid
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
    has_thought: bool = False
    """Whether the server sent thinking beside the answer's text."""
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
    reply, text = Reply(model=server.model), AnswerText(on_text)
    is_whole, has_events = False, False
    try:
        for event in events:
            check()
            has_events = has_events or event is not END
            if event is END:
                is_whole = True
                break
            if isinstance(event, dict):
                _refuse_error(event)
                take = _take_event if _is_of_responses(event, server) else _take_chunk
                take(event, reply, text)
    except Exception as error:  # noqa: BLE001  whatever happens after the answer's end, it was paid for
        if not reply.finish_reason:
            text.end()
            is_malformed = isinstance(
                error, (AttributeError, LookupError, TypeError, ValueError, OverflowError)
            )
            raise (faults.bad_response(server) if is_malformed else error) from None
    text.end()
    reply.text = text.value
    if "\ufffd" in reply.text:
        reply.notes.append("some characters of the cloud's answer are damaged (\ufffd)")
    if not reply.finish_reason:
        if not (reply.text or reply.refusal) and (is_whole or not has_events):
            raise faults.bad_response(server, "sent no answer")
        if not (is_whole and reply.tokens_out is not None and (reply.text or reply.refusal)):
            raise faults.cut(server)
        reply.finish_reason = "stop"
        reply.notes.append("the cloud did not say why its answer ended; it looks complete")
    return reply


def _is_of_responses(event: dict[str, Any], server: Server) -> bool:
    """Whether `event` is one of the Responses API: some gateways answer one API in the shape of the other."""
    is_named = str(event.get("type")).startswith("response.") or event.get("object") == "response"
    return is_named or (server.api == "responses" and "choices" not in event)


def _refuse_error(event: dict[str, Any]) -> None:
    """Raise Reported for an error that a server reports inside its stream or in a body with status 200."""
    error = event.get("error") or _part(event, "x_groq").get("error")
    if event.get("type") in ("error", "response.failed"):
        error = error or (event.get("response") or {}).get("error") or event
    if error:
        raise Reported(error)


def _take_chunk(chunk: Any, reply: Reply, text: AnswerText) -> None:
    """Add one chunk of Chat Completions to `reply`.

    A server of the older Completions has `text` in the place of `delta`. Gemini's API also knows `finishReason`.
    """
    _take_frame(chunk, reply)
    choice = _choice(chunk)
    delta, message = _part(choice, "delta"), _part(choice, "message")
    text.add(_text_of(delta.get("content")) or _text_of(choice.get("text")))
    if not delta.get("content"):
        text.add_message(_text_of(message.get("content")))
    reply.refusal += _text_of(delta.get("refusal")) or (
        "" if reply.refusal else _text_of(message.get("refusal"))
    )
    reply.has_thought = reply.has_thought or any(
        part.get(name) for part in (delta, message) for name in _THINKING
    )
    for annotation in (delta.get("annotations") or message.get("annotations")) or ():
        _cite(reply, annotation)
    _take_usage(reply, _part(choice, "usage"))
    why = choice.get("finish_reason") or choice.get("finishReason")
    if why in _FAILURES:  # after the text of this chunk, which -v shows
        raise Reported(choice.get("error") or {"code": why})
    if why:
        reply.finish_reason = _finish_reason(why)


def _choice(chunk: Any) -> dict[str, Any]:
    """The choice that holds the answer; {} in a chunk without one, such as that of the usage.

    One answer is asked for, so a single choice belongs to it: some servers count the chunks in `index`.
    """
    choices = chunk.get("choices")
    found = [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
    return next((choice for choice in found if len(found) == 1 or choice.get("index") in (0, None)), {})


def _take_event(event: Any, reply: Reply, text: AnswerText) -> None:
    """Add one event of the Responses API to `reply`; a whole answer is the object of the last event."""
    kind = event.get("type")
    if kind == "response.refusal.delta":
        reply.refusal += _text_of(event["delta"])
    elif kind == "response.output_text.annotation.added":
        _cite(reply, event["annotation"])
    elif kind in ("response.completed", "response.incomplete", "response.done"):
        _take_end(event["response"], reply, text)
    elif kind is None and event.get("object") == "response":
        _take_end(event, reply, text)
    elif kind is None and not isinstance(event.get("delta"), str):
        raise ValueError("not an event")
    else:
        _take_text(kind or "response.output_text.delta", event, text)
        if kind == "response.output_item.done":
            _take_item(event["item"], reply)


def _take_text(kind: str, event: Any, text: AnswerText) -> None:
    """Add the text of one event. Any event may be the only one that has it: some gateways drop the others."""
    message, part = _count(event.get("output_index")) or 0, _count(event.get("content_index")) or 0
    if kind == "response.output_text.delta":
        text.add_to(message, part, _text_of(event["delta"]))
    elif kind == "response.output_text.done":
        text.complete(message, part, _text_of(event.get("text")))
    elif kind == "response.content_part.done":
        text.complete(message, part, _text_of([event.get("part") or {}]))
    elif kind == "response.output_item.added":
        text.announce(message, event["item"])
    elif kind == "response.output_item.done" and event["item"].get("type") == "message":
        text.complete_message(message, _text_of(event["item"].get("content")))
        text.announce(message, event["item"])


def _text_of(content: Any) -> str:
    """The text in a message's content: a string, or a list of parts. Parts of thinking are left out."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    found = [content] if isinstance(content, dict) else content
    parts = [part if isinstance(part, dict) else {"type": "text", "text": part} for part in found]
    return "".join(
        part.get("text") or "" for part in parts if part.get("type") in ("text", "output_text", None)
    )


_THINKING = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
"""Fields of a message in which servers send thinking."""

_FINISH_REASONS = {
    "stop": (
        *("eos", "eos_token", "eot", "eot_id", "eot_token", "eom", "eom_id", "eog", "eog_token", "im_end"),
        *("stop_sequence", "stop_token", "stop_string", "stopped", "end_turn", "end_of_turn"),
        *("end_of_text", "endoftext", "end_of_message", "end_of_sequence", "end_of_generation"),
        *("complete", "completed", "finished", "done", "end"),
    ),
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
    name = valid(str(given))
    known = re.sub(r"[\W_]+", "_", name.lower()).strip("_").removeprefix("finish_reason_")
    return next((ours for ours, names in _FINISH_REASONS.items() if known in (ours, *names)), name)


def _take_frame(data: Any, reply: Reply) -> None:
    """Add model, service tier and usage, which stand beside the text."""
    reply.model = valid(str(data.get("model") or reply.model))
    reply.tier = _tier(data) or reply.tier
    _take_usage(reply, _part(data, "usage") or _part(_part(data, "x_groq"), "usage"))


def _take_item(item: Any, reply: Reply) -> None:
    tool = _TOOL_ITEMS.get(item.get("type"))
    if tool is not None:
        reply.tools += (tool,)
    if tool == "image_generation" and item.get("result"):
        reply.images.append(base64.b64decode(item["result"], validate=True))


def _take_end(response: Any, reply: Reply, text: AnswerText) -> None:
    _take_frame(response, reply)
    has_tools = bool(reply.tools)
    messages = []
    for item in response.get("output") or []:  # some servers name text, tools and sources only here
        if not has_tools:
            _take_item(item, reply)
        content = item.get("content")
        if item.get("type", "message") == "message" and is_answer(item):
            messages.append(_text_of(content))
        for part in content if isinstance(content, list) else ():
            if part.get("type") == "refusal" and not reply.refusal:
                reply.refusal = _text_of(part.get("refusal"))
            for annotation in part.get("annotations") or []:
                _cite(reply, annotation)
    text.end(joined(messages) or _text_of(response.get("output_text")))
    if response.get("status") in ("failed", "cancelled"):
        raise ValueError("the response failed")
    why = (response.get("incomplete_details") or {}).get("reason")
    reply.finish_reason = "stop" if why is None else _finish_reason(why)


def _take_usage(reply: Reply, usage: dict[str, Any]) -> None:
    """Add the server's token counts to `reply`, by the names of either API; impossible ones are ignored.

    Some servers send counts with each chunk, with zeros before or after the true ones: the largest counts.
    """
    tokens_in, tokens_out = (
        next((name for name in names if f"{name}_tokens" in usage), names[0])
        for names in (("prompt", "input"), ("completion", "output"))
    )
    reply.tokens_in = _larger(reply.tokens_in, _count(usage.get(f"{tokens_in}_tokens")))
    reply.tokens_out = _larger(reply.tokens_out, _count(usage.get(f"{tokens_out}_tokens")))
    cached = _count(_part(usage, f"{tokens_in}_tokens_details").get("cached_tokens"))
    reasoning = _count(_part(usage, f"{tokens_out}_tokens_details").get("reasoning_tokens"))
    reply.cached = min(_larger(reply.cached, cached) or 0, reply.tokens_in or 0)
    reply.reasoning = min(_larger(reply.reasoning, reasoning) or 0, reply.tokens_out or 0)


def _larger(count: int | None, other: int | None) -> int | None:
    return max((one for one in (count, other) if one is not None), default=None)


def _part(usage: Any, name: str) -> dict[str, Any]:
    part = usage.get(name)
    return part if isinstance(part, dict) else {}


def _tier(data: Any) -> str | None:
    tier = data.get("service_tier")
    return tier if isinstance(tier, str) else None


def _count(value: Any) -> int | None:
    """`value` as a number of tokens, or None if it is none. OpenRouter counts parts of tokens for images."""
    if isinstance(value, str) and value.isdecimal() and value.isascii():
        value = int(value[:20])
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MAX_TOKENS:
        return None
    return math.ceil(value)


def _cite(reply: Reply, annotation: Any) -> None:
    """Add the web page that `annotation` cites, unless it is there already; other annotations are ignored."""
    if not isinstance(annotation, dict):
        return
    page = annotation.get("url_citation") or annotation
    if isinstance(page, dict) and isinstance(page.get("url"), str):
        citation = {"title": valid(str(page.get("title") or "")), "url": valid(page["url"])}
        if citation not in reply.citations:
            reply.citations.append(citation)
