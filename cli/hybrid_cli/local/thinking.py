"""Telling a model's answer from its thinking, in a text that comes in pieces.

Two families mark it: `<think>...</think>` before the answer (DeepSeek R1, Qwen3 and their like), and
the channels of OpenAI's harmony format (gpt-oss), where only the channel `final` is for the user:
`<|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>final<|message|>...<|return|>`.
Its calls of functions stand on the channel `commentary`, with the function in the header:
`<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{...}<|call|>`.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, Protocol

from hybrid_cli.local.stop_strings import overlap

Style = Literal["none", "think", "harmony"]

_OPEN, _CLOSE = "<think>", "</think>"
_CHANNEL, _MESSAGE = "<|channel|>", "<|message|>"
_CALLED = re.compile(r"\bto=functions\.(\w{1,60})")
_ENDS = ("<|end|>", "<|start|>", "<|return|>", "<|call|>", _CHANNEL)


class Split(NamedTuple):
    """What a piece of text adds to the answer, and to the thinking before it."""

    answer: str
    thinking: str


class Splitter(Protocol):
    """Takes the text in pieces of any cut. What may be the start of a mark waits for the next piece."""

    answering: bool
    """Whether what comes next may be the answer's."""

    def feed(self, text: str) -> Split: ...

    def flush(self) -> Split:
        """What still waits, at the end of the text."""
        ...


def style_of(template: str) -> Style:
    """How the model behind this chat template marks its thinking."""
    if _CHANNEL in template and _MESSAGE in template:
        return "harmony"
    return "think" if _CLOSE in template else "none"


def splitter_for(style: Style, prompt: str, *, has_tools: bool = False) -> Splitter:
    """The splitter for what follows `prompt`, which may itself have opened the thinking.

    `has_tools`: the model was told of some, so that a call is its answer.
    """
    if style == "harmony":
        return _Harmony(has_tools=has_tools)
    if style == "think":
        return _Think(opened=prompt.rstrip().endswith(_OPEN))
    return _Plain()


class _Plain:
    answering = True

    def feed(self, text: str) -> Split:
        return Split(text, "")

    def flush(self) -> Split:
        return Split("", "")


class _Think:
    """Thinking counts at the start only: an answer may speak of `<think>` as of any word."""

    def __init__(self, *, opened: bool) -> None:
        self._held = ""
        self._thinking = opened
        self._decided = False
        self.answering = not opened

    def feed(self, text: str) -> Split:
        if self._decided:
            return Split(text, "")
        self._held += text
        if not self._thinking:
            start = self._held.lstrip()
            if not start.startswith(_OPEN):
                if _OPEN.startswith(start):
                    return Split("", "")
                return self._begin_answer(self._held, "")
            self._thinking, self.answering, self._held = True, False, start.removeprefix(_OPEN)
        thought, closed, rest = self._held.partition(_CLOSE)
        if closed:
            return self._begin_answer(rest, thought)
        keep = overlap(self._held, [_CLOSE])
        self._held = thought[len(thought) - keep :]
        return Split("", thought[: len(thought) - keep])

    def _begin_answer(self, answer: str, thought: str) -> Split:
        self.answering, self._decided, self._thinking, self._held = True, True, False, ""
        return Split(answer, thought)

    def flush(self) -> Split:
        held, self._held = self._held, ""
        return Split("", held) if self._thinking else Split(held, "")


class _Harmony:
    """Only the channel `final` answers. A header, from a mark to `<|message|>`, is nobody's text.

    A call of a function becomes an answer in the form that others tag: `<tool_call>{...}</tool_call>`.
    """

    def __init__(self, *, has_tools: bool) -> None:
        self._has_tools = has_tools
        self._closing = ""
        """What ends the call that is being made."""
        self._held = ""
        self._channel: str | None = None  # None inside a header
        self.answering = False

    def feed(self, text: str) -> Split:
        self._held += text
        answer, thinking = "", ""
        while True:
            taken, went_on = self._step()
            answer, thinking = answer + taken.answer, thinking + taken.thinking
            if not went_on:
                return Split(answer, thinking)

    def _step(self) -> tuple[Split, bool]:
        """Go to the next mark, if it is whole."""
        if self._channel is None:
            header, found, rest = self._held.partition(_MESSAGE)
            if found:
                words = header.rpartition(_CHANNEL)[2].split()
                self._channel = words[0] if _CHANNEL in header and words else ""
                self._held = rest
                called = _CALLED.search(header) if self._has_tools else None
                self.answering = self._channel == "final" or called is not None
                if called is not None:
                    self._closing = "}</tool_call>"
                    return Split(f'<tool_call>{{"name": "{called[1]}", "arguments": ', ""), True
            return Split("", ""), bool(found)
        places = [(place, mark) for mark in _ENDS if (place := self._held.find(mark)) >= 0]
        if not places:
            return self._take(len(self._held) - overlap(self._held, _ENDS)), False
        place, mark = min(places)
        taken = self._take(place)
        taken = taken._replace(answer=taken.answer + self._close())
        self._held = self._held if mark == _CHANNEL else self._held.removeprefix(mark)
        self._channel, self.answering = None, False
        return taken, True

    def _take(self, length: int) -> Split:
        text, self._held = self._held[:length], self._held[length:]
        return Split(text, "") if self.answering else Split("", text)

    def _close(self) -> str:
        closing, self._closing = self._closing, ""
        return closing

    def flush(self) -> Split:
        if self._channel is None:
            return Split("", "")
        taken = self._take(len(self._held))
        return taken._replace(answer=taken.answer + self._close())
