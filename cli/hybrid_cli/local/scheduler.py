"""Sequences that come one by one and without end: each begins as soon as there is a place for it.

The first one has a small context to itself, as that is made at once. When others wait beside it, one with
all places is made, and newcomers join that. A sequence that is too long for it gets a larger one.
"""

from __future__ import annotations

import json
import queue
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hybrid_cli.exit_status import Failure
from hybrid_cli.local import memory
from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.context import Size, common_length, new_context, places_for
from hybrid_cli.local.decode import Decoder, Job
from hybrid_cli.local.engine import Emit, Teller, new_job
from hybrid_cli.local.loading import Loader
from hybrid_cli.local.model import Model
from hybrid_cli.local.protocol import FlowRequest, Task
from hybrid_cli.local.thinking import Split
from hybrid_cli.local.threads import ThreadCount, usable_cores

_TELL_SECONDS = 0.25
"""Nobody reads along: tokens are told for the gate's checkpoints only."""
_HEAD_START = 16
"""Tokens that the first sequence makes before its steps are shared with others: many are over by then."""
_MOST_BYTES = 1 << 30
"""Of keys and values in one context, where the memory has more."""
_SHARE_OF_MEMORY = 4
_MOST_LANES = 2


class Inbox:
    """What the parent sends after a flow's request. Read by a thread, as the decoding must not wait for it."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._waiting: deque[tuple[int, Task]] = deque()
        self.cancelled: set[int] = set()
        self.ended = False
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def _read(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            message = json.loads(line)
            self._messages.put(message)
            if "end" in message:
                return
        self._messages.put({"end": True})

    def next(self, *, wait: bool) -> tuple[int, Task] | None:
        """The next task with its number; None where there is none now, and after the end."""
        self.look()
        while wait and not self._waiting and not self.ended:
            self._take(self._messages.get())
        return self._waiting.popleft() if self._waiting else None

    @property
    def has_more(self) -> bool:
        """Whether a task waits behind the last one that was given out."""
        return bool(self._waiting)

    def look(self) -> None:
        """Take in what has arrived."""
        while not self._messages.empty():
            self._take(self._messages.get())

    def _take(self, message: dict[str, Any]) -> None:
        if "task" in message:
            self._waiting.append((message["sequence"], Task(**message["task"])))
        elif "cancel" in message:
            number = message["cancel"]
            waiting = [one for one in self._waiting if one[0] != number]
            if len(waiting) == len(self._waiting):
                self.cancelled.add(number)
            self._waiting = deque(waiting)
        else:
            self.ended = True


@dataclass
class _Lane:
    """One context with its sequences."""

    context: Any
    decoder: Decoder
    size: Size
    is_whole: bool
    """It has all the places there are to be, so that newcomers join it."""

    def close(self) -> None:
        self.decoder.close()
        llama_cpp.llama_free(self.context)


class _Teller(Teller):
    """Tells of sequences, and gives their native memory back at their end."""

    def finished(self, job: Job, reason: str, rest: Split) -> None:
        super().finished(job, reason, rest)
        job.sampler.close()


class Flow:
    """Makes the sequences of one flow."""

    def __init__(self, loader: Loader, request: FlowRequest, inbox: Inbox, emit: Emit) -> None:
        self._loader = loader
        self._inbox = inbox
        self._emit = emit
        self._teller = _Teller(emit, _TELL_SECONDS)
        self._model = model = Model(loader.handle)
        self._threads = ThreadCount(request.threads)
        self._limit = min(request.context or model.trained_context, model.trained_context)
        self._places = request.places or places_for(usable_cores())
        examples = [model.tokens(model.prompt(messages)) for messages in request.examples]
        self._prefix = examples[0][: common_length(examples)]
        self._lanes: list[_Lane] = []
        self._next: Job | None = None
        """A sequence that waits for a place."""

    def run(self) -> None:
        """Until the end is sent and all is made. Raises Failure where the engine fails."""
        self._emit("loaded", load_seconds=self._loader.seconds(), tokens_in=0)
        try:
            while self._fill():
                for lane in self._lanes:
                    self._drop_cancelled(lane)
                    if lane.decoder.active:
                        lane.decoder.step()
        finally:
            for job in [job for lane in self._lanes for job in lane.decoder.active]:
                job.sampler.close()
            for lane in self._lanes:
                lane.close()
        self._emit("done", context=self._limit, cached=0)

    def _fill(self) -> bool:
        """Give places to what waits; where nothing is under way, wait for it. False at the end."""
        self._inbox.look()
        while True:
            busy = any(lane.decoder.active for lane in self._lanes)
            if self._next is None:
                self._next = self._new_job(wait=not busy)
            if self._next is None:
                return busy or not self._inbox.ended
            lane = self._lane_for(self._next)
            if lane is None:
                return True
            lane.decoder.admit(self._next)
            self._next = None

    def _new_job(self, *, wait: bool) -> Job | None:
        """The next task as a sequence. One that cannot be made is told, and passed over."""
        while (found := self._inbox.next(wait=wait)) is not None:
            number, task = found
            try:
                prompt = self._model.prompt(task.messages, task.tools)
                tokens = self._model.tokens(prompt)
                if len(tokens) < self._limit:
                    return new_job(self._model, number, task, prompt, tokens, self._limit)
            except Failure as failure:
                self._emit("refused", sequence=number, status=failure.status.name, message=str(failure))
            else:
                self._emit(
                    "finished",
                    sequence=number,
                    finish_reason="overflow",
                    tokens_in=len(tokens),
                    tokens_out=0,
                    context=self._limit,
                )
        return None

    def _lane_for(self, job: Job) -> _Lane | None:
        """A lane with a place for `job`, made if need be; None where it has to wait."""
        self._close_idle()
        whole = next((lane for lane in reversed(self._lanes) if lane.is_whole), None)
        if whole is not None and job.cells <= whole.size.longest:
            return whole if whole.decoder.has_room(job) else None
        if whole is None and len(self._lanes) == 1:
            (alone,) = self._lanes
            # Where more wait, one after another in it would be the slowest way, however short they are.
            if not self._inbox.has_more and job.cells <= alone.size.longest and alone.decoder.has_room(job):
                return alone
            if any(len(first.produced) < _HEAD_START for first in alone.decoder.active):
                return None
        if len(self._lanes) >= _MOST_LANES:
            return None
        return self._open(job, self._places if self._lanes else 1)

    def _open(self, job: Job, places: int) -> _Lane:
        size = Size.for_flow(job.cells, len(self._prefix), places, self._room())
        self._threads.update()
        context = new_context(self._model, size, self._threads.value, self._loader)
        decoder = Decoder(self._model, context, size, self._threads, self._teller)
        lane = _Lane(context, decoder, size, is_whole=size.slots >= self._places)
        self._lanes.append(lane)
        if size.several:
            decoder.share(self._prefix)
        return lane

    def _room(self) -> int | None:
        """Tokens that one context may hold."""
        free = memory.available()
        if free is None:
            return None
        return min(_MOST_BYTES, free // _SHARE_OF_MEMORY) // max(memory.cache_bytes(self._model.handle), 1)

    def _close_idle(self) -> None:
        """Give back the memory of lanes that nothing will join: all but the newest whole one, or the only one."""
        newest = next((lane for lane in reversed(self._lanes) if lane.is_whole), None)
        for lane in [lane for lane in self._lanes if not lane.decoder.active]:
            if lane is not newest and len(self._lanes) > 1:
                self._lanes.remove(lane)
                lane.close()

    def _drop_cancelled(self, lane: _Lane) -> None:
        for job in [job for job in lane.decoder.active if job.number in self._inbox.cancelled]:
            self._inbox.cancelled.discard(job.number)
            lane.decoder.release(job)
            self._teller.drop(job)
            job.sampler.close()
