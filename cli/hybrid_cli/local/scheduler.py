"""Continuous batching: sequences arrive one by one, and each starts as soon as a slot is free.

The first sequence gets a small context of its own, which takes almost no time to allocate. When others wait, the
scheduler allocates a context with all slots, which later sequences join. A sequence that is too long for that
context gets a larger one.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from hybrid_cli.exit_status import Failure
from hybrid_cli.local import memory
from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.context import Size, affordable_slots, common_length, new_context, slots_for
from hybrid_cli.local.decode import Decoder
from hybrid_cli.local.inference import Emit, EventWriter, fits, new_job
from hybrid_cli.local.layouts import USUAL_SLOTS
from hybrid_cli.local.loading import Loader
from hybrid_cli.local.model import Model
from hybrid_cli.local.prompt_images import read_prompt
from hybrid_cli.local.protocol import (
    Begin,
    Cancel,
    Done,
    End,
    Finished,
    Loaded,
    Message,
    Refused,
    SchedulerRequest,
    Task,
    TemplateState,
)
from hybrid_cli.local.sequence import SequenceJob
from hybrid_cli.local.thinking import Split
from hybrid_cli.local.threads import ThreadCount, usable_cores

_FLUSH_SECONDS = 0.25
"""Longer than for a single request: no user reads along, and only the gate's checkpoints need the tokens."""
HEAD_START = 16
"""Tokens that the first sequence generates on its own: many answers are complete by then."""
_MAX_CACHE_BYTES = 1 << 30
"""For the KV cache of one context."""
_MEMORY_DIVISOR = 4
"""One context takes at most this part of the free memory."""
MAX_LANES = 2


class Inbox:
    """The sequences that are asked for, in order."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Task]] = deque()
        self.cancelled: set[int] = set()
        self.ended = False

    def next(self, *, wait: bool) -> tuple[int, Task] | None:
        """Return the next task with its number; None if no task waits, or, with `wait`, after the end."""
        self.poll()
        while wait and not self._waiting and not self.ended:
            self._wait()
        return self._waiting.popleft() if self._waiting else None

    @property
    def waiting(self) -> int:
        """How many tasks wait."""
        return len(self._waiting)

    def poll(self) -> None:
        """Process the messages that have arrived."""
        raise NotImplementedError

    def _wait(self) -> None:
        """Wait for a message, and process it."""
        raise NotImplementedError

    def admitted(self, number: int, tokens: int, template: TemplateState) -> None:
        """The prompt of a task was read, and has so many tokens."""

    def _begin(self, number: int, task: Task) -> None:
        self._waiting.append((number, task))

    def _cancel(self, number: int) -> None:
        waiting = [one for one in self._waiting if one[0] != number]
        if len(waiting) == len(self._waiting):
            self.cancelled.add(number)
        self._waiting = deque(waiting)


class LineInbox(Inbox):
    """The messages after a `SchedulerRequest`. A thread reads them, so that decoding does not wait for the parent."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        super().__init__()
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def _read(self, lines: Iterable[bytes]) -> None:
        decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)
        for line in lines:
            message = decoder.decode(line)
            self._messages.put(message)
            if isinstance(message, End):
                return
        self._messages.put(End())

    def poll(self) -> None:
        while not self._messages.empty():
            self._wait()

    def _wait(self) -> None:
        message = self._messages.get()
        if isinstance(message, Begin):
            self._begin(message.sequence, message.task)
        elif isinstance(message, Cancel):
            self._cancel(message.sequence)
        else:
            self.ended = True


@dataclass
class Lane:
    """One context and its decoder."""

    context: Any
    decoder: Decoder
    size: Size
    has_all_slots: bool
    """Whether later sequences may join it, because it has as many slots as are worthwhile and have room."""

    def close(self) -> None:
        self.decoder.close()
        llama_cpp.llama_free(self.context)


class _SchedulerWriter(EventWriter):
    """Emits events, and frees a finished sequence's native memory."""

    def finished(self, job: SequenceJob, reason: str, rest: Split) -> None:
        super().finished(job, reason, rest)
        job.sampler.close()


