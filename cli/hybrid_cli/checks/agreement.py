"""Whether a local and a cloud's answer say the same, where that can be told without understanding them."""

from __future__ import annotations

import re
import unicodedata

SHORT = 5
"""Words: of longer answers only equal ones are known to say the same."""
_WORD = re.compile(r"[^\W_]+(?:[.,]\d+)*")


def agreement(local: str, cloud: str) -> float | None:
    """1 where both have the same words, whatever their case and punctuation, or where the shorter, of at
    most five words, begins or ends the longer (`Paris` and `It is in Paris.`); 0 where it does not; None
    where both are longer, and differ.
    """
    one, other = sorted((_words(local), _words(cloud)), key=len)
    if one == other:
        return 1.0
    if len(one) > SHORT:
        return None
    return float(bool(one) and one in (other[: len(one)], other[-len(one) :]))


def _words(text: str) -> list[str]:
    """Numbers are words with their points, without the commas that group their digits."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return [word.replace(",", "") for word in _WORD.findall(folded)]
