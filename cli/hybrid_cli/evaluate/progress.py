"""How far a long piece of work is: a bar on a terminal, a line now and then elsewhere; all on stderr."""

from __future__ import annotations

from hybrid_cli.ui.environment import SILENCE_SECONDS, Environment
from hybrid_cli.weights.reporter import duration

_TERMINAL_SECONDS = 0.2
_PLAIN_SECONDS = 10.0
_LEAST = 8
"""Done before the time left is told: the first of many side by side come late."""
_BAR = 10
"""Columns; the words beside it must have room in 80."""


class Progress:
    """Counts what is done of `total`. A context manager, which leaves the terminal's line empty."""

    def __init__(self, environment: Environment, what: str, total: int) -> None:
        self._environment = environment
        self._what = what
        self._total = total
        self._done = 0
        self._on_terminal = environment.can_animate()
        self._begun = environment.clock()
        self._next = self._begun + (0 if self._on_terminal else SILENCE_SECONDS)

    def __enter__(self) -> Progress:
        if self._on_terminal and self._total:
            self._show()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._on_terminal:
            self._environment.draw("")

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        if self._environment.clock() >= self._next:
            self._show()

    def _show(self) -> None:
        now = self._environment.clock()
        if self._on_terminal:
            self._next = now + _TERMINAL_SECONDS
            filled = _BAR * self._done // self._total
            bar = "█" * filled + "░" * (_BAR - filled)
            self._environment.draw(f"hybrid: {bar} {self._words(now)}")
        else:
            self._next = now + _PLAIN_SECONDS
            self._environment.note(self._words(now))

    def _words(self, now: float) -> str:
        words = f"{self._done} of {self._total} {self._what}"
        if self._done < _LEAST:
            return words
        each = (now - self._begun) / self._done
        return f"{words}, about {duration(each * (self._total - self._done))} left"
