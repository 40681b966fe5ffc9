"""A cautious calibration for weights that have none, by their size: parameters times bits."""

from __future__ import annotations

import math

from msgspec.structs import replace

from hybrid_cli.gate.calibration import Calibration, Promise, shipped
from hybrid_cli.gate.local_score import logit
from hybrid_cli.weights.store import Weights

_CAUTION = 0.4
"""Added to the log odds of "wrong": an unknown model is taken for worse than a known one of its size."""


def prior_of(weights: Weights) -> Calibration:
    """Return the largest shipped model's calibration, made worse by as much as these weights are smaller.

    Between the shipped models the log odds of "wrong" go evenly with the logarithm of the size. Larger weights are
    taken for no better than the largest of them.
    """
    small, large = shipped()[0], shipped()[-1]
    size = max(weights.size, 1)
    place = math.log(size / small.size) / math.log(large.size / small.size)
    gap = logit(small.score.wrong) - logit(large.score.wrong)
    shift = _CAUTION + gap * max(0.0, 1 - place)
    promises = [_cautious(one, small, size) for one in large.promises if one.target == "wrong_at_most"]
    return replace(
        large,
        model="",
        weights=weights.sha256,
        size=size,
        rows=0,
        score=replace(large.score, bias=large.score.bias + shift),
        promises=promises,
        cloud=None,
        cloud_score=None,
        shifts=[],
    )


def _cautious(promise: Promise, small: Calibration, size: int) -> Promise:
    """Return the promise for an unknown model: each kept answer must keep it by itself, not only their average.

    What the small model cannot keep, none of up to twice its size can.
    """
    known = small.promise(promise.target, promise.value)
    fails = size < 2 * small.size and (known is None or known.keep_to is None)
    keep_to = None if fails or promise.keep_to is None else min(promise.keep_to, promise.value)
    return Promise(promise.target, promise.value, keep_to)
