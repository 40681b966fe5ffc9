"""Thinking styles: how models mark their thinking, and how it is told apart from the answer.

To add a style with another pair of tags, add a row to `STYLES`; any other style needs a `Splitter`, too. Rows are
tried in order; keep `none` last, because it matches every template.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from hybrid_cli.local.stop_strings import partial_mark_length

_CHANNEL, _MESSAGE = "<|channel|>", "<|message|>"
_FUNCTION_CALL = re.compile(r"\bto=functions\.(\w{1,60})")
_HARMONY_BEGINS = (_CHANNEL, "<|start|>assistant")
_BODY_ENDS = ("<|end|>", "<|start|>", "<|return|>", "<|call|>", _CHANNEL)


_LONGEST_LEAD = 10_000
"""Characters of spaces or of a header before a text; of endless ones each piece would take longer than the last."""
_LONGEST_LATER = 100_000
"""Characters of a later block of thinking. A longer one without an end is text."""


class Split(NamedTuple):
    """The text that a piece adds to the answer, and to the thinking before it."""

    answer: str
    thinking: str


class Splitter(Protocol):
    """Takes a text in pieces that end anywhere, and holds back text that may begin a mark."""

    answering: bool
    """Whether the next text may belong to the answer."""

    def feed(self, text: str) -> Split: ...

    def flush(self) -> Split:
        """The text that was held back, at the end."""
        ...

    def closing(self) -> str | None:
        """The text that would end the thinking here; None if the model does not think, or cannot stop here."""
        ...


class _Plain:
    """The model does not think: all text is the answer."""

    answering = True

    def feed(self, text: str) -> Split:
        return Split(text, "")

    def flush(self) -> Split:
        return Split("", "")

    def closing(self) -> str | None:
        return None


Tags = tuple[str, str]
"""The opening and the closing tag of thinking."""


class _Envelope:
    """Drops a pair of tags round the whole answer. The closing tag is text unless it is the end."""

    def __init__(self, pairs: Sequence[Tags]) -> None:
        self._pairs = pairs
        self._close: str | None = None
        """None until the answer's beginning is known; empty if there is no envelope."""
        self._held = ""

    def feed(self, text: str) -> str:
        self._held += text
        if self._close is None:
            start = self._held.lstrip()
            found = next((pair for pair in self._pairs if start.startswith(pair[0])), None)
            may_begin = any(tag.startswith(start) for tag, _ in self._pairs)
            if found is None and may_begin and len(self._held) < _LONGEST_LEAD:
                return ""
            self._close = "" if found is None else found[1]
            self._held = self._held if found is None else start.removeprefix(found[0])
        return self._take(len(self._held) - self._unsure())

    def _unsure(self) -> int:
        """The length of the text that may be the closing tag."""
        if not self._close:
            return 0
        _, closed, rest = self._held.rpartition(self._close)
        if closed and not rest.strip() and len(rest) < _LONGEST_LEAD:
            return len(closed) + len(rest)
        return partial_mark_length(self._held, [self._close])

    def _take(self, length: int) -> str:
        text, self._held = self._held[:length], self._held[length:]
        return text

    def flush(self) -> str:
        held, self._held = self._held, ""
        return "" if self._close and held.startswith(self._close) else held


