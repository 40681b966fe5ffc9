"""Thresholds that keep a promise, from the scores of rows that the score was not fitted on.

A higher `score` means that a prompt should rather be handed off. Each function returns a threshold: a prompt
is handed off if its score is above it. None means that no threshold keeps the promise. The promises hold for
prompts that are exchangeable with the rows, not for a new model or a new kind of prompt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hybrid_cli.evaluate.metrics import Numbers

MIN_KEPT = 50
"""Rows kept at the strictest threshold that is tried; with fewer, a single error would decide."""
_STEPS = 20
_LEAST_KEPT = 15
_EXTRA = 3
"""Wrong answers that are counted beside those that were seen."""
_DRAWS = 200
_DRAWS_KEPT = 0.75
"""The share of draws in which a promise must be true."""


def escalate_at_most(score: Numbers, share: float) -> float:
    """At most `share` of prompts are handed off on average. An order statistic; it needs no labels.

    Infinity if the rows are too few for `share`.
    """
    rank = math.ceil((len(score) + 1) * (1 - share))
    return float("inf") if rank > len(score) else float(np.sort(score)[max(rank, 1) - 1])


def wrong_on_average(
    score: Numbers, wrong: Numbers, share: float, groups: Sequence[str] | None = None
) -> float | None:
    """At most `share` of the kept answers are wrong on average: the most kept answers of which it is true.

    Three more answers count as kept and wrong, since the best of many thresholds looks better than it is. Fewer than
    15 kept answers prove nothing.

    A model is often sure and wrong on whole tasks. So with the rows' `groups`, the promise must be true in three of four
    draws of the groups with replacement (a cluster bootstrap).
    """
    order = np.argsort(score, kind="stable")
    ranked, ranked_wrong = score[order], (wrong[order] > 0.5).astype(float)
    count = np.arange(1, len(ranked) + 1)
    if groups is None:
        shares = (np.cumsum(ranked_wrong) + _EXTRA) / (count + _EXTRA)
    else:
        shares = _shares_of_draws(ranked_wrong, [groups[place] for place in order])
    is_end = np.append(ranked[1:] != ranked[:-1], True)
    passes = is_end & np.isfinite(ranked) & (count >= _LEAST_KEPT) & (shares <= share)
    return float(ranked[np.flatnonzero(passes)[-1]]) if passes.any() else None


def _shares_of_draws(wrong: Numbers, groups: Sequence[str]) -> Numbers:
    """Return for each number of kept rows the share of wrong ones that three of four draws of groups do not exceed."""
    names, place = np.unique(groups, return_inverse=True)
    drawn = np.random.default_rng(0).multinomial(len(names), [1 / len(names)] * len(names), _DRAWS)
    times = drawn[:, place]
    shares = (np.cumsum(times * wrong, axis=1) + _EXTRA) / (np.cumsum(times, axis=1) + _EXTRA)
    found: Numbers = np.quantile(shares, _DRAWS_KEPT, axis=0)
    return found


def wrong_at_most(score: Numbers, wrong: Numbers, share: float, delta: float) -> float | None:
    """At most `share` of the kept answers are wrong, with probability `1 - delta` over the draw of the rows.

    Learn-then-Test by fixed-sequence testing (arXiv 2110.01052): thresholds are tried from the strictest
    on; the first whose Clopper-Pearson bound exceeds `share` ends the search.
    """
    passed = None
    if len(score) < MIN_KEPT:
        return None
    for quantile in np.linspace(MIN_KEPT / len(score), 1, _STEPS):
        threshold = float(np.quantile(score, quantile, method="inverted_cdf"))
        if math.isinf(threshold):  # rows that may never be kept
            break
        kept = score <= threshold
        if upper_bound(int((wrong[kept] > 0.5).sum()), int(kept.sum()), delta) > share:
            break
        passed = threshold
    return passed


def lost_at_most(score: Numbers, loss: Numbers, share: float) -> float | None:
    """The expected loss by keeping answers, over all prompts, is at most `share`; `loss` is 0 to 1 a row.

    Conformal risk control (arXiv 2208.02814); the loss of the kept answers grows with the threshold.
    """
    order = np.argsort(score, kind="stable")
    ranked, total = score[order], np.cumsum(loss[order])
    ends = np.append(ranked[1:] != ranked[:-1], True)
    passed = None
    for threshold, lost in zip(ranked[ends], total[ends], strict=True):
        if math.isinf(threshold) or (lost + 1) / (len(score) + 1) > share:
            break
        passed = float(threshold)
    return passed


def least_handed_off(wrong_share: float, share: float) -> float:
    """The share that any gate must hand off to leave at most `share` wrong (arXiv 2606.29054)."""
    return max(0.0, (wrong_share - share) / (1 - share)) if share < 1 else 0.0


def upper_bound(events: int, rows: int, delta: float) -> float:
    """The Clopper-Pearson upper bound of the share `events` / `rows`; it fails with probability `delta`."""
    if events >= rows:
        return 1.0
    low, high = events / rows, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _at_most(events, rows, middle) >= delta:
            low = middle
        else:
            high = middle
    return high


def _at_most(events: int, rows: int, chance: float) -> float:
    """The binomial probability of at most `events` in `rows` trials with probability `chance`."""
    if chance <= 0:
        return 1.0
    if chance >= 1:
        return 0.0
    return math.fsum(
        math.exp(
            math.lgamma(rows + 1)
            - math.lgamma(count + 1)
            - math.lgamma(rows - count + 1)
            + count * math.log(chance)
            + (rows - count) * math.log1p(-chance)
        )
        for count in range(events + 1)
    )
