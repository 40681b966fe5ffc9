"""What the agreement of further samples says beyond the score, and scores that count it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hybrid_cli.evaluate.fit_local import LeftOut, parts
from hybrid_cli.evaluate.metrics import Numbers
from hybrid_cli.evaluate.rows import Row, right
from hybrid_cli.gate.local_score import logit, shifted

COUNT = 2
"""Samples of an answer."""
_RIDGE = 1.0
_NEWTON_STEPS = 40
_FOLDS = 10


def fit_shifts(rows: Sequence[Row], wrong: Numbers) -> list[float]:
    """Return what each number of agreeing samples adds to the log odds of "wrong" (logistic, ridge, Newton's method).

    `wrong` has each row's probability of "wrong", by a fit that did not see it. Empty if no row was compared.
    """
    if all(_agreement(row) is None for row in rows):
        return []
    label = 1 - right(rows)
    shifts = []
    for agreeing in range(COUNT + 1):
        chosen = [
            place
            for place, row in enumerate(rows)
            if np.isfinite(wrong[place]) and _agreement(row) == agreeing / COUNT
        ]
        shifts.append(_shift(np.array([logit(wrong[place]) for place in chosen]), label[chosen]))
    return shifts


def _shift(before: Numbers, label: Numbers) -> float:
    """Return the best constant to add to the log odds `before`, shrunk to 0."""
    shift = 0.0
    for _ in range(_NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-(before + shift)))
        step = ((chance - label).sum() + _RIDGE * shift) / ((chance * (1 - chance)).sum() + _RIDGE)
        shift -= float(step)
        if abs(step) < 1e-9:
            break
    return shift


def unseen_sampled_scores(rows: Sequence[Row], wrong: Numbers, by: LeftOut) -> Numbers:
    """Return the scores `wrong` with the agreement of samples counted, by fits that did not see the row."""
    found = wrong.copy()
    for rest, left_out in parts(rows, by, _FOLDS, 0):
        shifts = fit_shifts([rows[place] for place in rest], wrong[rest])
        found[left_out] = sampled_scores([rows[place] for place in left_out], wrong[left_out], shifts)
    return found


def sampled_scores(rows: Sequence[Row], wrong: Numbers, shifts: Sequence[float]) -> Numbers:
    """Return the scores `wrong` with the agreement of samples counted by `shifts`, which may be empty."""
    found = wrong.copy()
    for place, row in enumerate(rows if shifts else ()):
        agreement = _agreement(row)
        if agreement is not None and np.isfinite(wrong[place]):
            found[place] = shifted(float(wrong[place]), shifts, agreement)
    return found


def _agreement(row: Row) -> float | None:
    return row.signals.get("agreement")
