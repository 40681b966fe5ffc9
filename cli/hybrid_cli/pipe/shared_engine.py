"""The local engine as many records use it at once: each sees a worker of its own."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.protocol import FlowRequest
from hybrid_cli.local.worker import Worker

LOCAL_CREW = 24
"""Threads that decide about records: more than the engine makes side by side, so that the next ones wait at
its door."""

Events = queue.SimpleQueue[dict[str, Any]]


class Shared:
    """One flow of the worker, shared by threads."""

    def __init__(self, worker: Worker, request: FlowRequest) -> None:
        """Raises Failure where the worker is dead."""
        self._worker = worker
        self._numbers = itertools.count()
        self._sending = threading.Lock()
        self._waiting: dict[int, Events] = {}
        self._over: dict[str, Any] | None = None
        worker.send(asdict(request))  # here, as a thread's first task could be before it
        threading.Thread(target=self._receive, daemon=True).start()

    def begin(self, task: dict[str, Any]) -> tuple[int, Events]:
        """Ask for one sequence; its number, and where its events will be."""
        events: Events = queue.SimpleQueue()
        with self._sending:
            number = next(self._numbers)
            self._waiting[number] = events
            if self._over is not None:
                events.put(self._over)
            else:
                self._worker.send({"sequence": number, "task": task})
        return number, events

    def cancel(self, number: int) -> None:
        with self._sending:
            if self._waiting.pop(number, None) is not None and self._over is None:
                self._worker.send({"cancel": number})

    def _receive(self) -> None:
        try:
            for event in self._worker.received():
                if event["event"] == "failed":
                    self._end(event)
                elif "sequence" in event:
                    self._give(event)
        except Failure as failure:
            self._end({"event": "failed", "status": failure.status.name, "message": str(failure)})

    def _give(self, event: dict[str, Any]) -> None:
        with self._sending:
            events = self._waiting.get(event["sequence"])
            if event["event"] in ("finished", "refused"):
                self._waiting.pop(event["sequence"], None)
        if events is not None:
            events.put(event)

    def _end(self, event: dict[str, Any]) -> None:
        with self._sending:
            self._over = event
            for events in self._waiting.values():
                events.put(event)


class EngineOver(Exception):  # noqa: N818  no failure of a record, but the end of all of them
    """The engine is gone, for all records: the Failure that says why is its cause."""


class Side:
    """What one record's cascade takes for the worker."""

    def __init__(self, shared: Shared, ends: float | None, clock: Callable[[], float]) -> None:
        """At the time `ends` by `clock` the sequence is given up."""
        self._shared = shared
        self._ends = ends
        self._clock = clock
        self._number = -1

    def events(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """As `Worker.events`, for a request of one task. Raises EngineOver."""
        self._number, events = self._shared.begin(request["tasks"][0])
        yield {"event": "loaded", "load_seconds": 0.0, "tokens_in": 0}
        while True:
            event = self._next(events)
            if event["event"] == "failed":
                raise EngineOver from Failure(ExitStatus[event["status"]], event["message"])
            if event["event"] == "refused":
                yield {**event, "event": "failed"}
                return
            yield event
            if event["event"] == "finished":
                yield {"event": "done", "context": event.get("context", 0), "cached": 0}
                return

    def _next(self, events: Events) -> dict[str, Any]:
        try:
            return events.get(timeout=None if self._ends is None else max(0.0, self._ends - self._clock()))
        except queue.Empty:
            self.stop()
            raise Failure(ExitStatus.DEADLINE, "its time is over") from None

    def stop(self) -> None:
        """Give the sequence up."""
        self._shared.cancel(self._number)
