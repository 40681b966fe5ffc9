"""Speculation by lookup: draft the next tokens from where the last ones stood before.

Text that repeats its prompt (a corrected text, code, JSON of one form) is drafted from the prompt and from what was
generated. The model verifies a draft in one pass, which reads its weights once for all of its tokens, and only what it
would have chosen itself is kept.

How long a draft is depends on the tokens alone, never on the time that they take: llama.cpp rounds otherwise in a pass
with several tokens, and so the same prompt would have one answer on an idle machine and another on a busy one.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Protocol

COSTS = {2: 1.8, 3: 2.35, 4: 2.9, 8: 5.5, 16: 7.2, 32: 12.0}
"""What a pass that verifies a draft takes, in passes with one token, by its tokens: the last one and the drafted ones.

Between the figures of two models on an x86 processor, behind 200 tokens (4 tokens: 2.6 to 3.0, 8: 4.2 to 6.5, 16: 6.1 to
7.9, 32: 9.0 to 14). llama.cpp's kernels take rows by four, so that a pass of 16 tokens takes little more time than one of 9."""
MAX_DRAFT = max(COSTS) - 1
_LENGTHS = (8, 4)
"""Tokens that have to be the same before a draft, the most telling first. After fewer, most drafts are wrong."""
_FORCED = 0
"""Stands for the length where a grammar forces the text: the model may write it in other tokens, or with other blanks."""
_FIRST_RATES = {8: 0.8, 4: 0.6, _FORCED: 0.95}
"""How probable it is that the next token is the same, too, before any was seen, by the length that was the same."""
_BELIEF = 4
"""Tokens that a first rate counts as."""
_TOKEN_WEIGHT = 0.04
"""The least weight of one token in the running means of the rates."""
LEAST_GAIN = 1.05
"""A draft has to promise so many times the tokens a second: costs differ between machines."""


class Drafter(Protocol):
    """Drafts the next tokens of one sequence."""

    def add(self, tokens: Sequence[int]) -> None:
        """Add generated tokens."""
        ...

    def draft(self, forced: Sequence[int] = ()) -> list[int]:
        """Return the tokens that probably follow, preferably the `forced` ones, which a grammar leaves no choice in."""
        ...


class Rate:
    """How probable it is that a drafted token is right: a first guess, then the running mean."""

    def __init__(self, first: float) -> None:
        self.value = first
        self._seen = _BELIEF

    def learn(self, *, is_same: bool) -> None:
        """Count one drafted token."""
        self._seen += 1
        weight = max(_TOKEN_WEIGHT, 1 / self._seen)
        self.value += weight * (is_same - self.value)


class Lookup:
    """The drafts of one sequence."""

    def __init__(self, tokens: Sequence[int]) -> None:
        """Start with the prompt's tokens."""
        self._tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        """Where the last occurrence of some tokens ends, the one at the very end not counted."""
        self._rates = {length: Rate(first) for length, first in _FIRST_RATES.items()}
        self._forced: list[int] = []
        """The forced tokens of the last draft; the first one, if it was none."""
        for token in tokens:
            self._append(token)

    def add(self, tokens: Sequence[int]) -> None:
        """Add generated tokens, and learn how often what stood before comes again."""
        for forced, token in itertools.zip_longest(self._forced, tokens[: len(self._forced)]):
            self._rates[_FORCED].learn(is_same=forced == token)
            if forced != token:
                break
        self._forced = []
        for token in tokens:
            for length in _LENGTHS:
                place = self._place(length)
                if place is not None:
                    self._rates[length].learn(is_same=self._tokens[place] == token)
            self._append(token)

    def _append(self, token: int) -> None:
        end = len(self._tokens)
        for length in _LENGTHS:
            if end >= length:
                self._after[tuple(self._tokens[end - length :])] = end
        self._tokens.append(token)

    def _place(self, length: int) -> int | None:
        """Return the place after the last occurrence of the last `length` tokens."""
        return self._after.get(tuple(self._tokens[-length:]))

    def draft(self, forced: Sequence[int] = ()) -> list[int]:
        """Return the tokens that probably follow; none if a longer pass would not pay.

        `forced` ones, which a grammar leaves no choice in, go before others.
        """
        repeated = self._repeated()
        if repeated[: len(forced)] == list(forced):
            return repeated
        length = best_length(self._rates[_FORCED].value, len(forced), COSTS)
        self._forced = list(forced[: length or 1])
        return list(forced[:length])

    def _repeated(self) -> list[int]:
        """Return what followed the last tokens before, as much as pays."""
        for length in _LENGTHS:
            place = self._place(length)
            if place is not None:
                known = len(self._tokens) - place
                return self._tokens[place : place + best_length(self._rates[length].value, known, COSTS)]
        return []


def best_length(
    rate: float,
    known: int,
    costs: Mapping[int, float],
    *,
    drafting: float = 0.0,
    least_gain: float = LEAST_GAIN,
) -> int:
    """Return the draft length with the most tokens a second; 0 if no length gains more than `least_gain`.

    Each drafted token is right with probability `rate`, and at most `known` tokens can be drafted. `costs` are those of
    passes, as `COSTS`. `drafting` is the cost of each drafted token, in passes with one token.
    """
    best, most = 0, least_gain
    for tokens, cost in costs.items():
        if tokens - 1 <= known:
            found = gain(rate, tokens - 1, cost + drafting * (tokens - 1))
            if found > most:
                best, most = tokens - 1, found
    return best


def gain(rate: float, length: int, cost: float) -> float:
    """Return the tokens a second with drafts of this length and cost, relative to those without drafts."""
    return sum(rate**number for number in range(length + 1)) / cost
