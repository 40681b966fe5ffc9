"""Fitting the gate's score: the plain mean log-probability, or more signals where they prove better."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_cli.evaluate import metrics, rows
from hybrid_cli.evaluate.metrics import Estimate, Numbers
from hybrid_cli.evaluate.probe import can_be_fitted, fit_probe, values
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.gate.calibration import PROBE, LogisticModel, Objective
from hybrid_cli.gate.features import NAMES

SINGLE = ("mean_logprob", "sum_logprob")
"""One of these alone is what few labels bear. The sum is the log-probability of the whole answer: in a long one
each doubtful step counts, where a mean drowns it."""
RICH = list(NAMES)
WITH_PROBE = [*RICH, PROBE]
FOLDS = 5
LEAST_ROWS = 200
"""Labels below which more than one signal is not tried."""
_RIDGE = 1.0
_NEWTON_STEPS = 30


@dataclass(frozen=True)
class Choice:
    """The fitted model, and the report's line on why it is this one."""

    model: LogisticModel
    why: str


def fit(fitted: list[Row], names: list[str], objective: Objective) -> LogisticModel:
    """Logistic regression of the objective's label on standardised signals, L2-penalised.

    Newton's method (iteratively reweighted least squares); the bias is not penalised. Of the rows, `PROBE`
    has the values of fits without them.
    """
    label = rows.label(fitted, objective)
    probe, alone = fit_probe(fitted, label) if PROBE in names else (None, label)
    columns = np.column_stack([alone if name == PROBE else rows.column(fitted, name) for name in names])
    means, scales = columns.mean(axis=0), columns.std(axis=0)
    scales[scales == 0] = 1.0
    design = np.column_stack([(columns - means) / scales, np.ones(len(fitted))])
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
    return LogisticModel(
        names, means.tolist(), scales.tolist(), weights[:-1].tolist(), float(weights[-1]), probe
    )


def scores(model: LogisticModel, scored: list[Row]) -> Numbers:
    """The score of each row; infinity for what no score keeps: a missing signal, an answer cut or in a loop."""
    read = np.full(len(scored), np.nan) if model.probe is None else values(model.probe, scored)
    found = []
    for row, value in zip(scored, read, strict=True):
        signals = {**row.signals, PROBE: float(value) if np.isfinite(value) else None}
        found.append(model.probability(signals) if row.finish_reason == "stop" else None)
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
    """One signal alone, or more where they beat it on what they were not fitted on.

    Groups (of one group its rows) are left out in turn, the models are fitted on the rest, and the interval of
    the paired difference in AUROC over all left-out rows must lie above 0. Of those that win the best is kept.
    """
    names, words = _single(fitted, objective)
    if len(fitted) < LEAST_ROWS:
        why = f"{words}; {len(fitted)} labels, under {LEAST_ROWS}, bear no more"
        return Choice(fit(fitted, names, objective), why)
    by, what = ("group", "tasks") if len({row.group for row in fitted}) > 1 else ("key", "questions")
    richer = [("all signals", RICH)]
    if can_be_fitted(fitted):
        richer.append(("with the hidden state", WITH_PROBE))
    alone = _left_out(fitted, names, by, objective)
    told, most = [words], 0.0
    for title, candidate in richer:
        difference = _difference(_left_out(fitted, candidate, by, objective), alone, fitted, objective)
        told.append(f"{title}: AUROC on left-out {what} {_in_words(difference)}")
        if difference.low > 0 and difference.value > most:
            names, most = candidate, difference.value
    return Choice(fit(fitted, names, objective), f"{_called(names)} ({'; '.join(told)})")


def _called(names: list[str]) -> str:
    if PROBE in names:
        return f"{len(names) - 1} signals and the hidden state"
    return f"{len(names)} signals" if len(names) > 1 else f"{names[0]} alone"


def _single(fitted: list[Row], objective: Objective) -> tuple[list[str], str]:
    """The mean log-probability, or the sum where that ranks better, and why. With nothing fitted, the rows that
    are ranked may choose.
    """
    mean, total = (np.where(_cut(fitted), np.inf, -rows.column(fitted, name)) for name in SINGLE)
    difference = _difference(total, mean, fitted, objective)
    name = SINGLE[1] if difference.value > 0 else SINGLE[0]
    return [name], f"{name}: sum against mean {_in_words(difference)}"


def _cut(fitted: list[Row]) -> Any:
    return np.array([row.finish_reason != "stop" for row in fitted])


def _in_words(figure: Estimate) -> str:
    if not np.isfinite(figure.value):
        return "cannot be told, as their answers are all of one kind"
    return f"{figure.value:+.3f} ({figure.low:+.3f} to {figure.high:+.3f})"


def _left_out(fitted: list[Row], names: list[str], by: str, objective: Objective) -> Numbers:
    """Each row's place by a model that was fitted without it, or without its group."""
    found = np.zeros(len(fitted))
    for rest, left_out in folds(fitted, by):
        model = fit([fitted[place] for place in rest], names, objective)
        found[left_out] = _ranks(scores(model, [fitted[place] for place in left_out]))
    return found


def _difference(rich: Numbers, plain: Numbers, fitted: list[Row], objective: Objective) -> Estimate:
    """By how much `rich` ranks the label better than `plain`: the paired difference in AUROC."""

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
