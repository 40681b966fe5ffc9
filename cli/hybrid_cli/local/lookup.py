"""Speculation by lookup: draft the next tokens from where the last ones stood before.

Text that repeats its prompt (a corrected text, code, JSON of one form) is drafted from the prompt and from what was
generated. The model verifies a draft in one pass, which reads its weights once for all of its tokens, and only what it
would have chosen itself is kept. How long a draft is depends on how often drafts are right and on what a longer pass
costs on this machine, both measured as the sequence goes on.
"""

from __future__ import annotations

from collections.abc import Sequence

MAX_DRAFT = 8
"""Tokens of one draft."""
_LENGTHS = (4, 3, 2)
"""Tokens that have to be the same before a draft, the most telling first."""
_FIRST_RATES = {4: 0.75, 3: 0.5, 2: 0.25}
"""How probable it is that a drafted token is right, before any was tried, by the length that was the same."""
_WEIGHT = 0.2
"""Of one draft in the running means."""
_MEASURED = 3
"""Steps without a draft before the first one, so that a step's time is known."""
_FIRST_SHARE = 0.4
"""What a further token adds to a pass, as a share of a pass with one, where the prompt was too short to tell."""
_TELLING_PASS = 16
"""Tokens of the prompt in one pass that tell what a further token costs."""


class Lookup:
    """The drafts of one sequence."""

    def __init__(self, tokens: Sequence[int]) -> None:
        """Start with the prompt's tokens."""
        self._tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        """Where the last occurrence of some tokens ends, the one at the very end not counted."""
        self._rates = dict(_FIRST_RATES)
        self._used = 0
        """The length of the match that the last draft followed."""
        self._seconds: float | None = None
        """Of a step without a draft."""
        self._share: float | None = None
        self._prefill: float | None = None
        """Seconds for a token of the prompt, which is decoded many at a time."""
        self._steps = 0
        self.add(tokens)

    def add(self, tokens: Sequence[int]) -> None:
        """Add tokens that follow."""
        for token in tokens:
            end = len(self._tokens)
            for length in _LENGTHS:
                if end >= length:
                    self._after[tuple(self._tokens[end - length :])] = end
            self._tokens.append(token)

    def draft(self) -> list[int]:
        """Return the tokens that probably follow; none if a longer pass would not pay."""
        if self._steps < _MEASURED:
            return []
        for length in _LENGTHS:
            place = self._after.get(tuple(self._tokens[-length:]))
            if place is not None:
                self._used = length
                return self._tokens[place : place + self._best_length(self._rates[length])]
        return []

    def _best_length(self, rate: float) -> int:
        """Return the length with the most tokens a second, where each drafted token is right with probability `rate`."""
        best, most, expected = 0, 1.0, 1.0
        share = self._share_of_a_token
        for length in range(1, MAX_DRAFT + 1):
            expected += rate**length
            speed = expected / (1 + share * length)
            if speed > most:
                best, most = length, speed
        return best

    @property
    def _share_of_a_token(self) -> float:
        """What a further token adds to a pass, as a share of a pass with one."""
        if self._share is not None:
            return self._share
        if self._prefill is None or not self._seconds:
            return _FIRST_SHARE
        return min(self._prefill / self._seconds, 2.0)

    def prefilled(self, tokens: int, seconds: float) -> None:
        """Learn from a pass over a part of the prompt."""
        if tokens >= _TELLING_PASS:
            self._prefill = seconds / tokens

    def verified(self, drafted: int, accepted: int, seconds: float) -> None:
        """Learn from a step that took `seconds`, and in which `accepted` of the `drafted` tokens were right."""
        if not drafted:
            self._steps += 1
            self._seconds = seconds if self._seconds is None else _mean(self._seconds, seconds)
            for length, first in _FIRST_RATES.items():  # what failed long ago may pay again
                self._rates[length] = _mean(self._rates[length], min(first, 0.5), 0.01)
            return
        tried = min(accepted + 1, drafted)  # what follows a wrong token was not tried
        self._rates[self._used] = _mean(self._rates[self._used], accepted / tried)
        if self._seconds:
            share = min(max((seconds / self._seconds - 1) / drafted, 0.02), 2.0)
            self._share = _mean(self._share_of_a_token, share)


def _mean(old: float, new: float, weight: float = _WEIGHT) -> float:
    return old + weight * (new - old)
