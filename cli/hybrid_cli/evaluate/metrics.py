"""How good a score is at telling which prompts to hand off.

Throughout, `score` is the desire to hand off (higher: rather the cloud), and `local` and `cloud` are the
quality of either side's answer to each prompt, 0 to 1; all one-dimensional and of one length.
"""

from __future__ import annotations

from collections.abc import Callable
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
    generator = np.random.default_rng(0)
    rows = len(columns[0])
    drawn = []
    with np.errstate(divide="ignore", invalid="ignore"):  # of a small task some draws define nothing
        for _ in range(resamples):
            chosen = generator.integers(0, rows, rows)
            drawn.append(metric(*(column[chosen] for column in columns)))
    defined = [value for value in drawn if np.isfinite(value)]
    low, high = np.percentile(defined, [2.5, 97.5]) if defined else (np.nan, np.nan)
    return Estimate(metric(*columns), float(low), float(high))


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


def recovery_curve(score: Numbers, local: Numbers, cloud: Numbers) -> tuple[Numbers, Numbers]:
    """Share handed off (x) and share of the performance gap recovered (y), each from 0 to 1.

    Prompts are handed off by falling score; those of one score come in any order, which is a straight
    line between the points before and after them. RouteLLM (arXiv 2406.18665), section 3.
    """
    values, place = np.unique(-score, return_inverse=True)
    gained = np.bincount(place, weights=cloud - local, minlength=len(values))
    counted = np.bincount(place, minlength=len(values))
    with np.errstate(divide="ignore", invalid="ignore"):  # no gap, no recovery: nan
        recovered = np.cumsum(gained) / (cloud - local).sum()
    return (
        np.concatenate([[0.0], np.cumsum(counted) / len(score)]),
        np.concatenate([[0.0], recovered]),
    )


def apgr(score: Numbers, local: Numbers, cloud: Numbers) -> float:
    """The average performance gap recovered: the area under the recovery curve; random order gives 0.5."""
    x, y = recovery_curve(score, local, cloud)
    return float(np.trapezoid(y, x))


def napgr(score: Numbers, local: Numbers, cloud: Numbers) -> float:
    """APGR between random (0) and an oracle that knows both outcomes (1)."""
    best = apgr(cloud - local, local, cloud)
    if abs(best - 0.5) < 1e-12:
        return float("nan")
    return (apgr(score, local, cloud) - 0.5) / (best - 0.5)


def cpt(score: Numbers, local: Numbers, cloud: Numbers, recovered: float) -> float:
    """The least share handed off at which `recovered` of the gap is won (call-performance threshold)."""
    x, y = recovery_curve(score, local, cloud)
    reached = np.flatnonzero(y >= recovered - 1e-12)  # sums of floats miss what they meet by as much
    if not len(reached):
        return 1.0
    last = int(reached[0])
    if last == 0:
        return 0.0
    step = y[last] - y[last - 1]
    return float(x[last - 1] + (recovered - y[last - 1]) / step * (x[last] - x[last - 1]))


def accuracy_at(score: Numbers, local: Numbers, cloud: Numbers, share: float) -> float:
    """The mean quality when `share` of the prompts, those of the highest score, are handed off."""
    x, y = recovery_curve(score, np.zeros_like(local), cloud - local + 0.0)
    total = (cloud - local).sum()
    if total == 0:  # the curve is in shares of the gap; without one it has to be walked in sums
        order = np.argsort(-score, kind="stable")[: round(share * len(score))]
        return float((local.sum() + (cloud - local)[order].sum()) / len(local))
    return float((local.sum() + np.interp(share, x, y) * total) / len(local))


def ece(confidence: Numbers, right: Numbers) -> float:
    """The expected calibration error over 15 bins of equal width (Guo et al. 2017)."""
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(place, weights=right, minlength=BINS) - np.bincount(
        place, weights=confidence, minlength=BINS
    )
    return float(np.abs(gaps).sum() / len(confidence))
