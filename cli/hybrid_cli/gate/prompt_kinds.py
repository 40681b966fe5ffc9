"""What kind of work a prompt asks for, by its words and shape; no model runs."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import msgspec

from hybrid_cli.gate.word_hash import excerpt, hashed_words
from hybrid_cli.prompt import Question

BUCKETS = 4096
WORD_SCALE, SHAPE_SCALE = 3.0, 0.3
FILE = Path(__file__).with_name("prompt_kinds.json")
"""`python tests/benchmarks/train_prompt_kinds.py` makes it."""

_WORD = re.compile(r"[A-Za-z]+")
_OPTIONS = re.compile(r"^A\. .*\n(?:.*\n)*?B\. ", re.MULTILINE)
_HOW_MANY = re.compile(r"\bhow (?:many|much|old|long)\b", re.IGNORECASE)
_ONLY = re.compile(r"\bonly\b|\bjust\b", re.IGNORECASE)
_CODE = frozenset("{}[]()<>=`|\\$;_^*/")
_LONG_WORD = 8
_MOST_DEVIATIONS = 5.0


class PromptKinds(msgspec.Struct, frozen=True):
    """A softmax classifier over hashed words and shape features: one kind for each kind of the exam."""

    kinds: list[str]
    words: bytes
    """One signed byte for each bucket and kind, bucket by bucket."""
    scales: list[float]
    """For each kind the value of one step of its bytes."""
    shape: list[list[float]]
    """For each kind the weights of the standardised shape features."""
    bias: list[float]
    means: list[float]
    deviations: list[float]

    def shares(self, question: Question, *, has_schema: bool, choices: int) -> list[float]:
        """Return the probability of each kind; they sum to 1."""
        text = excerpt(_text(question))
        grams = hashed_words(text, BUCKETS)
        features = self._standardised(shape_of(question, has_schema=has_schema, choices=choices))
        width, scale = len(self.kinds), WORD_SCALE / math.sqrt(max(len(grams), 1))
        sums = [0] * width
        for gram in grams:
            row = self.words[gram * width : (gram + 1) * width]
            sums = [
                total + (value - 256 if value > 127 else value)
                for total, value in zip(sums, row, strict=True)
            ]
        logits = [
            total * step * scale
            + sum(a * b for a, b in zip(weights, features, strict=True)) * SHAPE_SCALE
            + bias
            for total, step, weights, bias in zip(sums, self.scales, self.shape, self.bias, strict=True)
        ]
        return _softmax(logits)

    def _standardised(self, features: Sequence[float]) -> list[float]:
        columns = zip(features, self.means, self.deviations, strict=True)
        scaled = [(value - mean) / deviation for value, mean, deviation in columns]
        return [max(-_MOST_DEVIATIONS, min(_MOST_DEVIATIONS, value)) for value in scaled]


@cache
def prompt_kinds() -> PromptKinds:
    """Return the classifier that ships with hybrid."""
    data = json.loads(FILE.read_bytes())
    return msgspec.convert({**data, "words": base64.b64decode(data["words"])}, PromptKinds)


def shape_of(question: Question, *, has_schema: bool, choices: int) -> list[float]:
    """Return counts and marks of a prompt with its context, in the order of the classifier's weights."""
    text = excerpt(_text(question))
    size, words = max(len(text), 1), _WORD.findall(text)
    many, lower = max(len(words), 1), text.lower()
    return [
        math.log(size),
        sum(sign.isdigit() for sign in text) / size,
        math.log1p(len(re.findall(r"\d+", text))),
        float(_OPTIONS.search(text) is not None),
        sum(sign in _CODE for sign in text) / size,
        math.log1p(text.count("\n")),
        float("?" in text),
        float(_HOW_MANY.search(text) is not None),
        float(_ONLY.search(text) is not None),
        float("json" in lower),
        float(bool(question.context)),
        float(has_schema),
        float(choices),
        sum(word[0].isupper() for word in words) / many,
        sum(map(len, words)) / many,
        sum(len(word) > _LONG_WORD for word in words) / many,
        float("step" in lower or "reasoning" in lower),
    ]


def _text(question: Question) -> str:
    return f"{question.prompt}\n{question.context}"


def _softmax(logits: Sequence[float]) -> list[float]:
    top = max(logits)
    weights = [math.exp(value - top) for value in logits]
    total = sum(weights)
    return [weight / total for weight in weights]
