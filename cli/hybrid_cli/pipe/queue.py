"""The queue of records between the thread that reads and the thread that writes."""

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

_MAX_RECORDS = 1024
"""In the queue at once. In ordered output, finished records wait here for a slow one before them."""
_MAX_BYTES = 64_000_000
"""Of all records in the queue together, unless a single one is larger."""
_POLL_SECONDS = 0.1
"""How often `next` checks the deadlines and `is_over`."""


class Blank:
    """The outcome of an empty record."""


Outcome = Union[Answer, Failure, Blank]  # noqa: UP007  a Struct has no | at run time before 3.11


@dataclass(eq=False)
class QueuedRecord:
    """A record in the queue."""

    number: int
    """Its place in the input, from 1."""
    record: Record
    outcome: Outcome | None = None
    """None until it is finished."""
    shadow: Shadow | None = None
    """What shadow mode sends once the record's line is written."""
    deadline: float | None = None
    """None while its clock is stopped, and if there is no limit."""


class RecordQueue:
    """Bounded queue: one producer, many workers, one consumer."""

    def __init__(self, clock: Callable[[], float], *, ordered: bool, seconds: float | None) -> None:
        """Return records in input order if `ordered`; fail a record after `seconds` of work."""
        self._clock = clock
        self._ordered = ordered
        self._seconds = seconds
        self._changed = threading.Condition()
        self._queued: deque[QueuedRecord] = deque()
        """In input order: all records if `ordered`, else the unfinished ones."""
        self._finished: deque[QueuedRecord] = deque()
        """In the order they finished; empty if `ordered`."""
        self._bytes = 0
        self._is_closed = False
        self._error: BaseException | None = None
        self._next_check = 0.0

    def add(self, record: Record, number: int) -> QueuedRecord | None:
        """Add `record` as soon as there is room. Returns None once the queue is closed."""
        with self._changed:
            while not self._is_closed and not self._has_room(len(record.raw)):
                self._changed.wait()
            if self._is_closed:
                return None
            queued = QueuedRecord(number, record)
            self._queued.append(queued)
            self._bytes += len(record.raw)
            return queued

    def _has_room(self, size: int) -> bool:
        count = len(self._queued) + len(self._finished)
        return not count or (count < _MAX_RECORDS and self._bytes + size <= _MAX_BYTES)

    def start_clock(self, queued: QueuedRecord) -> float | None:
        """Give `queued` the full time limit from now, and return its deadline."""
        with self._changed:
            queued.deadline = None if self._seconds is None else self._clock() + self._seconds
            return queued.deadline

    def stop_clock(self, queued: QueuedRecord) -> None:
        """Remove the deadline of `queued` while it waits for its turn."""
        with self._changed:
            queued.deadline = None

    def finish(self, queued: QueuedRecord, outcome: Outcome) -> None:
        """Set the outcome of `queued`, unless its deadline has already failed it."""
        with self._changed:
            self._finish(queued, outcome)

    def _finish(self, queued: QueuedRecord, outcome: Outcome) -> None:
        if queued.outcome is not None:
            return
        queued.outcome, queued.deadline = outcome, None
        if not self._ordered:
            self._queued.remove(queued)
            self._finished.append(queued)
        self._changed.notify_all()

    def close(self, error: BaseException | None = None) -> None:
        """Add no more records. After an `error`, `next` raises it instead of returning records."""
        with self._changed:
            self._is_closed = True
            self._error = self._error or error
            self._changed.notify_all()

    def next(self, is_over: Callable[[], bool]) -> QueuedRecord | None:
        """Return the next finished record. Returns None at the end, or as soon as `is_over` returns True.

        Calls `is_over` about ten times a second while it waits.
        """
        with self._changed:
            while True:
                if self._error is not None:
                    raise self._error
                self._fail_overdue()
                if not self._ordered and self._finished:
                    return self._pop(self._finished)
                if self._ordered and self._queued and self._queued[0].outcome is not None:
                    return self._pop(self._queued)
                if (self._is_closed and not self._queued) or is_over():
                    return None
                self._changed.wait(_POLL_SECONDS)

    def _pop(self, records: deque[QueuedRecord]) -> QueuedRecord:
        queued = records.popleft()
        self._bytes -= len(queued.record.raw)
        self._changed.notify_all()
        return queued

    def _fail_overdue(self) -> None:
        now = self._clock()
        if now < self._next_check:
            return
        self._next_check = now + _POLL_SECONDS
        for queued in [one for one in self._queued if one.deadline is not None and one.deadline < now]:
            message = f"no answer within {self._seconds:g} s (limits.seconds)"
            self._finish(queued, Failure(ExitStatus.DEADLINE, message))
