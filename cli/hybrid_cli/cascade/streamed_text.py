"""The text of a streamed answer, as it is shown."""

from __future__ import annotations

from hybrid_cli.cascade.answer import AnswerStart
from hybrid_cli.local.unopened_thinking import UnopenedThinking


class StreamedText:
    """Takes an answer in pieces, and drops what is no part of it: blank lines before it, and tags of thinking.

    Thinking without an opening tag is shown before its closing tag tells it from the answer. Then a blank line takes
    the place of the tag.
    """

    def __init__(self) -> None:
        self.has_shown_thinking = False
        self._thinking = UnopenedThinking()
        self._start = AnswerStart()
        self._blank = ""
        """Blank text that is only shown if more follows."""
        self._shown = False

    def feed(self, text: str) -> str:
        """Return the text that can be shown."""
        was_answering = self._thinking.has_ended
        answer, thinking = self._thinking.feed(text)
        shown = self._visible(thinking)
        if self._thinking.has_ended and not was_answering:
            self.has_shown_thinking = self._shown
            self._blank, self._start = "\n\n" if self._shown else "", AnswerStart()
        return shown + self._visible(answer)

    def flush(self) -> str:
        """Return the text that was held back, at the end; "" if called again."""
        answer, thinking = self._thinking.flush()
        held = self._visible(thinking) + self._visible(answer) + self._blank
        self._blank = ""
        return held

    def _visible(self, text: str) -> str:
        text = self._blank + self._start.feed(text)
        shown = text.rstrip()
        self._blank = text[len(shown) :]
        self._shown = self._shown or bool(shown)
        return shown
