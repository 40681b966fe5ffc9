"""Turns for threads: a semaphore that is fair."""

from __future__ import annotations

import threading
from collections import deque


class Turns:
    """At most so many threads have a turn at once. The thread that has waited longest gets the next turn.

    `threading.Semaphore` gives a turn to whichever thread runs first. Most often this is the thread that just gave its turn
    back, and others wait until the end of the run.
    """

    def __init__(self, free: int) -> None:
        self.free = free
        """Turns that no thread has."""
        self._waiting: deque[threading.Event] = deque()
        self._changing = threading.Lock()

    def __enter__(self) -> None:
        """Wait for a turn."""
        with self._changing:
            if self.free:
                self.free -= 1
                return
            turn = threading.Event()
            self._waiting.append(turn)
        turn.wait()

    def __exit__(self, *_exception: object) -> None:
        """Give the turn back."""
        self.add(1)

    def add(self, count: int) -> None:
        """Let `count` more threads have a turn."""
        with self._changing:
            self.free += count
            while self.free and self._waiting:
                self.free -= 1
                self._waiting.popleft().set()
