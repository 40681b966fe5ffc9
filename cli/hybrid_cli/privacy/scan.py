"""Find, in a text, what should not leave: credentials and personal data. Pure functions.

Credentials are found by their published formats (`privacy.credentials`, a table with one row per format) and
by names that announce a secret value (`privacy.assignments`); personal data by `privacy.personal_data`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Collection, Iterable, Iterator
from functools import cache

from hybrid_cli.privacy import personal_data
from hybrid_cli.privacy.assignments import PLACEHOLDER, assignments
from hybrid_cli.privacy.credentials import CREDENTIALS
from hybrid_cli.privacy.sensitive_span import SensitiveSpan, without_overlaps
from hybrid_cli.privacy.visible_text import visible


def find(text: str, kinds: Collection[str], country: str | None = None) -> list[SensitiveSpan]:
    """The spans of `kinds` in `text`, in text order; of spans that overlap, only the longest.

    `country` (ISO 3166) is assumed for telephone numbers without a country code; needs the `pii` extra.
    """
    seen, places = visible(text)
    return without_overlaps(
        SensitiveSpan(one.kind, one.name, places[one.start], places[one.end - 1] + 1)
        for kind in kinds
        for one in _find_kind(kind, seen, country)
        if one.end > one.start
    )


def _find_kind(kind: str, text: str, country: str | None) -> Iterable[SensitiveSpan]:
    return personal_data.phones(text, country) if kind == "phone" else _FINDERS[kind](text)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _secrets(text: str) -> Iterator[SensitiveSpan]:
    # ASCII is searched faster, and keeps each character in its place, which `str.lower` does not promise.
    lowered = text.encode("ascii", "replace").lower().decode("ascii")
    words = " ".join(set(lowered.split()))  # each word once: a third of the text to search for keywords
    for name, keywords, pattern in CREDENTIALS:
        if not any(keyword in (lowered if " " in keyword else words) for keyword in keywords):
            continue
        for match in _compiled(pattern).finditer(text):
            group = "value" if match.re.groupindex else 0
            value = match[group]
            if _starts_a_word(text, match.start()) and not (group and PLACEHOLDER.search(value)):
                yield SensitiveSpan("secret", name, match.start(group), match.end(group))
    for start, end in assignments(text, lowered):
        yield SensitiveSpan("secret", "password or key", start, end)
    yield from _tails_of_private_keys(text)


_ESCAPE = re.compile(r"(?:\\[nrtbfv0]|\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|%[0-9A-Fa-f]{2})\Z")


def _starts_a_word(text: str, start: int) -> bool:
    """Whether there is no letter, digit or underscore before `start`, unless it ends an escape sequence."""
    before = text[start - 1 : start]
    if not (before.isalnum() or before == "_"):
        return True
    return _ESCAPE.search(text, max(0, start - 6), start) is not None


_END_OF_PRIVATE_KEY = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_BASE64 = string.ascii_letters + string.digits + "+/="
_LINE_OF_BASE64 = re.compile(rf"[{_BASE64}]{{20,}}")
_MAX_PRIVATE_KEY = 20_000


def _tails_of_private_keys(text: str) -> Iterator[SensitiveSpan]:
    """The last lines of private keys whose first lines are missing."""
    for end in _END_OF_PRIVATE_KEY.finditer(text):
        before = text[max(0, end.start() - _MAX_PRIVATE_KEY) : end.start()]
        rest = len(before.rstrip(_BASE64 + string.whitespace))
        first = _LINE_OF_BASE64.search(text, end.start() - len(before) + rest, end.start())
        if first is not None:
            yield SensitiveSpan("secret", "private key", first.start(), end.end())


_FINDERS = {
    "secret": _secrets,
    "email": personal_data.emails,
    "card": personal_data.cards,
    "iban": personal_data.ibans,
    "ip": personal_data.ip_addresses,
}
