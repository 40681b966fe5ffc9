"""Fitting the gate's score: the plain mean log-probability, or more signals where they prove better."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_cli.evaluate import metrics, rows
from hybrid_cli.evaluate.metrics import Estimate, Numbers
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.handoff.calibration import Model, Objective
from hybrid_cli.handoff.signals import NAMES

PLAIN = ["mean_logprob"]
RICH = list(NAMES)
FOLDS = 5
LEAST_ROWS = 200
"""Labels below which more than one signal is not tried."""
_RIDGE = 1.0
_NEWTON_STEPS = 30


@dataclass(frozen=True)
class Choice:
    """The fitted model, and the report's line on why it is this one."""

    model: Model
    why: str


def fit(fitted: list[Row], names: list[str], objective: Objective) -> Model:
    """Logistic regression of the objective's label on standardised signals, L2-penalised.

    Newton's method (iteratively reweighted least squares); the bias is not penalised.
    """
    columns = np.column_stack([rows.column(fitted, name) for name in names])
    means, scales = columns.mean(axis=0), columns.std(axis=0)
    scales[scales == 0] = 1.0
    design = np.column_stack([(columns - means) / scales, np.ones(len(fitted))])
    label = rows.label(fitted, objective)
    penalty = np.diag([_RIDGE] * len(names) + [1e-9])
    weights = np.zeros(len(names) + 1)
    for _ in range(_NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (chance - label) + penalty @ weights
        curvature = design.T @ (design * (chance * (1 - chance))[:, None]) + penalty
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < 1e-9:
            break
    return Model(names, means.tolist(), scales.tolist(), weights[:-1].tolist(), float(weights[-1]))


def scores(model: Model, scored: list[Row]) -> Numbers:
    """The score of each row; infinity for what no score keeps: a missing signal, an answer cut or in a loop."""
    found = [model.chance(row.signals) if row.finish_reason == "stop" else None for row in scored]
    return np.array([np.inf if value is None else value for value in found])


def folds(measured: list[Row], by: str) -> Iterator[tuple[list[int], list[int]]]:
    """Places to fit on and places to score, such that each row is scored once.

    `by` is `key`, for rows that are new to the score, or `group`, for whole groups that are.
    """
    names = np.array([getattr(row, by) for row in measured])
    parts: Any = [part for part in np.array_split(_shuffled(sorted(set(names))), FOLDS) if len(part)]
    for part in parts:
        left_out = np.isin(names, part)
        yield np.flatnonzero(~left_out).tolist(), np.flatnonzero(left_out).tolist()


def _shuffled(names: list[str]) -> Any:
    return np.random.default_rng(0).permutation(np.array(names))


def choose(fitted: list[Row], objective: Objective) -> Choice:
    """More signals than the plain one only where they win on what they were not fitted on.

    Groups (of one group its rows) are left out in turn, both models are fitted on the rest, and the interval
    of the paired difference in AUROC over all left-out rows must lie above 0.
    """
    plain = fit(fitted, PLAIN, objective)
    if len(fitted) < LEAST_ROWS:
        return Choice(plain, f"mean log-probability alone: {len(fitted)} labels, under {LEAST_ROWS}")
    by, what = ("group", "tasks") if len({row.group for row in fitted}) > 1 else ("key", "questions")
    difference = _difference(fitted, by, objective)
    words = (
        f"AUROC on left-out {what} {difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
    )
    if difference.low > 0:
        return Choice(fit(fitted, RICH, objective), f"{len(RICH)} signals: {words}")
    return Choice(plain, f"mean log-probability alone: {len(RICH)} signals bring {words}")


def _difference(fitted: list[Row], by: str, objective: Objective) -> Estimate:
    rich, plain = np.zeros(len(fitted)), np.zeros(len(fitted))
    for rest, left_out in folds(fitted, by):
        known, new = [fitted[place] for place in rest], [fitted[place] for place in left_out]
        for names, into in ((RICH, rich), (PLAIN, plain)):
            into[left_out] = _ranks(scores(fit(known, names, objective), new))

    def gained(rich: Numbers, plain: Numbers, label: Numbers) -> float:
        return metrics.auroc(rich, label) - metrics.auroc(plain, label)

    return metrics.estimate(gained, rich, plain, rows.label(fitted, objective))


def unseen_scores(measured: list[Row], by: str, objective: Objective) -> tuple[Numbers, list[str]]:
    """Each row's score by a model that was fitted without it (or without its group), and the fits' reasons."""
    score, reasons = np.zeros(len(measured)), []
    for rest, left_out in folds(measured, by):
        choice = choose([measured[place] for place in rest], objective)
        score[left_out] = scores(choice.model, [measured[place] for place in left_out])
        reasons.append(choice.why)
    return score, reasons


def _ranks(score: Numbers) -> Numbers:
    """Places among the left-out, 0 to 1: models fitted on different rest are compared by order, not level."""
    return np.argsort(np.argsort(score, kind="stable"), kind="stable") / max(len(score) - 1, 1)
