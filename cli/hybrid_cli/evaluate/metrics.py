"""Metrics of a score that decides which prompts to hand off.

Throughout, a higher `score` means that a prompt should rather be handed off. `local` and `cloud` are the
quality of the two models' answers to each prompt, 0 to 1. All arrays have one dimension and the same length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Numbers = np.ndarray[Any, np.dtype[np.float64]]

BINS = 15
RESAMPLES = 1000


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % bootstrap interval; NaN if the rows do not define it."""

    value: float
    low: float
    high: float


def bootstrap(metric: Callable[..., float], *columns: Numbers, resamples: int = RESAMPLES) -> Interval:
    """`metric` of `columns`, with the percentile interval over resampled rows (Efron 1979); seeded."""
    (found,) = bootstrap_all(lambda *drawn: (metric(*drawn),), *columns, resamples=resamples)
    return found


def bootstrap_all(
    metrics: Callable[..., Sequence[float]], *columns: Numbers, resamples: int = RESAMPLES
) -> list[Interval]:
    """As `bootstrap`, for several metrics on the same resamples."""
    generator = np.random.default_rng(0)
    rows = len(columns[0])
    drawn = []
    with np.errstate(divide="ignore", invalid="ignore"):  # a resample of a small task may not define a metric
        for _ in range(resamples):
            chosen = generator.integers(0, rows, rows)
            drawn.append(metrics(*(column[chosen] for column in columns)))
        values = metrics(*columns)
    return [_interval(value, figures) for value, figures in zip(values, np.array(drawn).T, strict=True)]


def _interval(value: float, drawn: Numbers) -> Interval:
    defined = drawn[np.isfinite(drawn)]
    low, high = np.percentile(defined, [2.5, 97.5]) if len(defined) else (np.nan, np.nan)
    return Interval(value, float(low), float(high))


def auroc(score: Numbers, wrong: Numbers) -> float:
    """The probability that a wrong answer scores above a right one; a tie counts half (Mann and Whitney)."""
    positive = wrong > 0.5
    pairs = int(positive.sum()) * int((~positive).sum())
    if pairs == 0:
        return float("nan")
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    below = np.cumsum(count) - count
    middle_rank = below + (count + 1) / 2
    positives = int(positive.sum())
    return float((middle_rank[place][positive].sum() - positives * (positives + 1) / 2) / pairs)


@dataclass(frozen=True)
class Curve:
    """Quality against the share handed off, highest score first: RouteLLM (arXiv 2406.18665), section 3."""

    x: Numbers
    """Share handed off, 0 to 1. Between prompts of the same score the curve is a straight line."""
    gained: Numbers
    """Quality gained, summed over all prompts. The last value is the gap between the two models."""
    local: float
    """Quality without handoffs, summed over all prompts."""
    prompts: int

    @classmethod
    def of(cls, score: Numbers, local: Numbers, cloud: Numbers) -> Curve:
        values, place = np.unique(-score, return_inverse=True)
        gained = np.cumsum(np.bincount(place, weights=cloud - local, minlength=len(values)))
        counted = np.cumsum(np.bincount(place, minlength=len(values)))
        return cls(
            np.concatenate([[0.0], counted / len(score)]),
            np.concatenate([[0.0], gained]),
            float(local.sum()),
            len(score),
        )

    @property
    def y(self) -> Numbers:
        """The share of the gap that is recovered; NaN if there is no gap."""
        with np.errstate(divide="ignore", invalid="ignore"):
            shares: Numbers = self.gained / self.gained[-1]
        return shares

    @property
    def apgr(self) -> float:
        """Average performance gap recovered: the area under the curve. A random order gives 0.5."""
        return float(np.trapezoid(self.y, self.x))

    def napgr(self, best: Curve) -> float:
        """Normalised APGR: 0 for a random order, 1 for `best`, the curve of an oracle."""
        most = best.apgr - 0.5
        return float("nan") if abs(most) < 1e-12 else (self.apgr - 0.5) / most

    def cpt(self, recovered: float) -> float:
        """Call-performance threshold: the smallest share handed off that recovers `recovered` of the gap."""
        y = self.y
        reached = np.flatnonzero(y >= recovered - 1e-12)  # tolerance for rounding in the sums
        if not len(reached):
            return 1.0
        last = int(reached[0])
        if last == 0:
            return 0.0
        step = y[last] - y[last - 1]
        return float(self.x[last - 1] + (recovered - y[last - 1]) / step * (self.x[last] - self.x[last - 1]))

    def accuracy(self, share: float) -> float:
        """The mean quality if the `share` of prompts with the highest scores is handed off."""
        return float((self.local + np.interp(share, self.x, self.gained)) / self.prompts)


def ece(confidence: Numbers, right: Numbers) -> float:
    """Expected calibration error over 15 bins of equal width (Guo et al. 2017)."""
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(place, weights=right, minlength=BINS) - np.bincount(
        place, weights=confidence, minlength=BINS
    )
    return float(np.abs(gaps).sum() / len(confidence))
