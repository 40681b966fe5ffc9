"""Which tokens each pass of the model decodes.

If each sequence has its own buffer, llama.cpp decodes only sequences together that follow each other and have equally many
tokens (`split_equal` in its llama-batch.cpp); what is left of the longer ones is another pass, which for a few tokens takes
almost as long. So the running sequences share one pass, and prompts of similar length are padded for another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hybrid_cli.local.context import BATCH, Size
from hybrid_cli.local.sequence import SequenceJob

_SHORT = 64
"""Tokens. A prompt with more is a pass of its own, which is as fast for each token as several prompts together."""
_MOST_PADDING = 0.25
"""Of the longest prompt of a pass."""


class Share(NamedTuple):
    """What one sequence has in a pass."""

    job: SequenceJob
    tokens: list[int]
    padding: int = 0
    """How many tokens longer the others are; what is decoded in their place is deleted again."""


def passes(jobs: Sequence[SequenceJob], size: Size, *, prefix: list[int], can_cut: bool) -> list[list[Share]]:
    """Return what to decode next: one token of each running job and its draft, and as much of the prompts as fits.

    `jobs` are in the order in which they came, and `prefix` is what new ones begin with; `can_cut` says whether the last
    tokens of a sequence can be deleted. A new job may change its slot with another one.
    """
    if size.unified or not size.several:
        return [_in_one(jobs)]
    running = [job for job in jobs if job.left <= 0]
    reading = [job for job in jobs if job.left > 0]
    _order_by_length([job for job in reading if _is_new(job, prefix)])
    together = [_in_one(running)] if running else []
    buffer = size.buffer if can_cut else 0
    return [*together, *_of_prompts(_next(reading), buffer)]


def _is_new(job: SequenceJob, prefix: list[int]) -> bool:
    """Whether the slot of `job` holds the `prefix` and no more."""
    return job.position == len(prefix) and job.prompt[: job.position] == prefix


def _in_one(jobs: Sequence[SequenceJob]) -> list[Share]:
    """Return one pass over all `jobs`, ordered by slot as llama.cpp needs. What runs goes before what is read."""
    room = BATCH
    shares = []
    for job in sorted(jobs, key=lambda job: job.left > 0):
        tokens = job.pending(room)
        room -= len(tokens)
        shares.append(Share(job, tokens))
    return sorted(shares, key=lambda share: share.job.slot)


def _order_by_length(jobs: list[SequenceJob]) -> None:
    """Give `jobs`, whose slots hold the same, their slots anew, so that similar lengths follow each other."""
    slots = sorted(job.slot for job in jobs)
    for job, slot in zip(sorted(jobs, key=lambda job: job.left), slots, strict=True):
        job.slot = slot


def _next(jobs: list[SequenceJob]) -> list[SequenceJob]:
    """Return the jobs whose prompts are read now, ordered by slot; the others wait once a batch is full.

    The oldest is always among them. Otherwise a long prompt would wait for as long as short ones come.
    """
    chosen = []
    room = BATCH
    for job in [*jobs[:1], *sorted(jobs[1:], key=lambda job: job.slot)]:
        if room <= 0:
            break
        chosen.append(job)
        room -= job.left
    return sorted(chosen, key=lambda job: job.slot)


def _of_prompts(jobs: list[SequenceJob], buffer: int) -> list[list[Share]]:
    """Return the passes that read the prompts of `jobs`, ordered by slot.

    With padding, a sequence has at most `buffer` tokens; 0 for no padding.
    """
    groups: list[list[SequenceJob]] = []
    for job in jobs:
        if groups and _may_join(job, groups[-1], buffer):
            groups[-1].append(job)
        else:
            groups.append([job])
    return [_padded(group) for group in groups]


def _may_join(job: SequenceJob, group: list[SequenceJob], buffer: int) -> bool:
    jobs = [job, *group]
    most, least = max(one.left for one in jobs), min(one.left for one in jobs)
    padding = _MOST_PADDING * most if max(one.position for one in jobs) + most <= buffer else 0
    return (
        job.slot == group[-1].slot + 1
        and most < _SHORT
        and most * len(jobs) <= BATCH
        and most - least <= padding
    )


def _padded(group: list[SequenceJob]) -> list[Share]:
    if len(group) == 1:
        return [Share(group[0], group[0].pending(BATCH))]
    longest = max(job.left for job in group)
    return [Share(job, job.pending(BATCH), longest - job.left) for job in group]
