"""Ctrl-C and SIGTERM: no more records are taken, and what is in hand gets a moment to end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hybrid_cli.exit_status import ExitStatus, Interrupted

GRACE_SECONDS = 0.6
_MOST_SECONDS = 0.9
"""When even a write that waits for its reader is given up."""


@dataclass
class Stop:
    """Whether the user wants the end."""

    status: ExitStatus | None = None


@contextmanager
def stopping() -> Iterator[Stop]:
    """Note the first signal instead of raising it; a second one, or the time, raises Interrupted.

    Main thread only.
    """
    stop = Stop()

    def note(number: int, _frame: object) -> None:
        status = ExitStatus.INTERRUPTED if number == signal.SIGINT else ExitStatus.TERMINATED
        if stop.status is not None:
            raise Interrupted(stop.status if number == signal.SIGALRM else status)
        stop.status = status
        signal.setitimer(signal.ITIMER_REAL, _MOST_SECONDS)

    numbers = [signal.SIGTERM, signal.SIGALRM]
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in a shell's background
        numbers.append(signal.SIGINT)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
