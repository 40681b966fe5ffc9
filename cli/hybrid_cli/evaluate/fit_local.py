"""Fit of the local score on answered questions, and its values on rows that the fit did not see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from hybrid_cli.evaluate.metrics import Numbers
from hybrid_cli.evaluate.rows import Row, column, right
from hybrid_cli.gate.local_score import (
    CLIP,
    FORMS,
    AnswerForm,
    FormScore,
    LocalScore,
    expected_logit,
    signal_of,
)

LeftOut = Literal["key", "group", "task"]
"""The field of a row by which rows are left out of a fit together: one question, its subject, or its task."""

PRIOR = 12.0
"""Answers that count for a kind beside its own: as many with the share of wrong answers of all."""
_NORM_PRIOR = {"mean_logprob": 100.0, "sum_logprob": 15.0}
"""The same for a form's mean and deviation, by its signal. The sums of other forms say little about a long answer's."""
_MANY = 5
"""Tasks or subjects from which on a promise is measured on those that the fit did not see."""
_RIDGE, _SLOPE_RIDGE = 1.0, 8.0
_NEWTON_STEPS = 40
_FOLDS, _SHUFFLES = 10, 3
_UNKNOWN = 0.5


def fit_local(fitted: Sequence[Row]) -> LocalScore:
    """Fit the score: shares of wrong answers by kind and form, then a logistic regression (ridge, Newton's method).

    A row's own answer does not count in the shares that its line of the regression uses.
    """
    table = _Table.of(fitted)
    expected = table.expected_without_own()
    own = np.column_stack([table.deviations * (table.forms == form) for form in FORMS])
    design = np.column_stack([expected, table.deviations, own, np.ones(len(fitted))])
    penalty = np.array([_RIDGE, _RIDGE, *[_SLOPE_RIDGE] * len(FORMS), 1e-6])
    weights = _logistic_regression(design, table.wrong, penalty)
    return LocalScore(
        wrong=table.overall,
        forms={
            form: FormScore(table.shares(form).tolist(), *table.norms[form], float(weights[1] + slope))
            for form, slope in zip(FORMS, weights[2:-1], strict=True)
        },
        competence=float(weights[0]),
        bias=float(weights[-1]),
    )


def local_scores(score: LocalScore, rows: Sequence[Row]) -> Numbers:
    """Return each row's probability of "wrong"; infinity (never kept) if it has none, or the answer failed a check."""
    found = [score.probability(row.kinds, row.form, row.signals) if row.is_usable else None for row in rows]
    return np.array([np.inf if value is None else value for value in found])


def unseen_local_scores(rows: Sequence[Row], by: LeftOut = "key") -> Numbers:
    """Return each row's score by fits without it, on average over three shuffles into ten parts."""
    total = np.zeros(len(rows))
    for shuffle in range(_SHUFFLES):
        for rest, left_out in parts(rows, by, _FOLDS, shuffle):
            if not rest:  # a single question or group: nothing is known of it
                total[left_out] += _UNKNOWN
                continue
            score = fit_local([rows[place] for place in rest])
            total[left_out] += local_scores(score, [rows[place] for place in left_out])
    return total / _SHUFFLES


def left_out_by(rows: Sequence[Row]) -> LeftOut:
    """Return what is left out to measure a promise: tasks, subjects if tasks are few, or single questions.

    What a user asks tomorrow is a new task more often than a new question of an old one.
    """
    if len({row.task for row in rows}) >= _MANY:
        return "task"
    return "group" if len({row.group for row in rows}) >= _MANY else "key"


def parts(rows: Sequence[Row], by: LeftOut, count: int, seed: int) -> Iterator[tuple[list[int], list[int]]]:
    """Yield pairs of row indices, to fit on and to score; each row is scored once."""
    names = np.array([getattr(row, by) for row in rows])
    shuffled = np.random.default_rng(seed).permutation(np.array(sorted(set(names))))
    for part in np.array_split(shuffled, min(count, len(shuffled))):
        left_out = np.isin(names, part)
        yield np.flatnonzero(~left_out).tolist(), np.flatnonzero(left_out).tolist()


class _Table:
    """The rows as columns, and what is counted in them."""

    def __init__(self, wrong: Numbers, kinds: Numbers, forms: Any, signals: dict[str, Numbers]) -> None:
        self.wrong, self.kinds, self.forms = wrong, kinds, forms
        self.overall = float((wrong.sum() + 1) / (len(wrong) + 2))
        self._sums = {form: self._counted(forms == form) for form in FORMS}
        self._all = self._counted(np.ones(len(wrong), dtype=bool))
        self.norms = {form: _norm(form, forms == form, signals) for form in FORMS}
        means, deviations = np.array([self.norms[form] for form in forms]).T
        values = np.array([signals[signal_of(form)][place] for place, form in enumerate(forms)])
        self.deviations = np.clip((values - means) / deviations, -CLIP, CLIP)

    @classmethod
    def of(cls, rows: Sequence[Row]) -> _Table:
        kinds, forms = np.array([row.kinds for row in rows]), np.array([row.form for row in rows])
        return cls(1 - right(rows), kinds, forms, {name: column(rows, name) for name in _NORM_PRIOR})

    def _counted(self, chosen: Any) -> tuple[Numbers, Numbers]:
        """Return, for each kind, how many wrong answers there are and how many answers."""
        kinds = self.kinds[chosen]
        return kinds.T @ self.wrong[chosen], kinds.sum(axis=0)

    def shares(self, form: AnswerForm) -> Numbers:
        """Return each kind's share of wrong answers of one form, shrunk to the kind's share over all forms."""
        (all_wrong, everything), (form_wrong, of_form) = self._all, self._sums[form]
        by_kind = (all_wrong + PRIOR * self.overall) / (everything + PRIOR)
        return (form_wrong + PRIOR * by_kind) / (of_form + PRIOR)

    def expected_without_own(self) -> Numbers:
        """Return for each row the log odds of "wrong" by its kinds, as all other rows have it."""
        own_wrong = self.kinds * self.wrong[:, None]
        form_wrong = np.array([self._sums[form][0] for form in self.forms]) - own_wrong
        of_form = np.array([self._sums[form][1] for form in self.forms]) - self.kinds
        by_kind = (self._all[0] - own_wrong + PRIOR * self.overall) / (self._all[1] - self.kinds + PRIOR)
        shares = (form_wrong + PRIOR * by_kind) / (of_form + PRIOR)
        return np.array(
            [
                expected_logit(kinds, rates, self.overall)
                for kinds, rates in zip(self.kinds.tolist(), shares.tolist(), strict=True)
            ]
        )


def _norm(form: AnswerForm, has_form: Any, signals: dict[str, Numbers]) -> tuple[float, float]:
    """Return the mean and deviation of a form's signal, shrunk to those of all forms."""
    name = signal_of(form)
    of_all, prior = signals[name], _NORM_PRIOR[name]
    of_form = of_all[has_form]
    many = len(of_form) + prior
    mean = (of_form.sum() + prior * of_all.mean()) / many
    variance = (((of_form - mean) ** 2).sum() + prior * of_all.var()) / many
    return float(mean), float(np.sqrt(variance)) or 1.0


def _logistic_regression(design: Numbers, label: Numbers, penalty: Numbers) -> Numbers:
    weights = np.zeros(design.shape[1])
    for _ in range(_NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (chance - label) + penalty * weights
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < 1e-9:
            break
    return weights
