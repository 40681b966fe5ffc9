"""Tools that the local model is told of, and the calls that it makes. A call is a wish: egress decides."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hybrid_cli.profile.modes import Tool

Name = Literal[Tool, "handoff"]

_LONGEST = 1000
"""Characters of an argument: a longer one is a document, not what a tool is asked for."""


@dataclass(frozen=True)
class _Described:
    says: str
    argument: str
    argument_says: str


_TOOLS: dict[Name, _Described] = {
    "web_search": _Described(
        "Search the web. Use it for current events, prices, weather and other facts that you cannot know.",
        "query",
        "What to search for, as a whole question.",
    ),
    "image_generation": _Described("Draw an image.", "prompt", "What the image shows."),
    "handoff": _Described(
        "Give the question to a more capable assistant. Use it only where you cannot answer correctly yourself.",
        "reason",
        "Why, in a few words.",
    ),
}


@dataclass(frozen=True)
class ToolCall:
    """A call that the local model made. `asks` is its one argument."""

    name: Name
    asks: str


def described(names: Collection[Name]) -> list[dict[str, Any]]:
    """The tools as chat templates take them: OpenAI's form of function tools."""
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": tool.says,
                "parameters": {
                    "type": "object",
                    "properties": {tool.argument: {"type": "string", "description": tool.argument_says}},
                    "required": [tool.argument],
                },
            },
        }
        for name, tool in _TOOLS.items()
        if name in names
    ]


# Hermes and Qwen tag a call, Mistral a list of them; Llama writes bare JSON, small models a fenced block.
_TAGGED = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n?```", re.DOTALL)
_MARKS = ("<tool_call>", "[TOOL_CALLS]", "[{", "{", "```json")


def may_begin(text: str) -> bool:
    """Whether an answer that begins with `text` may become a call."""
    begun = text.lstrip()
    return any(begun.startswith(mark) or mark.startswith(begun) for mark in _MARKS)


def own_call(answer: str, offered: Collection[Name], prompt: Sequence[str]) -> ToolCall | None:
    """The first call of an answer that is nothing but calls of `offered` tools; else None.

    A call that stands in `prompt` (the texts that the model was given) is somebody else's words repeated,
    and so is an answer that only speaks of a call.
    """
    calls = list(_calls(answer.strip()))
    if not calls or not all(call is not None and call.name in offered for call in calls):
        return None
    own = calls[0]
    given = {one for text in prompt for one in _everywhere(text)}
    return None if own in given else own


def is_broken(answer: str, offered: Collection[Name], prompt: Sequence[str]) -> bool:
    """Whether an answer is tagged as a call, but cannot be read as one.

    A readable call of a tool that is not offered is but words: it must not take the whole prompt out.
    """
    text = answer.strip()
    if not offered or not text.startswith(_MARKS[0]) or any(text in given for given in prompt):
        return False
    return any(call is None for call in _calls(text))


def _calls(text: str) -> Iterator[ToolCall | None]:
    """The calls that `text` consists of; None for a part that is none."""
    if _TAGGED.match(text):
        for match in _TAGGED.finditer(text):
            yield from _read(match[1])
        if _TAGGED.sub("", text).strip():
            yield None
        return
    fenced = _FENCED.fullmatch(text)
    text = fenced[1] if fenced else text.removeprefix("[TOOL_CALLS]")
    yield from _read(text)


def _everywhere(text: str) -> Iterator[ToolCall]:
    """Every call that stands in `text`, in whatever form."""
    decoder = json.JSONDecoder()
    for place in re.finditer(r'\{\s*"', text):
        try:
            value, _ = decoder.raw_decode(text, place.start())
        except (ValueError, RecursionError):
            continue
        call = _as_call(value)
        if call is not None:
            yield call


def _read(text: str) -> Iterator[ToolCall | None]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        yield None
        return
    for item in value if isinstance(value, list) else [value]:
        yield _as_call(item)


def _as_call(value: Any) -> ToolCall | None:
    if not isinstance(value, dict):
        return None
    name = value.get("name")
    if name not in _TOOLS:
        return None
    arguments = value.get("arguments", value.get("parameters"))
    asks = arguments.get(_TOOLS[name].argument) if isinstance(arguments, dict) else None
    if not isinstance(asks, str) or not asks.strip() or len(asks) > _LONGEST:
        return None
    return ToolCall(name, asks.strip())
