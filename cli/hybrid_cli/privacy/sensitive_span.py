"""Spans of a text that should not leave as they are."""

from __future__ import annotations

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


def merged(found: Iterable[SensitiveSpan]) -> list[SensitiveSpan]:
    """The spans in text order. Spans that overlap become one: a secret, or else of the longest span's kind."""
    whole: list[SensitiveSpan] = []
    main: list[SensitiveSpan] = []  # the span that gives each of `whole` its kind and name
    for span in sorted(found, key=lambda span: (span.start, -span.end)):
        if whole and span.start < whole[-1].end:
            main[-1] = max(main[-1], span, key=_weight)
            end = max(whole[-1].end, span.end)
            whole[-1] = SensitiveSpan(main[-1].kind, main[-1].name, whole[-1].start, end)
        else:
            whole.append(span)
            main.append(span)
    return whole


_GENERAL_NAMES = ("password or key", "key with a prefix")


def _weight(span: SensitiveSpan) -> tuple[bool, bool, int]:
    return span.kind == "secret", span.name not in _GENERAL_NAMES, span.end - span.start
