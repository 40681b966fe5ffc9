"""The word that was meant by one that nothing is called."""

from __future__ import annotations

from collections.abc import Iterable

_CLOSE = 0.66
"""The least likeness, from 0 to 1, of two words of which one may be the other mistyped."""
_SHORTEST = 2


def nearest(word: str, known: Iterable[str]) -> str | None:
    """That of `known` which begins with `word` or is almost it; None where none is close.

    The dashes of options and the case of letters do not count, and single letters are like nothing.
    """
    from difflib import get_close_matches

    names = {name.lstrip("-").casefold(): name for name in known}
    candidates = [name for name in names if len(name) >= _SHORTEST]
    typed = word.lstrip("-").casefold()
    if len(typed) < _SHORTEST:
        return None
    begun = sorted((name for name in candidates if name.startswith(typed)), key=len)
    close = begun or get_close_matches(typed, candidates, n=1, cutoff=_CLOSE)
    return names[close[0]] if close else None
