"""Fitting the gate's score: the plain mean log-probability, or more signals where they prove better."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_cli.evaluate import metrics, rows
from hybrid_cli.evaluate.metrics import Estimate, Numbers
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.handoff.calibration import Model
from hybrid_cli.handoff.signals import NAMES

PLAIN = ["mean_logprob"]
RICH = list(NAMES)
LEAST_ROWS = 200
"""Labels below which more than one signal is not tried."""
_RIDGE = 1.0
_NEWTON_STEPS = 30


@dataclass(frozen=True)
class Choice:
    """The fitted model, and the report's line on why it is this one."""

    model: Model
    why: str


def fit(fitted: list[Row], names: list[str]) -> Model:
    """Logistic regression of "the local answer is wrong" on standardised signals, L2-penalised.

    Newton's method (iteratively reweighted least squares); the bias is not penalised.
    """
    columns = np.column_stack([rows.column(fitted, name) for name in names])
    means, scales = columns.mean(axis=0), columns.std(axis=0)
    scales[scales == 0] = 1.0
    design = np.column_stack([(columns - means) / scales, np.ones(len(fitted))])
    wrong = 1 - rows.right(fitted)
    penalty = np.diag([_RIDGE] * len(names) + [1e-9])
    weights = np.zeros(len(names) + 1)
    for _ in range(_NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (chance - wrong) + penalty @ weights
        curvature = design.T @ (design * (chance * (1 - chance))[:, None]) + penalty
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < 1e-9:
            break
    return Model(names, means.tolist(), scales.tolist(), weights[:-1].tolist(), float(weights[-1]))


def scores(model: Model, scored: list[Row]) -> Numbers:
    """The score of each row; infinity for what no score keeps: a missing signal, an answer cut or in a loop."""
    found = [model.wrong(row.signals) if row.finish_reason == "stop" else None for row in scored]
    return np.array([np.inf if value is None else value for value in found])


def choose(fitted: list[Row]) -> Choice:
    """More signals than the plain one only where they win on tasks that they were not fitted on.

    Each task is left out in turn, both models are fitted on the rest, and the interval of the paired
    difference in AUROC over all left-out rows must lie above 0.
    """
    plain = fit(fitted, PLAIN)
    tasks = sorted({row.task for row in fitted})
    if len(fitted) < LEAST_ROWS:
        return Choice(plain, f"mean log-probability alone: {len(fitted)} labels, under {LEAST_ROWS}")
    if len(tasks) < 2:
        return Choice(plain, "mean log-probability alone: one task only, so nothing can be left out")
    difference = _difference(fitted, tasks)
    words = (
        f"AUROC on left-out tasks {difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
    )
    if difference.low > 0:
        return Choice(fit(fitted, RICH), f"{len(RICH)} signals: {words}")
    return Choice(plain, f"mean log-probability alone: {len(RICH)} signals bring {words}")


def _difference(fitted: list[Row], tasks: list[str]) -> Estimate:
    rich: list[Numbers] = []
    plain: list[Numbers] = []
    wrong: list[Numbers] = []
    for task in tasks:
        rest = [row for row in fitted if row.task != task]
        left_out = [row for row in fitted if row.task == task]
        for names, into in ((RICH, rich), (PLAIN, plain)):
            into.append(_ranks(scores(fit(rest, names), left_out)))
        wrong.append(1 - rows.right(left_out))

    def gained(rich: Numbers, plain: Numbers, wrong: Numbers) -> float:
        return metrics.auroc(rich, wrong) - metrics.auroc(plain, wrong)

    return metrics.estimate(gained, np.concatenate(rich), np.concatenate(plain), np.concatenate(wrong))


def _ranks(score: Numbers) -> Numbers:
    """Places in a task, 0 to 1: models fitted on different rest are compared by order, not by level."""
    return np.argsort(np.argsort(score, kind="stable"), kind="stable") / max(len(score) - 1, 1)
