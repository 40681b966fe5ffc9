"""An answer that is one of a few texts: narrowed down token by token, with its probability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hybrid_cli.local.logits import Logits
from hybrid_cli.local.model import Model
from hybrid_cli.local.protocol import TokenSignal

Ways = dict[int, frozenset[bytes]]
"""Tokens, each with the choices that it leaves."""
Weights = dict[int, float]


class Step(NamedTuple):
    token: int
    """What the model reads next, where it is not over."""
    text: bytes | None
    """The choice, once it is the only one left."""


class Choices:
    """One sequence's choices.

    At each step the tokens that some choice can go on with compete by their raw probabilities, and the
    likeliest leaves the choices that it may begin. The probability of a choice is the product over the
    steps of what its tokens have of all that compete (the chain rule under the constraint), so that a way
    of cutting a text into tokens is as good as another.
    """

    def __init__(self, model: Model, texts: Sequence[str]) -> None:
        self._model = model
        self._left = {text: text for text in (text.encode() for text in texts)}
        """Each choice that is left, with what is not said of it yet."""
        self._begun = False
        self._logprob: float | None = 0.0
        self._margin: float | None = None
        self._entropy: float | None = None

    def narrow(self, logits: Logits) -> Step:
        """Go on by the likeliest token, for the row `logits`."""
        going = self._ways()
        if not going:  # a vocabulary that cannot say it
            self._logprob = None
            return Step(-1, next(iter(self._left)))
        token, weights = _likeliest(going, logits)
        self._count(going, weights, going[token])
        piece = self._model.piece(token)
        self._left = {text: self._rest(self._left[text], piece) for text in going[token]}
        self._begun = True
        return Step(token, next(iter(self._left)) if len(self._left) == 1 else None)

    def signal(self) -> TokenSignal:
        """The choice as if it were one token: its probability; margin and entropy are the first step's."""
        return TokenSignal(self._logprob, self._margin, self._entropy, "first")

    def _ways(self) -> Ways:
        """Every token that may come next, with the choices that it leaves."""
        found: dict[int, set[bytes]] = {}
        for text, rest in self._left.items():
            starts = [rest] if self._begun else [rest, b" " + rest]  # some vocabularies begin with a space
            pieces = [start[:length] for start in starts for length in range(1, len(start) + 1)]
            tokens = [token for piece in pieces if piece != b" " for token in self._model.by_piece(piece)]
            for token in tokens if rest else self._model.ends_of_answer:
                found.setdefault(token, set()).add(text)
        return {token: frozenset(texts) for token, texts in found.items()}

    def _rest(self, rest: bytes, piece: bytes) -> bytes:
        return rest[len(piece if rest.startswith(piece) else piece.removeprefix(b" ")) :] if rest else b""

    def _count(self, going: Ways, weights: Weights, chosen: frozenset[bytes]) -> None:
        """Take the step's probability into the choice's."""
        if self._logprob is None or not all(map(math.isfinite, weights.values())):
            self._logprob = None
            return
        shares: dict[frozenset[bytes], float] = {}
        for token, texts in going.items():
            group = chosen if texts <= chosen else texts
            shares[group] = shares.get(group, 0.0) + weights[token]
        self._logprob += math.log(shares[chosen])
        if not self._begun:
            others = [share for group, share in shares.items() if group != chosen]
            self._margin = shares[chosen] - max(others, default=0.0)
            self._entropy = -sum(share * math.log(share) for share in shares.values() if share)


def _likeliest(going: Ways, logits: Logits) -> tuple[int, Weights]:
    """The next token, and each one's share of the probability of all.

    First the part of the choices that has most of it, as one choice may be begun in many ways, each of them
    less likely than the only way of another; then the likeliest token within that part. What tokens leave
    is nested or has nothing in common, so that the largest sets are the parts.
    """
    ids = np.fromiter(going, dtype=np.intp)
    row = logits[ids].astype(np.float64)
    shares = np.exp(row - row.max())
    weights = dict(zip(going, (shares / shares.sum()).tolist(), strict=True))
    parts: dict[frozenset[bytes], float] = {}
    for texts in sorted(set(going.values()), key=len, reverse=True):
        if not any(texts <= part for part in parts):
            parts[texts] = sum(weights[token] for token, left in going.items() if left <= texts)
    best = max(parts, key=parts.__getitem__)
    return max((token for token in going if going[token] <= best), key=weights.__getitem__), weights
