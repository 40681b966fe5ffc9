"""Words and word pairs of a prompt as hashed features, for small linear models."""

from __future__ import annotations

import re
import zlib
from itertools import pairwise

_WORD = re.compile(r"[a-z]+|\d+|[^\w\s]")
_LONGEST_NUMBER = 4
_HEAD, _TAIL = 6000, 2000
"""Characters of a long text that are read: its beginning and its end."""


def excerpt(text: str) -> str:
    """Return `text`, or the beginning and end of a long one."""
    return text if len(text) <= _HEAD + _TAIL else f"{text[:_HEAD]}\n{text[-_TAIL:]}"


def hashed_words(text: str, buckets: int) -> list[int]:
    """Return the buckets of the words and word pairs in `text`, each once, in order.

    A number counts by its number of digits. The hash is CRC-32, so that the buckets are the same everywhere.
    """
    found = _WORD.findall(text.lower())
    words = ["#" * min(len(word), _LONGEST_NUMBER) if word.isdigit() else word for word in found]
    pairs = [f"{one} {other}" for one, other in pairwise(words)]
    return sorted({zlib.crc32(gram.encode()) % buckets for gram in [*words, *pairs]})