class Scheduler:
    """Generates the sequences of one `SchedulerRequest`."""

    flush_seconds = _FLUSH_SECONDS

    def __init__(self, loader: Loader, request: SchedulerRequest, inbox: Inbox, emit: Emit) -> None:
        self._loader = loader
        self._inbox = inbox
        self._emit = emit
        self._writer = _SchedulerWriter(emit, self.flush_seconds)
        self._model = model = Model(loader.handle)
        self._threads = ThreadCount(request.threads)
        self._projector = request.projector
        self._limit = min(request.context or model.trained_context, model.trained_context)
        self._slots = request.jobs or (
            slots_for(usable_cores()) if loader.slots == USUAL_SLOTS else loader.slots
        )
        examples = [model.tokens(model.prompt(task)) for task in request.examples]
        self._prefix = examples[0][: common_length(examples)] if examples else []
        needs = [
            len(prompt) + task.max_tokens for prompt, task in zip(examples, request.examples, strict=True)
        ]
        self._usual_need = min(max(needs, default=1), self._limit)
        """Tokens of a sequence like the examples, prompt and answer."""
        self._lanes: list[Lane] = []
        self._next: SequenceJob | None = None
        """A sequence that waits for a slot."""

    def run(self) -> None:
        """Run until the parent has sent `End` and all sequences are complete. Raises Failure."""
        seconds = self._loader.take_load_seconds()
        slots = self._size_for(self._usual_need, self._slots).slots
        self._emit(Loaded(seconds, 0, self._model.template_state, *self._loader.gpu, slots=slots))
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
        self._emit(Done(self._limit))

    def _fill(self) -> bool:
        """Give slots to waiting sequences, and wait for one if none runs. Returns False at the end."""
        self._inbox.poll()
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

    def _new_job(self, *, wait: bool) -> SequenceJob | None:
        """Return the next task as a job, after refusing tasks that cannot be generated."""
        while (found := self._next_task(wait=wait)) is not None:
            number, task = found
            try:
                prompt = read_prompt(task, self._model, self._loader, self._projector)
                size = len(prompt.tokens)
                self._inbox.admitted(number, size, self._model.template_state)
                if fits(prompt.tokens, task, self._limit):
                    return new_job(self._model, number, task, prompt, self._limit)
            except Failure as failure:
                self._emit(Refused(number, failure.status.name, str(failure)))
            else:
                self._emit(Finished(number, "overflow", tokens_in=size, tokens_out=0, context=self._limit))
        return None

    def _next_task(self, *, wait: bool) -> tuple[int, Task] | None:
        begun = time.monotonic()
        found = self._inbox.next(wait=wait)
        self._threads.rested(time.monotonic() - begun)
        return found

    def _lane_for(self, job: SequenceJob) -> Lane | None:
        """Return a lane with room for `job`, allocated if necessary; None if the job has to wait."""
        self._close_idle()
        full = next((lane for lane in reversed(self._lanes) if lane.has_all_slots), None)
        if full is not None and job.cells <= full.size.longest:
            return full if full.decoder.takes(job, 1 + self._inbox.waiting) else None
        if full is None and len(self._lanes) == 1:
            (alone,) = self._lanes
            # If more tasks wait, a context with all slots is faster than this one, however short the tasks are.
            if not self._inbox.waiting and job.cells <= alone.size.longest and alone.decoder.has_room(job):
                return alone
            if any(len(first.produced) < HEAD_START for first in alone.decoder.active):
                return None
        if len(self._lanes) >= MAX_LANES:
            return None
        return self._open(job, self._slots if self._lanes else 1)

    def _open(self, job: SequenceJob, slots: int) -> Lane:
        size = self._size_for(job.cells, slots)
        lane = self._new_lane(size, Decoder, has_all_slots=slots == self._slots)
        if size.several:
            lane.decoder.share(self._prefix)
        return lane

    def _size_for(self, need: int, slots: int) -> Size:
        """Return the size of a context for at most `slots` sequences of `need` tokens."""
        affordable = min(slots, affordable_slots(self._model, need))
        return Size.for_scheduler(need, len(self._prefix), affordable, self._room())

    def _new_lane(self, size: Size, decoder: type[Decoder], *, has_all_slots: bool) -> Lane:
        self._threads.update()
        context = new_context(self._model, size, self._threads.value, self._loader)
        lane = Lane(
            context,
            decoder(self._model, context, size, self._threads, self._writer),
            size,
            has_all_slots,
        )
        self._lanes.append(lane)
        return lane

    def _room(self) -> int | None:
        """Return the maximum tokens of one context, or None if the free memory is unknown."""
        free = memory.available()
        if free is None:
            return None
        return min(_MAX_CACHE_BYTES, free // _MEMORY_DIVISOR) // max(
            memory.cache_bytes(self._model.handle), 1
        )

    def _close_idle(self) -> None:
        """Free idle lanes, except the only lane and the newest one that has all slots."""
        newest = next((lane for lane in reversed(self._lanes) if lane.has_all_slots), None)
        for lane in [lane for lane in self._lanes if not lane.decoder.active]:
            if lane is not newest and len(self._lanes) > 1:
                self._lanes.remove(lane)
                lane.close()

    def _drop_cancelled(self, lane: Lane) -> None:
        for job in [job for job in lane.decoder.active if job.number in self._inbox.cancelled]:
            self._inbox.cancelled.discard(job.number)
            lane.decoder.release(job)
            self._writer.drop(job)
            job.sampler.close()
