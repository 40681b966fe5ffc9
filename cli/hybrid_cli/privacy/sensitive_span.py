"""Spans of a text that should not leave as they are."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class SensitiveSpan:
    """The place and kind of sensitive text, never the text itself."""

    kind: str
    """One of the profile's kinds: secret, email, phone, card, iban, ip."""
    name: str
    """The name for messages, such as: GitHub token."""
    start: int
    end: int


def without_overlaps(found: Iterable[SensitiveSpan]) -> list[SensitiveSpan]:
    """The spans in text order; of those that overlap, only the longest."""
    kept: list[SensitiveSpan] = []
    starts: list[int] = []
    for span in sorted(found, key=lambda span: (span.start - span.end, span.start)):
        place = bisect.bisect(starts, span.start)
        clear_before = place == 0 or kept[place - 1].end <= span.start
        clear_after = place == len(kept) or span.end <= kept[place].start
        if clear_before and clear_after:
            kept.insert(place, span)
            starts.insert(place, span.start)
    return kept
