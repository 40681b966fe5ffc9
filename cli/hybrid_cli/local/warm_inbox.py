"""What all callers of a warm engine ask for, as one stream of sequences for the scheduler, and the events back."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.guard.forbid import Enforcement
from hybrid_cli.local import memory
from hybrid_cli.local.callers import Caller, Callers, Gone
from hybrid_cli.local.child import require_guard
from hybrid_cli.local.protocol import (
    AskStatus,
    Begin,
    Cancel,
    Done,
    End,
    Event,
    Failed,
    Finished,
    Keep,
    Loaded,
    LocalRequest,
    Message,
    Refused,
    SchedulerRequest,
    Status,
    Task,
    TemplateState,
    Tokens,
    Unload,
)
from hybrid_cli.local.scheduler import Inbox

_TICK_SECONDS = 2.0
"""How often an idle engine looks whether it should end."""
_LEAST_MEMORY = 256 << 20
"""Bytes: an idle engine ends when less is free."""


class WarmInbox(Inbox):
    """The messages of all callers. `ended` once the engine should end."""

    def __init__(
        self, callers: Callers, model: Status, enforcement: Enforcement, is_wanted: Callable[[], bool]
    ) -> None:
        super().__init__()
        self._callers = callers
        self._status = model
        self._loaded = Loaded(0.0, 0)
        """What callers hear about the model."""
        self._enforcement = enforcement
        self._is_wanted = is_wanted
        self._keep = model.keep
        self._numbers = itertools.count()
        self._owners: dict[int, tuple[Caller, int]] = {}
        """The caller of each sequence, and the caller's own number."""
        self._last_caller = time.monotonic()
        self._broken: Failure | None = None

    # ---- from the callers -------------------------------------------------------------------------------

    def poll(self) -> None:
        while not self._callers.arrivals.empty():
            self._arrive(*self._callers.arrivals.get())

    def _wait(self) -> None:
        with contextlib.suppress(queue.Empty):
            self._arrive(*self._callers.arrivals.get(timeout=_TICK_SECONDS))
        self._end_if_unused()  # also after a message: asking for the status again and again keeps nothing loaded

    def break_down(self, failure: Failure) -> None:
        """Give `failure` to the next caller that asks for an answer, then end: the model cannot be used."""
        self._broken = failure
        while not self.ended:
            self._wait()

    def _end_if_unused(self) -> None:
        """End without a caller: after the time to stay, in want of memory, or with the socket's folder gone."""
        now = time.monotonic()
        if self._callers.everyone():
            self._last_caller = now
            return
        free = memory.available()
        is_over = self._keep is not None and now - self._last_caller >= self._keep
        self.ended = (
            self.ended or is_over or not self._is_wanted() or (free is not None and free < _LEAST_MEMORY)
        )

    def _arrive(self, caller: Caller, message: Message | Gone) -> None:
        caller.only_watches = caller.only_watches or isinstance(message, AskStatus)
        if not caller.only_watches:
            self._last_caller = time.monotonic()
        if isinstance(message, Gone):
            self._forget(caller)
        elif isinstance(message, (LocalRequest, SchedulerRequest)):
            self._request(caller, message)
        elif isinstance(message, Begin):
            self._begin_for(caller, message.sequence, message.task)
        elif isinstance(message, Cancel):
            self._stop(caller.numbers.pop(message.sequence, None))
        elif isinstance(message, End):
            caller.has_ended = True
            self._finish_if_done(caller)
        elif isinstance(message, Keep):
            self._keep = message.seconds
        elif isinstance(message, AskStatus):
            caller.send(self._current_status())
        elif isinstance(message, Unload):
            self.ended = True
            self._waiting.clear()
            self.cancelled.update(self._owners)

    def _request(self, caller: Caller, request: LocalRequest | SchedulerRequest) -> None:
        try:
            if self._broken is not None:
                self.ended = True
                raise self._broken
            if request.path != self._status.path:
                raise Failure(ExitStatus.FAILURE, "the warm engine has another model")
            if request.require_enforcement:
                require_guard(self._enforcement)
        except Failure as failure:
            caller.send(Failed(failure.status.name, str(failure)))
            return
        caller.is_single = caller.has_ended = isinstance(request, LocalRequest)
        caller.is_loaded = False
        if isinstance(request, LocalRequest):
            for number, task in enumerate(request.tasks):
                self._begin_for(caller, number, task)

    def _begin_for(self, caller: Caller, sequence: int, task: Task) -> None:
        number = next(self._numbers)
        caller.numbers[sequence] = number
        self._owners[number] = (caller, sequence)
        self._begin(number, task)

    def _stop(self, number: int | None) -> None:
        """Stop a sequence of which nobody wants to know more."""
        if number is not None and self._owners.pop(number, None) is not None:
            self._cancel(number)

    def _forget(self, caller: Caller) -> None:
        for number in caller.numbers.values():
            self._stop(number)
        caller.numbers.clear()

    # ---- to the callers ---------------------------------------------------------------------------------

    def admitted(self, number: int, tokens: int, template: TemplateState) -> None:
        caller, _ = self._owners.get(number, (None, 0))
        if caller is not None and not caller.is_loaded:
            caller.is_loaded = True
            caller.send(msgspec.structs.replace(self._loaded, tokens_in=tokens, template=template))

    def emit(self, event: Event) -> None:
        """Send a sequence's event to its caller, by the caller's own number; other events are for nobody."""
        if isinstance(event, Loaded):
            self._loaded = msgspec.structs.replace(event, load_seconds=0.0)
        if not isinstance(event, (Tokens, Finished, Refused)):
            return
        caller, number = self._owners.get(event.sequence, (None, 0))
        if isinstance(event, (Finished, Refused)):
            self._owners.pop(event.sequence, None)
            self.cancelled.discard(event.sequence)
        if caller is None:
            return
        if isinstance(event, Refused) and caller.is_single:
            self._fail(caller, event.status, event.reason)
            return
        caller.send(msgspec.structs.replace(event, sequence=number))
        if not isinstance(event, Tokens):
            caller.numbers.pop(number, None)
            caller.context = event.context if isinstance(event, Finished) else 0
            self._finish_if_done(caller)

    def fail(self, failure: Failure) -> None:
        """Tell every caller with a running sequence of a failure of the engine."""
        for caller in {caller for caller, _ in self._owners.values()}:
            self._fail(caller, failure.status.name, str(failure))
        self._waiting.clear()
        self.cancelled.clear()

    def _fail(self, caller: Caller, status: str, reason: str) -> None:
        self._forget(caller)
        caller.has_ended = False
        caller.send(Failed(status, reason))

    def _finish_if_done(self, caller: Caller) -> None:
        if caller.has_ended and not caller.numbers:
            caller.has_ended = False
            caller.send(Done(caller.context))

    def _current_status(self) -> Status:
        count = len(self._callers.everyone())
        idle = 0.0 if count else time.monotonic() - self._last_caller
        return msgspec.structs.replace(
            self._status, memory=_resident_bytes(), callers=count, idle=round(idle, 1), keep=self._keep
        )


def _resident_bytes() -> int:
    """The process's resident set (proc(5), statm); 0 where it is unknown."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
