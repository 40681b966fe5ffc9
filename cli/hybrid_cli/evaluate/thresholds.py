"""Thresholds that keep a promise, from scores of rows that the score was not fitted on.

`score` is the desire to hand off. Each function returns the highest score that is kept: a prompt is
handed off when its score is above it. None means that nothing can be promised: hand everything off.
All hold for prompts that are exchangeable with the rows; a new model or a new kind of prompt is not.
"""

from __future__ import annotations

import math

import numpy as np

from hybrid_cli.evaluate.metrics import Numbers

LEAST_KEPT = 50
"""Rows kept at the strictest threshold tried: with fewer, one error more or less decides."""
_STEPS = 20


def escalate_at_most(score: Numbers, share: float) -> float:
    """On average at most `share` of prompts score above it: an order statistic; no labels are needed.

    Infinity where so few rows cannot promise any share but zero.
    """
    rank = math.ceil((len(score) + 1) * (1 - share))
    return float("inf") if rank > len(score) else float(np.sort(score)[max(rank, 1) - 1])


def wrong_at_most(score: Numbers, wrong: Numbers, share: float, delta: float) -> float | None:
    """With probability `1 - delta` over the rows, at most `share` of the kept answers are wrong.

    Learn-then-Test by fixed-sequence testing (arXiv 2110.01052): thresholds from the strictest on, as
    long as the Clopper-Pearson bound of each holds; the first that fails ends it.
    """
    passed = None
    if len(score) < LEAST_KEPT:
        return None
    for quantile in np.linspace(LEAST_KEPT / len(score), 1, _STEPS):
        threshold = float(np.quantile(score, quantile, method="inverted_cdf"))
        if math.isinf(threshold):  # of what no score keeps
            break
        kept = score <= threshold
        if upper_bound(int((wrong[kept] > 0.5).sum()), int(kept.sum()), delta) > share:
            break
        passed = threshold
    return passed


def least_wrong(score: Numbers, wrong: Numbers, delta: float) -> float:
    """The least share that `wrong_at_most` could promise: what its strictest threshold shows; 1 for none."""
    if np.isfinite(score).sum() < LEAST_KEPT:
        return 1.0
    kept = score <= np.quantile(score, LEAST_KEPT / len(score), method="inverted_cdf")
    return upper_bound(int((wrong[kept] > 0.5).sum()), int(kept.sum()), delta)


def least_lost(score: Numbers, loss: Numbers) -> float:
    """The least loss that `lost_at_most` could promise: of what is kept first; 1 for none."""
    if not np.isfinite(score).any():
        return 1.0
    return float((loss[score <= score.min()].sum() + 1) / (len(score) + 1))


def lost_at_most(score: Numbers, loss: Numbers, share: float) -> float | None:
    """The expected loss of kept prompts, over all prompts, is at most `share`; `loss` is 0 to 1 a row.

    Conformal risk control (arXiv 2208.02814) for the loss of what is kept, which grows with the threshold.
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
    """What any gate must hand off to leave at most `share` wrong among the kept (arXiv 2606.29054)."""
    return max(0.0, (wrong_share - share) / (1 - share)) if share < 1 else 0.0


def upper_bound(events: int, rows: int, delta: float) -> float:
    """The Clopper-Pearson upper bound of a share: `events` of `rows`, wrong with probability `delta`."""
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
    """The binomial probability of at most `events` in `rows`."""
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
