"""Fits of the gate's score: the mean log-probability alone, or more signals if they prove better."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_cli.evaluate import metrics, rows
from hybrid_cli.evaluate.metrics import Interval, Numbers
from hybrid_cli.evaluate.probe import can_be_fitted, fit_probe, values
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.gate.calibration import PROBE, LogisticModel, Objective
from hybrid_cli.gate.features import NAMES

SINGLE = ("mean_logprob", "sum_logprob")
"""One of these is used alone if there are few labels. The sum is the log-probability of the whole answer: in a
long answer it counts each doubtful step, which the mean hides."""
RICH = list(NAMES)
WITH_PROBE = [*RICH, PROBE]
FOLDS = 5
MIN_ROWS = 200
"""Labels needed to try more than one signal."""
_RIDGE = 1.0
_NEWTON_STEPS = 30


@dataclass(frozen=True)
class FittedScore:
    """The fitted model, and the line of the report that says why it was chosen."""

    model: LogisticModel
    why: str


def fit(fitted: list[Row], names: list[str], objective: Objective) -> LogisticModel:
    """Logistic regression of the objective's label on standardised signals, L2-penalised.

    Newton's method (iteratively reweighted least squares); the bias is not penalised. For `PROBE` each row
    has its value by a fit without that row.
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
    """Each row's score; infinity (never kept) if a signal is missing, or the answer was cut or loops."""
    read = np.full(len(scored), np.nan) if model.probe is None else values(model.probe, scored)
    found = []
    for row, value in zip(scored, read, strict=True):
        signals = {**row.signals, PROBE: float(value) if np.isfinite(value) else None}
        found.append(model.probability(signals) if row.finish_reason == "stop" else None)
    return np.array([np.inf if value is None else value for value in found])


def folds(measured: list[Row], by: str) -> Iterator[tuple[list[int], list[int]]]:
    """Pairs of row indices to fit on and to score; each row is scored once.

    `by` is `key` to leave out single rows, or `group` to leave out whole groups.
    """
    names = np.array([getattr(row, by) for row in measured])
    parts: Any = [part for part in np.array_split(_shuffled(sorted(set(names))), FOLDS) if len(part)]
    for part in parts:
        left_out = np.isin(names, part)
        yield np.flatnonzero(~left_out).tolist(), np.flatnonzero(left_out).tolist()


def _shuffled(names: list[str]) -> Any:
    return np.random.default_rng(0).permutation(np.array(names))


def choose(fitted: list[Row], objective: Objective) -> FittedScore:
    """One signal alone, or more signals if they are better on rows that they were not fitted on.

    Each group (each row, if there is only one group) is left out in turn while the models are fitted on the
    rest. A richer model wins if the interval of the paired difference in AUROC over all left-out rows lies
    above 0; the best winner is chosen.
    """
    names, reason = _single(fitted, objective)
    if len(fitted) < MIN_ROWS:
        why = f"{reason}; only {len(fitted)} labels, richer signals need {MIN_ROWS}"
        return FittedScore(fit(fitted, names, objective), why)
    by, what = ("group", "tasks") if len({row.group for row in fitted}) > 1 else ("key", "questions")
    richer = [("all signals", RICH)]
    if can_be_fitted(fitted):
        richer.append(("with the hidden state", WITH_PROBE))
    alone = _left_out(fitted, names, by, objective)
    reasons, most = [reason], 0.0
    for title, candidate in richer:
        difference = _difference(_left_out(fitted, candidate, by, objective), alone, fitted, objective)
        reasons.append(f"{title}: AUROC on left-out {what} {_as_text(difference)}")
        if difference.low > 0 and difference.value > most:
            names, most = candidate, difference.value
    return FittedScore(fit(fitted, names, objective), f"{_label(names)} ({'; '.join(reasons)})")


def _label(names: list[str]) -> str:
    if PROBE in names:
        return f"{len(names) - 1} signals and the hidden state"
    return f"{len(names)} signals" if len(names) > 1 else f"{names[0]} alone"


def _single(fitted: list[Row], objective: Objective) -> tuple[list[str], str]:
    """The mean log-probability, or the sum if that ranks better; and the reason.

    Nothing is fitted here, so the same rows may choose and be ranked.
    """
    mean, total = (np.where(_cut(fitted), np.inf, -rows.column(fitted, name)) for name in SINGLE)
    difference = _difference(total, mean, fitted, objective)
    name = SINGLE[1] if difference.value > 0 else SINGLE[0]
    return [name], f"{name}: sum against mean {_as_text(difference)}"


def _cut(fitted: list[Row]) -> Any:
    return np.array([row.finish_reason != "stop" for row in fitted])


def _as_text(figure: Interval) -> str:
    if not np.isfinite(figure.value):
        return "unknown, because the answers are all right or all wrong"
    return f"{figure.value:+.3f} ({figure.low:+.3f} to {figure.high:+.3f})"


def _left_out(fitted: list[Row], names: list[str], by: str, objective: Objective) -> Numbers:
    """Each row's rank by a model that was fitted without the row, or without its group."""
    found = np.zeros(len(fitted))
    for rest, left_out in folds(fitted, by):
        model = fit([fitted[place] for place in rest], names, objective)
        found[left_out] = _ranks(scores(model, [fitted[place] for place in left_out]))
    return found


def _difference(rich: Numbers, plain: Numbers, fitted: list[Row], objective: Objective) -> Interval:
    """How much better `rich` ranks the label than `plain`: the paired difference in AUROC."""

    def gained(rich: Numbers, plain: Numbers, label: Numbers) -> float:
        return metrics.auroc(rich, label) - metrics.auroc(plain, label)

    return metrics.bootstrap(gained, rich, plain, rows.label(fitted, objective))


def unseen_scores(measured: list[Row], by: str, objective: Objective) -> tuple[Numbers, list[str]]:
    """Each row's score by a fit without the row or its group (`by`), and the reasons of the fits."""
    score, reasons = np.zeros(len(measured)), []
    for rest, left_out in folds(measured, by):
        choice = choose([measured[place] for place in rest], objective)
        score[left_out] = scores(choice.model, [measured[place] for place in left_out])
        reasons.append(choice.why)
    return score, reasons


def _ranks(score: Numbers) -> Numbers:
    """Ranks from 0 to 1: scores of models that were fitted on different rows compare by order only."""
    return np.argsort(np.argsort(score, kind="stable"), kind="stable") / max(len(score) - 1, 1)
