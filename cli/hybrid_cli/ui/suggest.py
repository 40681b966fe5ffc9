"""Suggestions for mistyped names."""

from __future__ import annotations

from collections.abc import Iterable

_MIN_SIMILARITY = 0.66
"""Ratio from 0 to 1, as difflib computes it."""
_MIN_LENGTH = 2
"""Single letters resemble nothing."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that starts with `name` or resembles it most; None if none does.

    Leading dashes and the case of letters are ignored.
    """
    from difflib import get_close_matches

    names = {one.lstrip("-").casefold(): one for one in known}
    candidates = [one for one in names if len(one) >= _MIN_LENGTH]
    typed = name.lstrip("-").casefold()
    if len(typed) < _MIN_LENGTH:
        return None
    completions = sorted((one for one in candidates if one.startswith(typed)), key=len)
    matches = completions or get_close_matches(typed, candidates, n=1, cutoff=_MIN_SIMILARITY)
    return names[matches[0]] if matches else None
