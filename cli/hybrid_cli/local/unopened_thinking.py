"""Thinking whose opening tag is missing: many servers keep that tag in the prompt, and some templates name none."""

from __future__ import annotations

from hybrid_cli.local.stop_strings import partial_mark_length
from hybrid_cli.local.thinking import TAGS, Split, cloud_splitter

_FINAL_CHANNEL = "assistantfinal"
"""What is left between thinking and answer if a server drops the marks of harmony, but not the words."""
_FIRST_CHANNEL = "analysis"
_QUOTES = ("`", '"', "'")


class UnopenedThinking:
    """Finds the end of thinking whose opening tag is missing, in a text that comes in pieces.

    Until the end comes, thinking looks like an answer. A tag in quotes or code is what the answer is about, and a tag
    with nothing after it ends no thinking.
    """

    def __init__(self) -> None:
        self.has_ended = False
        """Whether the text so far began with thinking, and its answer has begun."""
        self._openings = {closing: opening for opening, closing in TAGS.values()} | {_FINAL_CHANNEL: ""}
        """The marks that may end the thinking. The first one of its kind decides."""
        self._text = ""
        self._taken = 0
        """Characters of the text that `feed` has returned."""
        self._end: tuple[int, int] | None = None
        """Where the mark after the thinking is."""
        self._answer = cloud_splitter()
        """Drops later blocks of thinking, which have both tags."""

    def feed(self, text: str) -> Split:
        """The text after the thinking, and the text before: thinking, or the answer if `has_ended` stays false."""
        if self.has_ended:
            return Split(self._answer.feed(text).answer, "")
        known = max(0, len(self._text) - max(map(len, self._openings), default=0))
        self._text += text
        self._end = self._end or self._find_end(known)
        if self._end is None:
            held = partial_mark_length(self._text, list(self._openings))
            return Split("", self._take(len(self._text) - held))
        start, end = self._end
        before, answer = self._take(start), self._text[end:]
        if not answer.strip():
            return Split("", before)
        self.has_ended, self._text = True, ""
        return Split(self._answer.feed(answer).answer, before)

    def flush(self) -> Split:
        """The text that was held back, at the end."""
        if self.has_ended:
            return Split(self._answer.flush().answer, "")
        return Split("", self._take(len(self._text)))

    def _find_end(self, known: int) -> tuple[int, int] | None:
        """Where the first mark is that ends thinking. None is complete in the first `known` characters."""
        found = []
        for mark in list(self._openings):
            start = self._text.find(mark, known)
            if start >= 0:
                opening = self._openings.pop(mark)
                if _is_thinking(self._text[:start], opening):
                    found.append((start, start + len(mark)))
        return min(found, default=None)

    def _take(self, end: int) -> str:
        taken, self._taken = self._text[self._taken : end], max(self._taken, end)
        return taken


def _is_thinking(text: str, opening: str) -> bool:
    """Whether the `text` before a mark can be thinking. `opening` is the tag that is missing, "" in harmony."""
    if not opening:
        return not text or text.startswith(_FIRST_CHANNEL)
    return opening not in text and not text.endswith(_QUOTES)


def without_unopened_thinking(text: str) -> str:
    """`text` after its thinking, if it begins with thinking without an opening tag."""
    thinking = UnopenedThinking()
    splits = thinking.feed(text), thinking.flush()
    return "".join(split.answer for split in splits) if thinking.has_ended else text
