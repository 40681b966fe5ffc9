"""How good a score is at telling which prompts to hand off.

Throughout, `score` is the desire to hand off (higher: rather the cloud), and `local` and `cloud` are the
quality of either side's answer to each prompt, 0 to 1; all one-dimensional and of one length.
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
class Estimate:
    """A value with its 95 % bootstrap interval; NaN where the rows do not define it."""

    value: float
    low: float
    high: float


def estimate(metric: Callable[..., float], *columns: Numbers, resamples: int = RESAMPLES) -> Estimate:
    """`metric` of `columns`, with the percentile interval over resampled rows (Efron 1979); seeded."""
    (found,) = estimates(lambda *drawn: (metric(*drawn),), *columns, resamples=resamples)
    return found


def estimates(
    metrics: Callable[..., Sequence[float]], *columns: Numbers, resamples: int = RESAMPLES
) -> list[Estimate]:
    """The same for several figures of the same draws."""
    generator = np.random.default_rng(0)
    rows = len(columns[0])
    drawn = []
    with np.errstate(divide="ignore", invalid="ignore"):  # of a small task some draws define nothing
        for _ in range(resamples):
            chosen = generator.integers(0, rows, rows)
            drawn.append(metrics(*(column[chosen] for column in columns)))
        values = metrics(*columns)
    return [_interval(value, figures) for value, figures in zip(values, np.array(drawn).T, strict=True)]


def _interval(value: float, drawn: Numbers) -> Estimate:
    defined = drawn[np.isfinite(drawn)]
    low, high = np.percentile(defined, [2.5, 97.5]) if len(defined) else (np.nan, np.nan)
    return Estimate(value, float(low), float(high))


def auroc(score: Numbers, wrong: Numbers) -> float:
    """The chance that a wrong answer scores above a right one, a tie counting half (Mann and Whitney)."""
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
    """What handing off by falling score wins: RouteLLM (arXiv 2406.18665), section 3."""

    x: Numbers
    """Share handed off, 0 to 1. Prompts of one score come in any order, which is a straight line."""
    gained: Numbers
    """The quality that is won by it, summed over all prompts; at last the gap between the two sides."""
    local: float
    """The quality without the cloud, summed."""
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
        """The share of the gap that is won; NaN where there is none."""
        with np.errstate(divide="ignore", invalid="ignore"):
            shares: Numbers = self.gained / self.gained[-1]
        return shares

    @property
    def apgr(self) -> float:
        """The average performance gap recovered: the area under the curve; random order gives 0.5."""
        return float(np.trapezoid(self.y, self.x))

    def napgr(self, best: Curve) -> float:
        """APGR between random (0) and `best`, the oracle's, which knows both outcomes (1)."""
        most = best.apgr - 0.5
        return float("nan") if abs(most) < 1e-12 else (self.apgr - 0.5) / most

    def cpt(self, recovered: float) -> float:
        """The least share handed off at which `recovered` of the gap is won (call-performance threshold)."""
        y = self.y
        reached = np.flatnonzero(y >= recovered - 1e-12)  # sums of floats miss what they meet by as much
        if not len(reached):
            return 1.0
        last = int(reached[0])
        if last == 0:
            return 0.0
        step = y[last] - y[last - 1]
        return float(self.x[last - 1] + (recovered - y[last - 1]) / step * (self.x[last] - self.x[last - 1]))

    def accuracy(self, share: float) -> float:
        """The mean quality when `share` of the prompts, those of the highest score, are handed off."""
        return float((self.local + np.interp(share, self.x, self.gained)) / self.prompts)


def ece(confidence: Numbers, right: Numbers) -> float:
    """The expected calibration error over 15 bins of equal width (Guo et al. 2017)."""
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(place, weights=right, minlength=BINS) - np.bincount(
        place, weights=confidence, minlength=BINS
    )
    return float(np.abs(gaps).sum() / len(confidence))
