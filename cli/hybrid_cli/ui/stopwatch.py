"""The time that one prompt takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopwatch:
    """Measures seconds from its creation on; `pause` leaves waits out, `add` counts time spent elsewhere."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()

    def elapsed(self) -> float:
        """Return the seconds so far."""
        return self._clock() - self._started

    def add(self, seconds: float) -> None:
        """Count `seconds` that another process spent on the same prompt."""
        self._started -= seconds

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Do not count the time of the block."""
        paused = self._clock()
        try:
            yield
        finally:
            self._started += self._clock() - paused
