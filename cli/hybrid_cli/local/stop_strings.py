"""Strings that end a text which comes in pieces."""

from __future__ import annotations

from collections.abc import Sequence


class StopWords:
    """Lets text through up to the first of its words. What may be the start of one waits for the next piece."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = [word for word in words if word]
        self._held = ""
        self.met = False

    def feed(self, text: str) -> str:
        """What of the text so far certainly comes before any of the words."""
        if self.met:
            return ""
        if not self._words:
            return text
        text = self._held + text
        places = [place for word in self._words if (place := text.find(word)) >= 0]
        if places:
            self.met, self._held = True, ""
            return text[: min(places)]
        cut = len(text) - overlap(text, self._words)
        self._held = text[cut:]
        return text[:cut]

    def flush(self) -> str:
        """What still waited, at the end of the text."""
        held, self._held = self._held, ""
        return held


def stop_at(text: str, words: Sequence[str]) -> str:
    """`text` up to the first of `words`."""
    stop = StopWords(words)
    return stop.feed(text) + stop.flush()


def overlap(text: str, marks: Sequence[str]) -> int:
    """The length of the longest end of `text` that begins one of `marks`."""
    longest = max(map(len, marks), default=1) - 1
    for length in range(min(longest, len(text)), 0, -1):
        if any(mark.startswith(text[-length:]) for mark in marks):
            return length
    return 0
