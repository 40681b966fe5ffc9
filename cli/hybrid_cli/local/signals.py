"""What one row of raw logits says of the model's certainty. Before penalties, sampling and grammar."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

Logits = np.ndarray[Any, np.dtype[np.float32]]

_FLOOR = np.float32(-200.0)  # far below what exp can tell from 0 in 32 bits


class Reading(NamedTuple):
    """A row's distribution; None where a logit is no finite number."""

    log_normalizer: float | None
    """log sum exp of the row: a token's log-probability is its logit less this."""
    margin: float | None
    entropy: float | None


class Meter:
    """Reads rows of one vocabulary's size. Its scratch space is allocated once."""

    def __init__(self, vocabulary: int) -> None:
        self._shifted = np.empty(vocabulary, dtype=np.float32)
        self._weights = np.empty(vocabulary, dtype=np.float32)
        self._ones = np.ones(vocabulary, dtype=np.float32)

    def read(self, logits: Logits) -> Reading:
        """One pass each for top, sum, entropy and second: 0.1 ms for 49k tokens, and no sorting.

        With s = logits - max and Z = sum exp(s): entropy = log Z - sum(exp(s) * s) / Z (nats), and
        margin = (1 - exp(second highest s)) / Z.
        """
        shifted, weights = self._shifted, self._weights
        best = int(logits.argmax())
        top = float(logits[best])
        if not math.isfinite(top):
            return Reading(None, None, None)
        np.subtract(logits, top, out=shifted)
        np.exp(shifted, out=weights)
        total = float(weights.dot(self._ones))  # half the time of a sum
        if not math.isfinite(total):
            return Reading(None, None, None)
        with np.errstate(invalid="ignore"):
            spread = float(weights.dot(shifted))
        if not math.isfinite(spread):  # 0 x -inf, of tokens that cannot be
            np.maximum(shifted, _FLOOR, out=shifted)
            spread = float(weights.dot(shifted))
        entropy = math.log(total) - spread / total
        weights[best] = 0.0
        margin = (1.0 - float(weights.max())) / total
        return Reading(top + math.log(total), margin, max(entropy, 0.0))
