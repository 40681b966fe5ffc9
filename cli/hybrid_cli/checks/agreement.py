"""Compare a local and a cloud answer, as far as that works without understanding them."""

from __future__ import annotations

import re
import unicodedata

SHORT = 5
"""Words. Longer answers agree only if they are equal."""
_WORD = re.compile(r"[^\W_]+(?:[.,]\d+)*")
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")
_PLACEHOLDER = re.compile(r"<[^<>]*>")
_LIST_MARK = re.compile(r"\s*(?:[-*+]\s+|\d+[.)]\s+)")


def agreement(local: str, cloud: str) -> float | None:
    """1 if both answers agree, 0 if they differ, None if that is unknown.

    They agree if they have the same words, ignoring case and punctuation, or if the shorter one has at most
    five words and begins or ends the longer one (`Paris` and `It is in Paris.`). If both are longer and
    differ in words, the result is None.
    """
    one, other = sorted((_words(local), _words(cloud)), key=len)
    if one == other:
        return 1.0
    if len(one) > SHORT:
        return None
    return float(bool(one) and one in (other[: len(one)], other[-len(one) :]))


def result_of(text: str) -> float | None:
    """Return the number that a calculated answer comes to: the last one in its last line; None if there is none.

    Lines of signs alone, as after a formula, and of placeholders (`<number>`) do not count as the last one. The number of
    a list's item is not counted.
    """
    lines = [line for line in text.splitlines() if _WORD.search(_PLACEHOLDER.sub("", line))]
    found = _NUMBER.findall(_LIST_MARK.sub("", lines[-1], count=1)) if lines else []
    return float(found[-1].replace(",", "")) if found else None


def _words(text: str) -> list[str]:
    """The words of `text`. A number is one word, with its decimal point and without grouping commas."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return [word.replace(",", "") for word in _WORD.findall(folded)]
