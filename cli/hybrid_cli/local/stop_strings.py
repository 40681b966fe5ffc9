"""Stop strings: they end a text that arrives in pieces."""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Passes text on up to the first stop string; holds back text that may begin one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.met = False

    def feed(self, text: str) -> str:
        """The text so far that certainly comes before a stop string."""
        if self.met:
            return ""
        if not self._stops:
            return text
        text = self._held + text
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.met, self._held = True, ""
            return text[: min(places)]
        cut = len(text) - partial_mark_length(text, self._stops)
        self._held = text[cut:]
        return text[:cut]

    def flush(self) -> str:
        """The text that was held back, at the end."""
        held, self._held = self._held, ""
        return held


def stop_at(text: str, stops: Sequence[str]) -> str:
    """`text` up to the first of the strings `stops`."""
    stop = StopStrings(stops)
    return stop.feed(text) + stop.flush()


def partial_mark_length(text: str, marks: Sequence[str]) -> int:
    """The length of the longest suffix of `text` that is the beginning of one of `marks`."""
    longest = max(map(len, marks), default=1) - 1
    for length in range(min(longest, len(text)), 0, -1):
        if any(mark.startswith(text[-length:]) for mark in marks):
            return length
    return 0
