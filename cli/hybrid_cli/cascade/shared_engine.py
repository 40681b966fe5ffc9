"""One scheduler of the local engine, shared by threads: each record gets a slot that acts as an `Engine`."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterator

import msgspec

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.connection import Connection
from hybrid_cli.local.layouts import MOST_SLOTS, USUAL_SLOTS
from hybrid_cli.local.protocol import (
    Begin,
    Cancel,
    Done,
    Event,
    Failed,
    Finished,
    Loaded,
    LocalRequest,
    Refused,
    SchedulerRequest,
    Task,
    Tokens,
)
from hybrid_cli.system.turns import Turns

_AHEAD = 8
"""Records that may wait for a slot, so that a free slot never waits for a record; at most as many as there are slots,
since the time limit of a record that waits runs."""
LOCAL_THREADS = MOST_SLOTS + _AHEAD
"""Threads that decide about records."""

Events = queue.SimpleQueue[Event]


class EngineGone(Exception):  # noqa: N818  ends the run, unlike a record's Failure
    """The engine has failed, so that no record can be answered. Its cause is the Failure that says why."""


class SharedEngine:
    """One scheduler in the worker, shared by threads."""

    def __init__(
        self,
        worker: Connection,
        request: SchedulerRequest,
        on_loaded: Callable[[Loaded], None] = lambda _: None,
    ) -> None:
        """Start the scheduler; `on_loaded` is called once its model is loaded. Raises Failure if it is dead."""
        self._on_loaded = on_loaded
        self._worker = worker
        self._numbers = itertools.count()
        self._sending = threading.Lock()
        self._waiting: dict[int, Events] = {}
        self._failed: Failed | None = None
        self._slots = request.jobs or USUAL_SLOTS
        self._turns = Turns(self._slots + min(_AHEAD, self._slots))
        worker.send(request)  # here, because a thread's first task must not be sent before it
        threading.Thread(target=self._receive, daemon=True).start()

    def turn(self) -> Turns:
        """Return what a record holds while it is decided about, from when it can count on a slot soon."""
        return self._turns

    def begin(self, task: Task, events: Events) -> int:
        """Start one sequence, whose events go to `events`; return its number."""
        with self._sending:
            number = next(self._numbers)
            self._waiting[number] = events
            if self._failed is not None:
                events.put(self._failed)
            else:
                self._worker.send(Begin(number, task))
        return number

    def cancel(self, number: int) -> None:
        """Stop one sequence."""
        with self._sending:
            if self._waiting.pop(number, None) is not None and self._failed is None:
                self._worker.send(Cancel(number))

    def abandon(self, number: int, failure: Failure) -> None:
        """Stop one sequence, and end its events with `failure`."""
        with self._sending:
            events = self._waiting.get(number)
        self.cancel(number)
        if events is not None:
            events.put(Refused(number, failure.status.name, str(failure)))

    @property
    def is_gone(self) -> bool:
        """Whether the engine has failed, so that no sequence can be generated."""
        return self._failed is not None

    def _receive(self) -> None:
        try:
            for event in self._worker.received():
                if isinstance(event, Failed):
                    self._end(event)
                elif isinstance(event, Loaded):
                    self._add_turns(event.slots)
                    self._on_loaded(event)
                elif isinstance(event, (Tokens, Finished, Refused)):
                    self._deliver(event)
        except Failure as failure:
            self._end(Failed(failure.status.name, str(failure)))

    def _add_turns(self, slots: int) -> None:
        if slots > self._slots:
            self._turns.add(slots - self._slots)
            self._slots = slots

    def _deliver(self, event: Tokens | Finished | Refused) -> None:
        with self._sending:
            events = self._waiting.get(event.sequence)
            if isinstance(event, (Finished, Refused)):
                self._waiting.pop(event.sequence, None)
        if events is not None:
            events.put(event)

    def _end(self, failed: Failed) -> None:
        with self._sending:
            self._failed = failed
            for events in self._waiting.values():
                events.put(failed)


class EngineSlot:
    """One record's slot in the shared engine: an `Engine` for requests of few tasks."""

    def __init__(self, shared: SharedEngine, deadline: float | None, clock: Callable[[], float]) -> None:
        """Stop the sequence at the time `deadline` by `clock`."""
        self._shared = shared
        self._deadline = deadline
        self._clock = clock
        self._numbers: list[int] = []
        self._abandoned: Failure | None = None

    def events(self, request: LocalRequest) -> Iterator[Event]:
        """Yield the events of the request's sequences. Raises Failure, or EngineGone if the engine has failed."""
        events: Events = queue.SimpleQueue()
        self._numbers = [self._shared.begin(task, events) for task in request.tasks]
        if self._abandoned is not None:
            self.abandon(self._abandoned)
        running = set(self._numbers)
        yield Loaded(0.0, 0)
        while True:
            event = self._next(events)
            if isinstance(event, Failed):
                raise EngineGone from Failure(ExitStatus[event.status], event.reason)
            if isinstance(event, Refused):
                raise Failure(ExitStatus[event.status], event.reason)
            if not isinstance(event, (Tokens, Finished)):
                continue
            yield msgspec.structs.replace(event, sequence=self._numbers.index(event.sequence))
            if isinstance(event, Finished):
                running.discard(event.sequence)
                if not running:
                    yield Done(event.context)
                    return

    def _next(self, events: Events) -> Event:
        left = None if self._deadline is None else max(0.0, self._deadline - self._clock())
        try:
            return events.get(timeout=left)
        except queue.Empty:
            self.stop()
            raise Failure(ExitStatus.DEADLINE, "deadline reached (limits.seconds)") from None

    def stop(self) -> None:
        """Stop generating the sequences."""
        for number in self._numbers:
            self._shared.cancel(number)

    def abandon(self, failure: Failure) -> None:
        """Stop the sequences from another thread, and let `events` raise `failure`."""
        self._abandoned = failure
        for number in self._numbers:
            self._shared.abandon(number, failure)
