"""What the handoffs of one process share: questions in turn, clouds that ask to wait, money reserved."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hybrid_cli.cloud.faults import CloudFault
from hybrid_cli.exit_status import ExitStatus, Failure

Reservation = tuple[int, float | None]
"""A row of the ledger, and the most that it may cost in USD; None where that is not known."""

_FAILURES_IN_A_ROW = 8
"""After so many without an answer between them a cloud is taken to be failing."""
_UNSAID_SECONDS = 1.0
"""The wait after a 429 that names none."""


class Traffic:
    """Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.asking = threading.Lock()
        """Held while the user is asked."""
        self.refused: set[tuple[str, str]] = set()
        """Addresses and models of clouds that the user did not agree to."""
        self._clock = clock
        self._changed = threading.Condition()
        self._held: dict[str, float] = {}
        self._reasons: dict[str, CloudFault | None] = {}
        self._failures: Counter[str] = Counter()
        self._open = 0

    def turn(self, origin: str, longest: float | None = None) -> None:
        """Wait until `origin` may be sent to.

        Raises the fault that holds it back, where that takes more than `longest` seconds; None waits for
        any time.
        """
        with self._changed:
            while (left := self._held.get(origin, 0.0) - self._clock()) > 0:
                reason = self._reasons[origin]
                if reason is not None and longest is not None and left > longest:
                    raise CloudFault(reason.status, str(reason), outcome="refused", wait=left)
                self._changed.wait(left)

    def failed(self, origin: str, fault: CloudFault) -> None:
        """A request brought `fault`. What it says of all requests holds the others back."""
        with self._changed:
            self._failures[origin] += 1
            if fault.wait is not None or fault.limits_rate:
                self._hold(origin, _UNSAID_SECONDS if fault.wait is None else fault.wait, fault)

    def answered(self, origin: str, pause: float | None) -> None:
        """A request was answered; the server may want a `pause` of so many seconds before the next."""
        with self._changed:
            self._failures[origin] = 0
            if pause:
                self._hold(origin, pause, None)

    def is_failing(self, origin: str) -> bool:
        return self._failures[origin] >= _FAILURES_IN_A_ROW

    @contextmanager
    def reserved(self, reserve: Callable[[], Reservation]) -> Iterator[Reservation]:
        """What `reserve` gives, to be settled within the block.

        Where a limit refuses it, it is tried again after each other block's end: reservations are for the
        worst case, and what is settled is less. Raises Failure (LIMIT) once there is none to wait for.
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
