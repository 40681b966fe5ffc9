"""A decoder whose slots keep finished sequences, so that a prompt that continues one costs only its new tokens."""

from __future__ import annotations

from typing import Any

from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.context import common_length
from hybrid_cli.local.decode import Decoder
from hybrid_cli.local.sequence import SequenceJob

_WORTH_A_COPY = 32
"""Tokens: decoding fewer takes no longer than the copy of a slot's buffer."""


class KeepingDecoder(Decoder):
    """Begins each prompt where it differs from what a slot still holds."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._kept: dict[int, list[int]] = {}
        """The tokens that each free slot still holds, the one unused for longest first."""

    def has_room(self, job: SequenceJob) -> bool:
        """Whether `job` can begin. One with a long prefix that is being decoded waits until it can copy it."""
        return super().has_room(job) and not self._awaits_prefix(job)

    def _awaits_prefix(self, job: SequenceJob) -> bool:
        ready = self.reusable(job)
        return any(
            other.left > 0
            and common_length([job.prompt, other.prompt]) - max(ready, other.position) >= _WORTH_A_COPY
            for other in self.active
        )

    def reusable(self, job: SequenceJob) -> int:
        """Tokens of the prompt that some slot holds."""
        return max((length for length, _ in self._sources(job)), default=0)

    def _sources(self, job: SequenceJob) -> list[tuple[int, int]]:
        """For each slot with tokens: how many of the prompt's it holds, and the slot."""
        held = dict(self._kept)
        held.update((other.slot, _tokens_of(other)) for other in self.active)
        return [
            (common_length([job.prompt, [*tokens, -1]]), slot)
            for slot, tokens in held.items()
            if tokens and self._is_whole(slot)
        ]

    def _is_whole(self, slot: int) -> bool:
        """Whether the slot holds its tokens from the first on; a sliding window may have dropped some."""
        return int(llama_cpp.llama_memory_seq_pos_min(self._memory, slot)) == 0

    def admit(self, job: SequenceJob) -> None:
        """Give `job` a slot, and what other slots hold of its prompt."""
        length, source = max(self._sources(job), default=(0, -1))
        job.slot = self._slot_for(length, source)
        self._free.remove(job.slot)
        self._kept.pop(job.slot, None)
        if job.slot != source:
            llama_cpp.llama_memory_seq_rm(self._memory, job.slot, -1, -1)
            if length >= _WORTH_A_COPY:
                llama_cpp.llama_memory_seq_cp(self._memory, source, job.slot, -1, -1)
            else:
                length = 0
        if not llama_cpp.llama_memory_seq_rm(self._memory, job.slot, length, -1):
            llama_cpp.llama_memory_seq_rm(self._memory, job.slot, -1, -1)  # this kind of memory cannot be cut
            length = 0
        job.position = length
        self.active.append(job)
        self._used += job.cells

    def _slot_for(self, length: int, source: int) -> int:
        """Return the slot to use: the source if it holds little else, else an empty one, else the oldest."""
        empty = self._free - self._kept.keys()
        if source in self._free and (not empty or 2 * length >= len(self._kept[source])):
            return source
        if empty:
            return min(empty)
        return next(slot for slot in self._kept if slot in self._free)

    def release(self, job: SequenceJob) -> None:
        """Free the slot of `job`, finished or not; its tokens stay there."""
        super().release(job)
        self._kept[job.slot] = _tokens_of(job)

    def _move(self, job: SequenceJob, slot: int) -> None:
        left = job.slot
        super()._move(job, slot)
        self._kept.pop(slot, None)
        self._kept[left] = _tokens_of(job)


def _tokens_of(job: SequenceJob) -> list[int]:
    """The tokens of `job` that are decoded."""
    return [*job.prompt, *job.produced][: job.position]