class _Tagged:
    """Thinking between two tags, before the answer: one block, or several with only spaces between them.

    Later tags are text: an answer may explain them. So is a later block's tag if the block never ends.
    """

    def __init__(self, pairs: Sequence[Tags], *, opened: bool = False) -> None:
        """The text may begin with any of `pairs`. `opened`: the prompt ends with the first opening tag."""
        self._pairs = pairs
        self._close = pairs[0][1] if opened else ""
        """The closing tag while the model thinks; else empty."""
        self._held = ""
        self._later = ""
        """The opening tag of a later block, with the spaces before it."""
        self._answer: _Envelope | None = None
        """None until the answer begins."""
        self._has_thought = False
        self.answering = not opened

    def feed(self, text: str) -> Split:
        if self._answer is not None:
            return Split(self._answer.feed(text), "")
        self._held += text
        thinking = ""
        while True:
            if not self._close and not self._open_block():
                may_open = any(tag.startswith(self._held.lstrip()) for tag, _ in self._pairs)
                if may_open and len(self._held) < _LONGEST_LEAD:
                    return Split("", thinking)
                return self._begin_answer(self._held, thinking)
            thought, closed, rest = self._held.partition(self._close)
            if not closed:
                break
            thinking += thought
            self.answering = self._has_thought = True
            self._close, self._held = "", rest
        if self._later:  # it may be no block, but the answer
            if len(self._held) < _LONGEST_LATER:
                return Split("", thinking)
            self._close = ""
            return self._begin_answer(self._later + self._held, thinking)
        keep = partial_mark_length(self._held, [self._close])
        self._held = thought[len(thought) - keep :]
        return Split("", thinking + thought[: len(thought) - keep])

    def _open_block(self) -> bool:
        """Take the opening tag with which the text begins. Returns whether there is one."""
        start = self._held.lstrip()
        begun = next((pair for pair in self._pairs if start.startswith(pair[0])), None)
        if begun is None:
            return False
        tag, self._close = begun
        rest = start.removeprefix(tag)
        self._later = self._held.removesuffix(rest) if self._has_thought else ""
        self.answering, self._held = False, rest
        return True

    def _begin_answer(self, answer: str, thought: str) -> Split:
        envelopes = CONTROL_ENVELOPES + (ENVELOPES if self._has_thought else ())
        self.answering, self._held = True, ""
        self._answer = _Envelope(envelopes)
        return Split(self._answer.feed(answer), thought)

    def flush(self) -> Split:
        if self._answer is not None:
            return Split(self._answer.flush(), "")
        held, self._held = self._later + self._held, ""
        return Split("", held) if self._close and not self._later else Split(held, "")

    def closing(self) -> str | None:
        if not self._close:
            return None
        is_control = self._close in (TAGS[name][1] for name in _CONTROL_TAGS)
        return self._close if is_control else f"\n{self._close}\n\n"


class _Harmony:
    """The channels of the harmony format. Headers, which end with `<|message|>`, are not text.

    The channel `final` is the answer. A function call becomes an answer in the form that other models use:
    `<tool_call>{...}</tool_call>`.
    """

    def __init__(self, *, has_tools: bool) -> None:
        self._has_tools = has_tools
        self._closing = ""
        """The text that completes the current function call."""
        self._held = ""
        self._channel: str | None = None  # None inside a header
        self._begun = False
        self.answering = False

    def feed(self, text: str) -> Split:
        self._begun = True
        self._held += text
        answer, thinking = "", ""
        while True:
            taken, found_mark = self._step()
            answer, thinking = answer + taken.answer, thinking + taken.thinking
            if not found_mark:
                return Split(answer, thinking)

    def _step(self) -> tuple[Split, bool]:
        """The text up to the next mark, and whether there is a complete mark."""
        if self._channel is None:
            header, found, rest = self._held.partition(_MESSAGE)
            if found:
                words = header.rpartition(_CHANNEL)[2].split()
                self._channel = words[0] if _CHANNEL in header and words else ""
                self._held = rest
                called = _FUNCTION_CALL.search(header) if self._has_tools else None
                self.answering = self._channel == "final" or called is not None
                if called is not None:
                    self._closing = "}</tool_call>"
                    return Split(f'<tool_call>{{"name": "{called[1]}", "arguments": ', ""), True
            else:
                self._held = header[-_LONGEST_LEAD:]
            return Split("", ""), bool(found)
        places = [(place, mark) for mark in _BODY_ENDS if (place := self._held.find(mark)) >= 0]
        if not places:
            return self._take(len(self._held) - partial_mark_length(self._held, _BODY_ENDS)), False
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

    def closing(self) -> str | None:
        if self.answering or (self._channel is None and self._begun):
            return None
        final = f"{_CHANNEL}final{_MESSAGE}"
        return f"<|end|><|start|>assistant{final}" if self._begun else final


