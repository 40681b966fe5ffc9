"""Early handoffs: which answers a checkpoint gives up before they are complete, and what that saves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hybrid_cli.evaluate import thresholds
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.gate.features import CHECKPOINTS

FALSE_ABORTS = 0.05
"""Largest share of the answers that would be kept which a checkpoint may give up."""

Floors = list[float | None]
"""For each checkpoint the mean log-probability below which an answer is given up; None: never."""


def floors(kept: Sequence[bool], measured: list[Row]) -> Floors:
    """For each checkpoint the highest floor that gives up at most 5 % of the answers that would be kept.

    The bound on the share is the upper end of its Clopper-Pearson interval (95 %).
    """
    found: Floors = []
    for index in range(len(CHECKPOINTS)):
        reached = [
            value
            for row, keep in zip(measured, kept, strict=True)
            if keep and (value := row.running[index]) is not None
        ]
        floor = None
        for count, value in enumerate(sorted(reached)):
            if thresholds.upper_bound(count, len(reached), 0.05) > FALSE_ABORTS:
                break
            floor = value
        found.append(floor)
    return found


def given_up_at(row: Row, floors: Floors) -> int | None:
    """The checkpoint, in tokens, that gives up the answer; None if none does."""
    for tokens, mean, floor in zip(CHECKPOINTS, row.running, floors, strict=False):
        if mean is not None and floor is not None and mean < floor:
            return tokens
    return None


def shares(stops: Sequence[int | None], kept: Sequence[bool], measured: list[Row]) -> dict[str, Any]:
    """The effect of giving up answers at `stops`, as shares from 0 to 1; None for a share of nothing.

    `by_token_8`: share of the handoffs that are decided after 8 tokens, by a checkpoint or a complete
    answer. `false_aborts`: share of the kept answers that a checkpoint loses. `tokens_saved`: share of the
    tokens of discarded answers that are never generated.
    """
    triples = list(zip(measured, kept, stops, strict=True))
    off = [(row, stop) for row, keep, stop in triples if not keep]
    stay = [stop for _, keep, stop in triples if keep]
    effect: dict[str, Any] = {}
    for tokens in CHECKPOINTS:
        decided = sum((row.tokens_out if stop is None else stop) <= tokens for row, stop in off)
        effect[f"by_token_{tokens}"] = _share(decided, len(off))
    effect["false_aborts"] = _share(sum(stop is not None for stop in stay), len(stay))
    discarded = sum(row.tokens_out for row, _ in off)
    saved = sum(row.tokens_out - stop for row, stop in off if stop is not None)
    effect["tokens_saved"] = _share(saved, discarded)
    return effect


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
