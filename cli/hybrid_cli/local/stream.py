"""From the bytes of tokens to the text of the answer: whole characters, thinking apart, stop strings."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from hybrid_cli.local.protocol import Kind
from hybrid_cli.local.thinking import Split, Splitter, overlap


class AnswerStream:
    """One sequence's text. `stopped` turns true once a stop string ended the answer, which is without it."""

    def __init__(self, splitter: Splitter, stop: Sequence[str]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._splitter = splitter
        self._stop = [word for word in stop if word]
        self._held = ""
        self._begun = False
        self.stopped = False

    @property
    def answering(self) -> bool:
        """Whether the next token is the answer's, as far as is known."""
        return self._splitter.answering

    def take(self, piece: bytes, *, forced: bool) -> tuple[Split, Kind]:
        """The text that `piece` makes certain, and what the token is to the answer."""
        split = self._splitter.feed(self._decoder.decode(piece))
        kind: Kind = "content" if split.answer or self._splitter.answering else "hidden"
        if kind == "content" and forced:
            kind = "forced"
        elif kind == "content" and not self._begun and piece.strip():
            kind, self._begun = "first", True
        return Split(self._until_stop(split.answer), split.thinking), kind

    def finish(self) -> Split:
        """What was still held at the end. A character that was never finished is dropped."""
        split = self._splitter.flush()
        answer = self._until_stop(split.answer)
        if not self.stopped:
            answer, self._held = answer + self._held, ""
        return Split(answer, split.thinking)

    def _until_stop(self, text: str) -> str:
        if self.stopped:
            return ""
        if not self._stop:
            return text
        text = self._held + text
        places = [place for word in self._stop if (place := text.find(word)) >= 0]
        if places:
            self.stopped, self._held = True, ""
            return text[: min(places)]
        keep = overlap(text, self._stop)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]
