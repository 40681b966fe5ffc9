"""The tools offered to the local model, and the calls in its answers. A call is a wish: egress decides."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hybrid_cli.profile.modes import Tool

ToolName = Literal[Tool, "handoff"]

_MAX_ARGUMENT = 1000
"""Characters of an argument. A longer one is a document, not a request."""


@dataclass(frozen=True)
class _Description:
    """What the local model reads about a tool. Each tool has one argument."""

    purpose: str
    argument: str
    argument_meaning: str


_TOOLS: dict[ToolName, _Description] = {
    "web_search": _Description(
        "Search the web. Use it for current events, prices, weather and other facts that you cannot know.",
        "query",
        "What to search for, as a whole question.",
    ),
    "image_generation": _Description("Draw an image.", "prompt", "What the image shows."),
    "handoff": _Description(
        "Give the question to a more capable assistant. Use it only where you cannot answer correctly yourself.",
        "reason",
        "Why, in a few words.",
    ),
}


@dataclass(frozen=True)
class ToolCall:
    """A call that the local model made. Each tool has one argument."""

    name: ToolName
    argument: str


def tool_definitions(names: Collection[ToolName]) -> list[dict[str, Any]]:
    """The tools in the form that chat templates take: OpenAI's function tools."""
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": tool.purpose,
                "parameters": {
                    "type": "object",
                    "properties": {tool.argument: {"type": "string", "description": tool.argument_meaning}},
                    "required": [tool.argument],
                },
            },
        }
        for name, tool in _TOOLS.items()
        if name in names
    ]


# Hermes and Qwen tag a call, Mistral tags a list; Llama writes bare JSON, small models a fenced block.
_TAGGED = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n?```", re.DOTALL)
_MARKS = ("<tool_call>", "[TOOL_CALLS]", "[{", "{", "```json")


def may_begin(text: str) -> bool:
    """Whether an answer that begins with `text` can become a call."""
    begun = text.lstrip()
    return any(begun.startswith(mark) or mark.startswith(begun) for mark in _MARKS)


def find_tool_call(answer: str, offered: Collection[ToolName], prompt: Sequence[str]) -> ToolCall | None:
    """The first call in an answer that consists only of calls of `offered` tools, or else None.

    A call that `prompt` (the texts given to the model) contains does not count, even if it is escaped there: the
    model may only repeat it.
    """
    calls = list(_calls(answer.strip()))
    if not calls or not all(call is not None and call.name in offered for call in calls):
        return None
    from hybrid_cli.privacy.readings import readings

    own = calls[0]
    given = {one for text in prompt for reading in readings(text) for one in _calls_anywhere(reading.text)}
    return None if own in given else own


def is_broken(answer: str, offered: Collection[ToolName], prompt: Sequence[str]) -> bool:
    """Whether an answer is tagged as a call, but is not a valid one.

    A valid call of a tool that is not offered is ordinary text: it must not hand off the whole prompt.
    """
    text = answer.strip()
    if not offered or not text.startswith(_MARKS[0]) or any(text in given for given in prompt):
        return False
    return any(call is None for call in _calls(text))


def _calls(text: str) -> Iterator[ToolCall | None]:
    """The calls that `text` consists of, with None for each part that is not a call."""
    if _TAGGED.match(text):
        for match in _TAGGED.finditer(text):
            yield from _read(match[1])
        if _TAGGED.sub("", text).strip():
            yield None
        return
    fenced = _FENCED.fullmatch(text)
    text = fenced[1] if fenced else text.removeprefix("[TOOL_CALLS]")
    yield from _read(text)


def _calls_anywhere(text: str) -> Iterator[ToolCall]:
    """Every call anywhere in `text`, in any form."""
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
    argument = arguments.get(_TOOLS[name].argument) if isinstance(arguments, dict) else None
    if not isinstance(argument, str) or not argument.strip() or len(argument) > _MAX_ARGUMENT:
        return None
    return ToolCall(name, argument.strip())
