"""The records in hand, from being taken to being written: their order, their number and their time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Union

from hybrid_cli.cascade.answer import Answer
from hybrid_cli.cascade.shadow import Shadow
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.pipe.records import Record

_MOST = 1024
"""Records in hand: those behind a slow one wait for it, and so do those that a slow cloud holds up."""
_MOST_BYTES = 64_000_000
"""Of them together, unless a single one is larger."""
_LOOK_SECONDS = 0.1
"""How often what only the clock can tell is looked at."""


class Blank:
    """The outcome of a record in which there is nothing."""


Outcome = Union[Answer, Failure, Blank]  # noqa: UP007  a Struct has no | at run time before 3.11


@dataclass(eq=False)
class QueuedRecord:
    """A record in hand."""

    number: int
    """Its place in the input, from 1."""
    record: Record
    outcome: Outcome | None = None
    shadow: Shadow | None = None
    """What goes to the cloud, too, once the record's line is out."""
    ends: float | None = None
    """When the work on it is given up; None while it waits for its turn."""


class RecordQueue:
    """Filled by one thread, worked at by many, and emptied by one."""

    def __init__(self, clock: Callable[[], float], *, ordered: bool, seconds: float | None) -> None:
        """`ordered`: tickets come back as they were taken; `seconds`: the longest that one is worked on."""
        self._clock = clock
        self._ordered = ordered
        self._seconds = seconds
        self._changed = threading.Condition()
        self._in_hand: deque[QueuedRecord] = deque()
        self._done: deque[QueuedRecord] = deque()
        self._bytes = 0
        self._is_closed = False
        self._error: BaseException | None = None
        self._next_look = 0.0

    def take(self, record: Record, number: int) -> QueuedRecord | None:
        """Take `record` in hand, once there is room for it. None after the desk was closed."""
        with self._changed:
            while not self._is_closed and not self._has_room(len(record.raw)):
                self._changed.wait()
            if self._is_closed:
                return None
            ticket = QueuedRecord(number, record)
            self._in_hand.append(ticket)
            self._bytes += len(record.raw)
            return ticket

    def _has_room(self, size: int) -> bool:
        held = len(self._in_hand) + len(self._done)
        return not held or (held < _MOST and self._bytes + size <= _MOST_BYTES)

    def begin(self, ticket: QueuedRecord) -> float | None:
        """Work on `ticket` begins, or goes on after a wait. When it has to end."""
        with self._changed:
            ticket.ends = None if self._seconds is None else self._clock() + self._seconds
            return ticket.ends

    def wait(self, ticket: QueuedRecord) -> None:
        """`ticket` waits for its turn; its time does not run."""
        with self._changed:
            ticket.ends = None

    def finish(self, ticket: QueuedRecord, outcome: Outcome) -> None:
        """The work on `ticket` is over. What comes after it was given up is dropped."""
        with self._changed:
            self._finish(ticket, outcome)

    def _finish(self, ticket: QueuedRecord, outcome: Outcome) -> None:
        if ticket.outcome is not None:
            return
        ticket.outcome, ticket.ends = outcome, None
        if not self._ordered:
            self._in_hand.remove(ticket)
            self._done.append(ticket)
        self._changed.notify_all()

    def close(self, error: BaseException | None = None) -> None:
        """Take no more records. With an `error`, which `next` raises, nothing more is given out, either."""
        with self._changed:
            self._is_closed = True
            self._error = self._error or error
            self._changed.notify_all()

    def next(self, is_over: Callable[[], bool]) -> QueuedRecord | None:
        """The next ticket that is done; None at the end of all, or when `is_over` says so.

        `is_over` is asked ten times a second.
        """
        with self._changed:
            while True:
                if self._error is not None:
                    raise self._error
                self._give_up_late()
                if not self._ordered and self._done:
                    return self._leave(self._done)
                if self._ordered and self._in_hand and self._in_hand[0].outcome is not None:
                    return self._leave(self._in_hand)
                if (self._is_closed and not self._in_hand) or is_over():
                    return None
                self._changed.wait(_LOOK_SECONDS)

    def _leave(self, line: deque[QueuedRecord]) -> QueuedRecord:
        ticket = line.popleft()
        self._bytes -= len(ticket.record.raw)
        self._changed.notify_all()
        return ticket

    def _give_up_late(self) -> None:
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        for ticket in [one for one in self._in_hand if one.ends is not None and one.ends < now]:
            words = f"no answer within {self._seconds:g} s (limits.seconds)"
            self._finish(ticket, Failure(ExitStatus.DEADLINE, words))
