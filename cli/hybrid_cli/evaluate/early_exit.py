"""Giving up early: which handoffs a checkpoint decides before the answer is whole, and what that spares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hybrid_cli.evaluate import thresholds
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.gate.features import CHECKPOINTS

FALSE_ABORTS = 0.05
"""Of the answers that would be kept, the share that a checkpoint may give up."""

Floors = list[float | None]
"""For each checkpoint the mean log-probability below which an answer is given up; None for none."""


def floors(kept: Sequence[bool], measured: list[Row]) -> Floors:
    """For each checkpoint the highest floor that gives up at most 5 % of the answers that would be kept.

    The share is bounded from above (Clopper-Pearson, 95 %), not only counted.
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
    """The checkpoint, in tokens, that gives the answer up; None where it is finished."""
    for tokens, mean, floor in zip(CHECKPOINTS, row.running, floors, strict=False):
        if mean is not None and floor is not None and mean < floor:
            return tokens
    return None


def shares(stops: Sequence[int | None], kept: Sequence[bool], measured: list[Row]) -> dict[str, Any]:
    """What giving up at `stops` does, as shares from 0 to 1; None where there is nothing to share.

    `by_token_8`: of the prompts handed off, those decided by then, by a checkpoint or a finished answer.
    `false_aborts`: of the answers kept, those lost. `tokens_saved`: of the tokens thrown away.
    """
    triples = list(zip(measured, kept, stops, strict=True))
    off = [(row, stop) for row, keep, stop in triples if not keep]
    stay = [stop for _, keep, stop in triples if keep]
    told: dict[str, Any] = {}
    for tokens in CHECKPOINTS:
        decided = sum((row.tokens_out if stop is None else stop) <= tokens for row, stop in off)
        told[f"by_token_{tokens}"] = _share(decided, len(off))
    told["false_aborts"] = _share(sum(stop is not None for stop in stay), len(stay))
    thrown_away = sum(row.tokens_out for row, _ in off)
    saved = sum(row.tokens_out - stop for row, stop in off if stop is not None)
    told["tokens_saved"] = _share(saved, thrown_away)
    return told


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
