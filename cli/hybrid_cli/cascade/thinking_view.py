"""The local model's thinking on stderr."""

from __future__ import annotations

from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import EscapeFilter, reveal_bidi


class ThinkingView:
    """Shows the model's thinking on stderr, on lines of its own."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._filter = EscapeFilter()
        self._by_lines = environment.in_ci()  # a CI runner reads commands at the start of a line
        self._line = ""

    def show(self, text: str) -> None:
        """Show the next piece; in CI, whole lines only."""
        text = reveal_bidi(self._filter.feed(text))
        if self._by_lines:
            text, newline, rest = (self._line + text).rpartition("\n")
            self._line = rest
            self._environment.write_stderr(text + newline)
        elif text:
            self._environment.write_stderr(text)
            self._line = text.rpartition("\n")[2]

    def end(self) -> None:
        """End the line, if one has begun."""
        if self._line:
            self._environment.write_stderr(f"{self._line if self._by_lines else ''}\n")
            self._line = ""
