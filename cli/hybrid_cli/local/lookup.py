"""Speculation by lookup: draft the next tokens from where the last ones stood before.

Text that repeats its prompt (a corrected text, code, JSON of one form) is drafted from the prompt and from what was
generated. The model verifies a draft in one pass, which reads its weights once for all of its tokens, and only what it
would have chosen itself is kept. How long a draft is depends on how often the text repeats itself, and on what a longer
pass costs on this machine. Both are measured as the sequence goes on.
"""

from __future__ import annotations

from collections.abc import Sequence

PASSES = (2, 3, 4, 8, 16, 32)
"""Tokens of a pass that verifies a draft: the last token and the drafted ones. llama.cpp's kernels take rows by four,
so that a pass of 16 tokens may take little more time than one of 9."""
MAX_DRAFT = PASSES[-1] - 1
_LENGTHS = (8, 4, 3, 2)
"""Tokens that have to be the same before a draft, the most telling first."""
_FIRST_RATES = {8: 0.8, 4: 0.6, 3: 0.4, 2: 0.2}
"""How probable it is that the next token is the same, too, before any was seen, by the length that was the same."""
_BELIEF = 4
"""Tokens that a first rate counts as."""
_TOKEN_WEIGHT = 0.04
"""The least weight of one token in the running means of the rates."""
_PASS_WEIGHT = 0.2
"""Of one pass in the running means of the times."""
_LEAST_GAIN = 1.05
"""A draft has to promise so many times the tokens a second: times are measured with errors."""
_MEASURED = 3
"""Passes without a draft before the first one, so that their time is known."""
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
        self._seen = dict.fromkeys(_LENGTHS, _BELIEF)
        """Tokens behind each rate."""
        self._single: float | None = None
        """Seconds of a pass without a draft."""
        self._singles = 0
        self._passes: dict[int, float] = {}
        """Seconds of passes with drafts, by their tokens."""
        self._prefill: float | None = None
        """Seconds for a token of the prompt, which is decoded many at a time."""
        for token in tokens:
            self._append(token)

    def add(self, tokens: Sequence[int]) -> None:
        """Add generated tokens, and learn how often what stood before comes again."""
        for token in tokens:
            for length in _LENGTHS:
                place = self._place(length)
                if place is not None:
                    self._seen[length] += 1
                    weight = max(_TOKEN_WEIGHT, 1 / self._seen[length])
                    is_same = float(self._tokens[place] == token)
                    self._rates[length] = _mean(self._rates[length], is_same, weight)
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

    def draft(self) -> list[int]:
        """Return the tokens that probably follow; none if a longer pass would not pay."""
        if self._singles < _MEASURED:
            return []
        for length in _LENGTHS:
            place = self._place(length)
            if place is not None:
                known = len(self._tokens) - place
                return self._tokens[place : place + self._best_length(self._rates[length], known)]
        return []

    def _best_length(self, rate: float, known: int) -> int:
        """Return the length with the most tokens a second, where each drafted token is right with probability `rate`.

        At most `known` tokens can be drafted.
        """
        best, most = 0, _LEAST_GAIN
        for tokens in PASSES:
            if tokens - 1 <= known:
                expected = sum(rate**number for number in range(tokens))
                speed = expected / self._cost(tokens)
                if speed > most:
                    best, most = tokens - 1, speed
        return best

    def _cost(self, tokens: int) -> float:
        """Return the time of a pass with so many tokens, in passes with one."""
        if not self._single:
            return 1 + _FIRST_SHARE * (tokens - 1)
        if tokens in self._passes:
            return self._passes[tokens] / self._single
        share = _FIRST_SHARE if self._prefill is None else self._prefill / self._single
        return 1 + share * (tokens - 1)

    def prefilled(self, tokens: int, seconds: float) -> None:
        """Learn from a pass over a part of the prompt."""
        if tokens >= _TELLING_PASS:
            self._prefill = seconds / tokens

    def verified(self, drafted: int, seconds: float) -> None:
        """Learn from a pass that took `seconds` and verified `drafted` tokens."""
        if drafted:
            tokens = drafted + 1
            self._passes[tokens] = _mean(self._passes.get(tokens, seconds), seconds, _PASS_WEIGHT)
        else:
            self._singles += 1
            self._single = seconds if self._single is None else _mean(self._single, seconds, _PASS_WEIGHT)


def _mean(old: float, new: float, weight: float) -> float:
    return old + weight * (new - old)
