"""Ctrl-C and SIGTERM: stop reading records, and give those under way a moment to finish."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hybrid_cli.exit_status import ExitStatus, Interrupted

GRACE_SECONDS = 0.6
"""For records under way."""
_MAX_SECONDS = 0.9
"""After this, hybrid stops even a write that waits for its reader."""


@dataclass
class Stop:
    """The first signal that arrived, as an exit status."""

    status: ExitStatus | None = None


@contextmanager
def stopping() -> Iterator[Stop]:
    """Record the first signal in the `Stop`. A second signal, or the time limit, raises Interrupted.

    Call it from the main thread.
    """
    stop = Stop()

    def note(number: int, _frame: object) -> None:
        status = ExitStatus.INTERRUPTED if number == signal.SIGINT else ExitStatus.TERMINATED
        if stop.status is not None:
            raise Interrupted(stop.status if number == signal.SIGALRM else status)
        stop.status = status
        signal.setitimer(signal.ITIMER_REAL, _MAX_SECONDS)

    numbers = [signal.SIGTERM, signal.SIGALRM]
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a shell ignores it for background jobs
        numbers.append(signal.SIGINT)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
