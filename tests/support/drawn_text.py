"""Texts drawn at random from a regular expression."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any


def drawn(pattern: str, chance: random.Random) -> str:
    """A text drawn evenly from `pattern`. It may fail the pattern's assertions, which are left out."""

    def one(part: tuple[Any, Any]) -> str:
        kind, value = part
        if kind is op.LITERAL:
            return chr(value)
        if kind is op.IN:
            return chr(chance.choice(list(_members(value))))
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT):
            low, high, inner = value
            return "".join(all_of(inner) for _ in range(chance.randint(low, min(high, max(low, 40)))))
        if kind is op.SUBPATTERN:
            return all_of(value[-1])
        if kind is op.BRANCH:
            return all_of(chance.choice(value[1]))
        return ""

    def all_of(parts: Any) -> str:
        return "".join(one(part) for part in parts)

    return all_of(_parser.parse(pattern.replace(r"\z", r"\Z")))


def drawn_match(pattern: str, chance: random.Random) -> str | None:
    """A text of which the whole matches `pattern`; None if a hundred draws give none."""
    texts = (drawn(pattern, chance) for _ in range(100))
    return next((text for text in texts if re.fullmatch(pattern, text, re.ASCII)), None)


def _members(items: Any) -> Iterator[int]:
    if items and items[0][0] is op.NEGATE:
        excluded = set(_members(items[1:]))
        yield from (
            ord(one) for one in string.ascii_letters + string.digits + "!" if ord(one) not in excluded
        )
        return
    for kind, value in items:
        if kind is op.RANGE:
            yield from range(value[0], value[1] + 1)
        elif kind is op.LITERAL:
            yield value
        elif kind is op.CATEGORY:
            digits = value is op.CATEGORY_DIGIT
            yield from map(ord, string.digits if digits else string.ascii_letters + string.digits + "_")
