"""From the bytes of tokens to the text of the answer: characters, thinking and stop strings."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from hybrid_cli.local.protocol import Kind
from hybrid_cli.local.stop_strings import StopStrings
from hybrid_cli.local.thinking import Split, Splitter


class AnswerStream:
    """The text of one sequence."""

    def __init__(self, splitter: Splitter, stop: Sequence[str]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._splitter = splitter
        self._stop = StopStrings(stop)
        self._begun = False

    @property
    def stopped(self) -> bool:
        """Whether a stop string ended the answer."""
        return self._stop.met

    @property
    def answering(self) -> bool:
        """Whether the next token belongs to the answer, as far as is known."""
        return self._splitter.answering

    def closing(self) -> str | None:
        """The text that would end the thinking here; None if there is none, or within a character."""
        return None if self._decoder.getstate()[0] else self._splitter.closing()

    def take(self, piece: bytes, *, forced: bool) -> tuple[Split, Kind]:
        """The text that is certain after `piece`, and the token's kind."""
        before = self._splitter.answering
        split = self._splitter.feed(self._decoder.decode(piece))
        answers = split.answer or (before and self._splitter.answering)
        kind: Kind = "content" if answers else "hidden"
        if kind == "content" and forced:
            kind = "forced"
        elif kind == "content" and not self._begun and piece.strip():
            kind, self._begun = "first", True
        return Split(self._stop.feed(split.answer), split.thinking), kind

    def finish(self) -> Split:
        """The text that was held back, at the end. An incomplete character is dropped."""
        split = self._splitter.flush()
        return Split(self._stop.feed(split.answer) + self._stop.flush(), split.thinking)
