"""Fit of the cloud's score on its recorded outcomes, also those of questions that the local model never saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hybrid_cli.evaluate.metrics import Numbers
from hybrid_cli.evaluate.questions import LabelledQuestion
from hybrid_cli.gate.cloud_score import BUCKETS, CloudScore, words_of
from hybrid_cli.prompt import Question

_RIDGE = 8.0
_STEPS = 80
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class CloudOutcome:
    """One question's outcome in the cloud."""

    key: str
    group: str
    task: str
    words: list[int]
    """Buckets of the prompt's words."""
    right: bool

    @classmethod
    def of(cls, question: LabelledQuestion, key: str, *, right: bool) -> CloudOutcome:
        words = words_of(Question(question.asked, question.context))
        return cls(key, question.subject or question.task, question.task, words, right)


def fit_cloud(outcomes: list[CloudOutcome]) -> CloudScore:
    """Ridge regression of "right" on the words of each prompt, which count 1 / sqrt(n) each.

    Solved by conjugate gradients on the normal equations (Hestenes and Stiefel 1952).
    """
    right = np.array([outcome.right for outcome in outcomes], dtype=float)
    counts = np.array([max(len(outcome.words), 1) for outcome in outcomes])
    words = np.concatenate([np.array(outcome.words or [0], dtype=np.int64) for outcome in outcomes])
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    scale = np.array([len(outcome.words) > 0 for outcome in outcomes]) / np.sqrt(counts)

    def values(weights: Numbers) -> Numbers:
        summed: Numbers = np.add.reduceat(weights[words], starts) * scale
        return summed

    def transposed(residual: Numbers) -> Numbers:
        summed: Numbers = np.bincount(
            words, weights=np.repeat(residual * scale, counts), minlength=BUCKETS
        ).astype(float)
        return summed

    bias = float(right.mean())
    weights = _conjugate_gradients(values, transposed, right - bias)
    step = float(np.abs(weights).max() / 127) or 1.0
    return CloudScore(np.round(weights / step).astype(np.int8).tobytes(), step, bias)


def _conjugate_gradients(
    values: Callable[[Numbers], Numbers], transposed: Callable[[Numbers], Numbers], target: Numbers
) -> Numbers:
    weights = np.zeros(BUCKETS)
    residual = transposed(target)
    direction, size = residual.copy(), float(residual @ residual)
    least = size * _TOLERANCE
    for _ in range(_STEPS):
        if size <= least:
            break
        product = transposed(values(direction)) + _RIDGE * direction
        step = size / float(direction @ product)
        weights += step * direction
        residual -= step * product
        following = float(residual @ residual)
        direction = residual + following / size * direction
        size = following
    return weights