class _Detected:
    """The text of an unknown model: harmony if it begins with one of its marks, else perhaps tagged."""

    answering = True

    def __init__(self) -> None:
        self._held = ""
        self._splitter: Splitter | None = None

    def feed(self, text: str) -> Split:
        if self._splitter is None:
            text = self._held = self._held + text
            start = text.lstrip()
            if start.startswith(_HARMONY_BEGINS):
                self._splitter = _Harmony(has_tools=False)
            elif len(text) < _LONGEST_LEAD and any(mark.startswith(start) for mark in _HARMONY_BEGINS):
                return Split("", "")
            else:
                self._splitter = _Tagged(list(TAGS.values()))
        return self._splitter.feed(text)

    def flush(self) -> Split:
        return Split(self._held, "") if self._splitter is None else self._splitter.flush()

    def closing(self) -> str | None:
        return None  # a cloud thinks as long as it wants


@dataclass(frozen=True)
class ThinkingStyle:
    """One way to mark thinking."""

    marks: tuple[str, ...]
    """A chat template that contains all of these strings belongs to a model with this style."""
    new_splitter: Callable[[str, bool], Splitter]
    """Makes a splitter, given the rendered prompt and whether the prompt offers tools."""
    marks_are_tokens: bool = False
    """Whether the marks are control tokens, which llama.cpp must print for the splitter to see them."""


def _tagged(name: str) -> ThinkingStyle:
    """The style of models that think between the tags `TAGS[name]`. Some templates end with the opening one."""
    tags = TAGS[name]
    return ThinkingStyle(
        marks=(tags[1],),
        new_splitter=lambda prompt, _has_tools: _Tagged([tags], opened=prompt.rstrip().endswith(tags[0])),
        marks_are_tokens=name in _CONTROL_TAGS,
    )


TAGS: dict[str, Tags] = {
    "think": ("<think>", "</think>"),  # DeepSeek R1, Qwen3
    "seed": ("<seed:think>", "</seed:think>"),  # Seed-OSS
    "mistral": ("[THINK]", "[/THINK]"),  # Magistral
    "kimi": ("\u25c1think\u25b7", "\u25c1/think\u25b7"),  # Kimi
    "thought": ("<thought>", "</thought>"),  # Gemini behind its compatible API
    "gemma": ("<|channel>thought", "<channel|>"),  # Gemma 4
    "cohere": ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A Reasoning, Command R7B
    "apertus": ("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    "reka": ("<reasoning>", "</reasoning>"),  # Reka Flash 3
}
_CONTROL_TAGS = ("mistral", "gemma", "cohere", "apertus")
ENVELOPES: tuple[Tags, ...] = (
    ("<response>", "</response>"),  # Granite 3.3
    ("<answer>", "</answer>"),  # Hunyuan
)
"""Tags round the answer, if thinking came before it."""
CONTROL_ENVELOPES: tuple[Tags, ...] = (
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),  # Command A Reasoning, Command R7B
    ("<|START_TEXT|>", "<|END_TEXT|>"),  # later models of Cohere
)
"""Control tokens round the answer, thinking or not."""
STYLES: dict[str, ThinkingStyle] = {
    # gpt-oss (OpenAI's harmony format):
    #   <|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>final<|message|>...<|return|>
    # and for a function call:
    #   <|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{...}<|call|>
    "harmony": ThinkingStyle(
        marks=(_CHANNEL, _MESSAGE),
        new_splitter=lambda _prompt, has_tools: _Harmony(has_tools=has_tools),
        marks_are_tokens=True,
    ),
    **{name: _tagged(name) for name in TAGS},
    "none": ThinkingStyle(marks=(), new_splitter=lambda _prompt, _has_tools: _Plain()),
}
"""The styles by name, tried in order; keep `none` last, it matches every template."""


def style_of(template: str) -> str:
    """The name of the thinking style of the model with this chat template."""
    return next(name for name, style in STYLES.items() if all(mark in template for mark in style.marks))


def cloud_splitter() -> Splitter:
    """A splitter for the text of a cloud, whose template is unknown: harmony, or any of `TAGS`."""
    return _Detected()


def splitter_for(style: str, prompt: str, *, has_tools: bool = False) -> Splitter:
    """A splitter for the text that the model generates after `prompt`.

    With `has_tools` the prompt offers tools, so that a function call is part of the answer.
    """
    return STYLES[style].new_splitter(prompt, has_tools)
