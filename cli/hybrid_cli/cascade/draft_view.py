"""The local answer on a terminal while it is not decided whether it is kept."""

from __future__ import annotations

from hybrid_cli.cascade.destination import Destination
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import EscapeFilter, reveal_bidi

_REDRAW_SECONDS = 0.05


class DraftView:
    """Shows the draft dimmed on stderr, as much of its end as fits the terminal; `end` erases it."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._filter = EscapeFilter()
        self._text = ""
        self._next = 0.0

    @classmethod
    def on(cls, output: Destination, environment: Environment) -> DraftView | None:
        """Return a view, if the answer will stand on a terminal that can erase it."""
        visible = output.streams and environment.stdout_is_terminal() and environment.can_animate()
        return cls(environment) if visible else None

    def show(self, text: str) -> None:
        """Add the next piece of the draft."""
        self._text += reveal_bidi(self._filter.feed(text))
        if self._environment.clock() >= self._next:
            self._next = self._environment.clock() + _REDRAW_SECONDS
            self._environment.draw_draft(self._text.strip())

    def end(self) -> None:
        """Erase the draft."""
        self._environment.draw("")
