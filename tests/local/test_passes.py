"""Which prompts are read in which pass: a plan over plain numbers, so that rare cases need no model."""

from __future__ import annotations

from typing import Any

from hybrid_cli.local.context import Size
from hybrid_cli.local.passes import Share, passes
from hybrid_cli.local.sequence import SequenceJob

PREFIX = list(range(200))


def size(slots: int, each: int) -> Size:
    return Size(slots, True, False, (slots + 1) * each, each)


def job(slot: int, prompt: list[int], position: int = 0) -> SequenceJob:
    """A sequence whose prompt is read up to `position`."""
    none: Any = None  # sampler, stream and budget, which no plan needs
    return SequenceJob(slot, prompt, 4, none, none, none, slot=slot, position=position)


def plan(jobs: list[SequenceJob], size: Size, prefix: list[int]) -> list[list[Share]]:
    return passes(jobs, size, prefix=prefix, can_cut=True)


def test_a_long_prompt_is_read_while_short_ones_keep_coming() -> None:
    long = job(0, list(range(400)))
    jobs = [long, *(job(slot, list(range(50))) for slot in range(1, 64))]
    steps = 0
    while long.left:
        steps += 1
        assert steps < 10
        for one in [share.job for shares in plan(jobs, size(64, 1024), []) for share in shares]:
            one.position += min(one.left, 512)
            if one is not long:  # it ends with its prompt, and the next one gets its slot
                jobs.remove(one)
                jobs.append(job(one.slot, list(range(50))))


def test_a_long_prompt_is_read_on_while_short_ones_keep_coming() -> None:
    long = job(63, list(range(1300)), position=512)
    jobs = [long, *(job(slot, list(range(50))) for slot in range(63))]
    shares = [share for shares in plan(jobs, size(64, 2048), []) for share in shares]
    assert [len(share.tokens) for share in shares if share.job is long] == [512]


def test_padding_stays_within_the_buffer_of_a_sequence() -> None:
    """The first prompt fills its buffer with one token of the answer; the other one is longer from here on."""
    for prompt, padding in ((240, 8), (250, None)):
        full = job(0, [*PREFIX, *range(prompt - 200)], position=200)
        other = job(1, [1000, *range(len(full.prompt) - 200 + 7)])
        shares = plan([full, other], size(2, 256), PREFIX)
        assert [len(one) for one in shares] == ([2] if padding else [1, 1])
        assert shares[0][0].padding == (padding or 0)


def test_only_slots_that_hold_the_same_are_exchanged() -> None:
    """A prompt without the common prefix may be read just as far as the prefix is long."""
    other = job(0, [1000, *range(280)], position=200)
    jobs = [other, job(1, [*PREFIX, *range(30)], position=200), job(2, [*PREFIX, 1], position=200)]
    plan(jobs, size(3, 512), PREFIX)
    assert [one.slot for one in jobs] == [0, 2, 1]
