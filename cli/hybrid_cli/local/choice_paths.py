"""`--choices`: an answer that is one of a few texts, chosen token by token, with its probability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hybrid_cli.local.logits import Logits
from hybrid_cli.local.model import Model
from hybrid_cli.local.protocol import TokenSignal

Paths = dict[int, frozenset[bytes]]
"""For each possible next token the choices that remain after it."""
Weights = dict[int, float]


class Step(NamedTuple):
    token: int
    """The next token for the model, unless the choice is made."""
    text: bytes | None
    """The choice, once only one remains."""


class Choices:
    """The choices of one sequence.

    At each step the tokens with which some remaining choice continues compete by their raw probabilities; the
    most likely one eliminates the other choices. The probability of a choice is the product over the steps
    of its tokens' share among all competing tokens (the chain rule under the constraint). So it does not
    matter how a text is split into tokens.
    """

    def __init__(self, model: Model, texts: Sequence[str]) -> None:
        self._model = model
        self._left = {text: text for text in (text.encode() for text in texts)}
        """Each remaining choice, with the part of its text that is still to come."""
        self._begun = False
        self._logprob: float | None = 0.0
        self._margin: float | None = None
        self._entropy: float | None = None

    def narrow(self, logits: Logits) -> Step:
        """Take the most likely token of the row `logits`."""
        paths = self._paths()
        if not paths:  # the vocabulary cannot spell the choices
            self._logprob = None
            return Step(-1, next(iter(self._left)))
        token, weights = _likeliest(paths, logits)
        self._count(paths, weights, paths[token])
        piece = self._model.piece(token)
        self._left = {text: self._rest(self._left[text], piece) for text in paths[token]}
        self._begun = True
        return Step(token, next(iter(self._left)) if len(self._left) == 1 else None)

    def signal(self) -> TokenSignal:
        """The choice's signal as of one token: log-probability, and the first step's margin and entropy."""
        return TokenSignal(self._logprob, self._margin, self._entropy, "first")

    def _paths(self) -> Paths:
        """Every possible next token, with the choices that remain after it."""
        found: dict[int, set[bytes]] = {}
        for text, rest in self._left.items():
            starts = (
                [rest] if self._begun else [rest, b" " + rest]
            )  # some models begin an answer with a space
            pieces = [start[:length] for start in starts for length in range(1, len(start) + 1)]
            tokens = [token for piece in pieces if piece != b" " for token in self._model.by_piece(piece)]
            for token in tokens if rest else self._model.ends_of_answer:
                found.setdefault(token, set()).add(text)
        return {token: frozenset(texts) for token, texts in found.items()}

    def _rest(self, rest: bytes, piece: bytes) -> bytes:
        return rest[len(piece if rest.startswith(piece) else piece.removeprefix(b" ")) :] if rest else b""

    def _count(self, paths: Paths, weights: Weights, chosen: frozenset[bytes]) -> None:
        """Multiply the step's probability into the choice's."""
        if self._logprob is None or not all(map(math.isfinite, weights.values())):
            self._logprob = None
            return
        shares: dict[frozenset[bytes], float] = {}
        for token, texts in paths.items():
            group = chosen if texts <= chosen else texts
            shares[group] = shares.get(group, 0.0) + weights[token]
        self._logprob += math.log(shares[chosen])
        if not self._begun:
            others = [share for group, share in shares.items() if group != chosen]
            self._margin = shares[chosen] - max(others, default=0.0)
            self._entropy = -sum(share * math.log(share) for share in shares.values() if share)


def _likeliest(paths: Paths, logits: Logits) -> tuple[int, Weights]:
    """The next token, and each token's share of the probability of all tokens in `paths`.

    First it finds the most likely group of choices, then the most likely token within that group: one choice
    may begin with many tokens, each less likely than the only token of another choice. The sets in `paths`
    are nested or disjoint, so the largest sets are the groups.
    """
    ids = np.fromiter(paths, dtype=np.intp)
    row = logits[ids].astype(np.float64)
    shares = np.exp(row - row.max())
    weights = dict(zip(paths, (shares / shares.sum()).tolist(), strict=True))
    groups: dict[frozenset[bytes], float] = {}
    for texts in sorted(set(paths.values()), key=len, reverse=True):
        if not any(texts <= group for group in groups):
            groups[texts] = sum(weights[token] for token, left in paths.items() if left <= texts)
    best = max(groups, key=groups.__getitem__)
    return max((token for token in paths if paths[token] <= best), key=weights.__getitem__), weights
