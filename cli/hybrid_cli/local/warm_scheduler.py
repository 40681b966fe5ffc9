"""Continuous batching for a model that stays loaded: finished sequences keep their slots until others need them."""

from __future__ import annotations

from hybrid_cli.local.context import Size
from hybrid_cli.local.kept_slots import KeepingDecoder
from hybrid_cli.local.scheduler import HEAD_START, MAX_LANES, Lane, Scheduler
from hybrid_cli.local.sequence import SequenceJob

_ALONE = 4096
"""Tokens for a single sequence: a conversation of many turns, and almost no memory until they are used."""
_EACH = 1024
"""Tokens for each of many sequences."""
_WORTH_A_PASS = 256
"""Tokens. A lane beside a busy one costs a pass over the weights for each token of an answer, so it must save more of
the prompt."""


class WarmScheduler(Scheduler):
    """A scheduler whose lanes stay open, and whose sequences begin where an earlier one agrees with them."""

    flush_seconds = 0.05

    def _lane_for(self, job: SequenceJob) -> Lane | None:
        fitting = [lane for lane in self._lanes if job.cells <= lane.size.longest]
        ready = [lane for lane in fitting if lane.decoder.has_room(job)]
        if ready:
            return max(ready, key=lambda lane: (_saved(lane, job), lane.has_all_slots))
        busy = [lane for lane in self._lanes if lane.decoder.active]
        if any(lane.has_all_slots for lane in fitting):
            return None
        if any(len(first.produced) < HEAD_START for lane in busy for first in lane.decoder.active):
            return None  # many answers are complete by then, and a context with all slots is not needed
        if len(self._lanes) >= MAX_LANES and not self._close_one():
            return None
        return self._open(job, self._slots if busy else 1)

    def _open(self, job: SequenceJob, slots: int) -> Lane:
        """Open a lane in which the sequence may go on for as long again."""
        need = max(2 * job.cells, _ALONE if slots == 1 else _EACH)
        size = Size.for_scheduler(max(job.cells, min(need, self._limit)), 0, slots, self._room())
        return self._new_lane(size, KeepingDecoder, has_all_slots=slots == self._slots)

    def _close_one(self) -> bool:
        """Close the idle lane with the fewest cells; return whether there was one."""
        idle = [lane for lane in self._lanes if not lane.decoder.active]
        if not idle:
            return False
        least = min(idle, key=lambda lane: lane.size.cells)
        self._lanes.remove(least)
        least.close()
        return True


def _saved(lane: Lane, job: SequenceJob) -> int:
    """Return the tokens that `job` saves in `lane`: what is held of its prompt, and the passes of a lane that is busy."""
    decoder = lane.decoder
    held = decoder.reusable(job) if isinstance(decoder, KeepingDecoder) else 0
    return held + (_WORTH_A_PASS if decoder.active else 0)
