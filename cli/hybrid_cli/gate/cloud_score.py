"""The probability that one cloud model's answer is right, by the prompt's words; no model runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from hybrid_cli.gate.word_hash import excerpt, hashed_words
from hybrid_cli.prompt import Question

BUCKETS = 1 << 14
_LEAST = 0.01


class CloudScore(msgspec.Struct, frozen=True):
    """A linear model over hashed words and word pairs, fitted on recorded outcomes of the cloud."""

    words: bytes
    """One signed byte for each bucket."""
    scale: float
    """The value of one step of a byte."""
    bias: float

    def __post_init__(self) -> None:
        if len(self.words) != BUCKETS:
            raise ValueError("its words cannot be read")

    def probability(self, question: Question) -> float:
        """Return the probability, 0.01 to 0.99, that the cloud's answer is right."""
        return self.value(words_of(question))

    def value(self, words: Sequence[int]) -> float:
        """Return the same for the buckets of a question's words."""
        total = sum(_signed(self.words[word]) for word in words)
        value = self.bias + total * self.scale / math.sqrt(max(len(words), 1))
        return max(_LEAST, min(1 - _LEAST, value))


def words_of(question: Question) -> list[int]:
    """Return the buckets of the question's words."""
    return hashed_words(excerpt(f"{question.prompt}\n{question.context}"), BUCKETS)


def handoff_gain(local_wrong: float, cloud_right: float) -> float:
    """Return how much a handoff is expected to gain, scaled to 0 to 1.

    The gain is the chance that only the cloud is right, minus half the chance that only the local model is.
    """
    gain = local_wrong * cloud_right - (1 - local_wrong) * (1 - cloud_right) / 2
    return (gain + 0.5) / 1.5


def _signed(value: int) -> int:
    return value - 256 if value > 127 else value
