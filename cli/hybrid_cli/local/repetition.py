"""Detection of looping answers: small models may repeat one span for ever."""

from __future__ import annotations

from collections.abc import Sequence

_MAX_PERIOD = 64  # tokens
_REPEATS = 4
_MIN_LENGTH = 32  # tokens in the repeated tail; shorter ones may be lists, rows of dashes or refrains


def is_looping(tokens: Sequence[int]) -> bool:
    """Whether `tokens` end with one span, repeated at least four times over at least 32 tokens."""
    for period in range(1, _MAX_PERIOD + 1):
        length = max(period * _REPEATS, _MIN_LENGTH)
        if length > len(tokens):
            if period * _REPEATS > len(tokens):
                return False
            continue
        tail = tokens[-length:]
        if all(tail[i] == tail[i - period] for i in range(period, length)):
            return True
    return False
