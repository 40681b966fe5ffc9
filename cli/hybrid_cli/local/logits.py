"""Rows of raw logits, and the signals of the model's certainty in them, before penalties, sampling and grammar."""

from __future__ import annotations

import ctypes
import math
from typing import Any, NamedTuple

import numpy as np

from hybrid_cli.local.bindings import llama_cpp

Logits = np.ndarray[Any, np.dtype[np.float32]]
Tokens = np.ndarray[Any, np.dtype[np.intp]]

_FLOOR = np.float32(-200.0)  # exp of it is 0 in 32 bits
_ROWS = 64  # rows of the table that the logits are laid out in; the maxima of its columns are fast


class Rows:
    """The rows of raw logits of a context's last pass."""

    def __init__(self, context: Any, vocabulary: int) -> None:
        self._context = context
        self._row: Any = ctypes.c_float * vocabulary

    def __getitem__(self, place: int) -> Logits:
        """Return the row of the token at `place` of the batch, or the last one for -1. It holds until the next pass."""
        pointer = llama_cpp.llama_get_logits_ith(self._context, place)
        return np.frombuffer(self._row.from_address(ctypes.addressof(pointer.contents)), dtype=np.float32)


class Reading(NamedTuple):
    """Statistics of a row's distribution; None if a logit is not finite."""

    log_normalizer: float | None
    """log sum exp of the row: a token's log-probability is its logit minus this."""
    margin: float | None
    entropy: float | None


class Meter:
    """Computes `Reading`s of rows of one vocabulary. The buffers are allocated once."""

    def __init__(self, vocabulary: int) -> None:
        columns = -(-vocabulary // _ROWS)
        padded = np.full(_ROWS * columns, -np.inf, dtype=np.float32)
        self._shifted = padded[:vocabulary]
        self._table = padded.reshape(_ROWS, columns)
        self._weights = np.empty(vocabulary, dtype=np.float32)
        self._ones = np.ones(vocabulary, dtype=np.float32)
        self._best = 0
        self._total = math.nan
        self._tops: Logits | None = None

    def read(self, logits: Logits) -> Reading:
        """One pass each for maximum, difference, exp, sum, entropy and second highest; nothing is sorted.

        With s = logits - max and Z = sum exp(s): entropy = log Z - sum(exp(s) * s) / Z (nats), and
        margin = (1 - exp(second highest s)) / Z.
        """
        shifted, weights = self._shifted, self._weights
        self._best, self._tops = int(logits.argmax()), None
        top = float(logits[self._best])
        if not math.isfinite(top):
            return Reading(None, None, None)
        np.subtract(logits, top, out=shifted)
        np.exp(shifted, out=weights)
        total = self._total = float(weights.dot(self._ones))  # twice as fast as sum()
        if not math.isfinite(total):
            return Reading(None, None, None)
        with np.errstate(invalid="ignore"):
            spread = float(weights.dot(shifted))
        if not math.isfinite(spread):  # 0 x -inf, for impossible tokens
            spread = float(weights.dot(np.maximum(shifted, _FLOOR)))
        entropy = math.log(total) - spread / total
        margin = (1.0 - math.exp(self._second())) / total
        return Reading(top + math.log(total), margin, max(entropy, 0.0))

    def highest(self, count: int) -> Tokens:
        """At least the `count` tokens with the highest logits in the last row, ordered by token.

        All tokens from the `count`-th highest column maximum on: at least `count` tokens reach it. If there are fewer
        columns, from the `count`-th highest logit on.
        """
        if self._tops is None or count >= len(self._shifted):
            return np.arange(len(self._shifted), dtype=np.intp)
        if count == 1:
            return np.array([self._best], dtype=np.intp)
        searched = self._tops if count <= len(self._tops) else self._shifted
        bound = np.partition(searched, -count)[-count]
        return np.flatnonzero(self._shifted >= bound)

    def share(self, tokens: Tokens) -> float:
        """The probability of all `tokens` in the last row."""
        return float(self._weights[tokens].sum()) / self._total

    def _second(self) -> float:
        """The second highest difference; also stores the maximum of each column for `highest`."""
        tops = self._tops = self._table.max(axis=0)
        column = self._best % len(tops)
        self._shifted[self._best] = -np.inf
        tops[column] = self._table[:, column].max()
        second = float(tops.max())
        self._shifted[self._best] = tops[column] = 0.0
        return second
