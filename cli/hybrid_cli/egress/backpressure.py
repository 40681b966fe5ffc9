"""Handoffs side by side in one process: questions in turn, clouds that ask to wait, reserved money."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hybrid_cli.exit_status import ExitStatus, Failure

if TYPE_CHECKING:  # a run without a handoff pays for no faults
    from hybrid_cli.cloud.faults import CloudFault

Reservation = tuple[int, float | None]
"""A row of the ledger, and its worst case in USD; None if the price is unknown."""

_FAILURES_IN_A_ROW = 8
"""After so many failures without an answer in between, a cloud counts as failing."""
_DEFAULT_WAIT = 1.0
"""Seconds to wait after a 429 that names no time."""


class Backpressure:
    """Shared state of one process's handoffs. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.asking = threading.Lock()
        """Held while the user is asked."""
        self.refused: set[tuple[str, str]] = set()
        """Addresses and models of clouds that the user declined."""
        self._clock = clock
        self._changed = threading.Condition()
        self._held: dict[str, float] = {}
        self._reasons: dict[str, CloudFault | None] = {}
        self._failures: Counter[str] = Counter()
        self._open = 0

    def wait_for_turn(self, origin: str, longest: float | None = None) -> None:
        """Wait until `origin` accepts requests again.

        Raises the fault that holds it back if the wait is longer than `longest` seconds; None waits any time.
        """
        from hybrid_cli.cloud.faults import CloudFault

        with self._changed:
            while (left := self._held.get(origin, 0.0) - self._clock()) > 0:
                reason = self._reasons[origin]
                if reason is not None and longest is not None and left > longest:
                    raise CloudFault(reason.status, str(reason), outcome="refused", wait=left)
                self._changed.wait(left)

    def failed(self, origin: str, fault: CloudFault) -> None:
        """Record a fault. If it concerns all requests, the others wait, too."""
        with self._changed:
            self._failures[origin] += 1
            if fault.wait is not None or fault.limits_rate:
                self._hold(origin, _DEFAULT_WAIT if fault.wait is None else fault.wait, fault)

    def answered(self, origin: str, pause: float | None) -> None:
        """Record an answer; the server may ask for a `pause` in seconds before the next request."""
        with self._changed:
            self._failures[origin] = 0
            if pause:
                self._hold(origin, pause, None)

    def is_failing(self, origin: str) -> bool:
        """Return whether one request after another has failed."""
        return self._failures[origin] >= _FAILURES_IN_A_ROW

    @contextmanager
    def reserved(self, reserve: Callable[[], Reservation]) -> Iterator[Reservation]:
        """Yield a reservation, to be settled within the block.

        If a limit refuses it, try again at each other block's end: reservations are for the worst case, and
        settling frees the rest. Raises Failure (LIMIT) once there is no other block to wait for.
        """
        reservation = self._reserve(reserve)
        try:
            yield reservation
        finally:
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    def _reserve(self, reserve: Callable[[], Reservation]) -> Reservation:
        while True:
            with self._changed:
                open_before = self._open
                try:
                    reservation = reserve()
                except Failure as failure:
                    if failure.status is not ExitStatus.LIMIT or not open_before:
                        raise
                    self._changed.wait()
                else:
                    self._open += 1
                    return reservation

    def _hold(self, origin: str, seconds: float, reason: CloudFault | None) -> None:
        until = self._clock() + seconds
        if until > self._held.get(origin, 0.0):
            self._held[origin], self._reasons[origin] = until, reason
            self._changed.notify_all()
