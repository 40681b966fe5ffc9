"""Find, in a text, what should not leave: credentials and personal data. Pure functions.

Credentials are found by their published formats (`privacy.credentials`, a table with one row per format), by
names that announce a secret value (`privacy.assignments`), and by the first or last line of blocks
(`privacy.extent`); personal data by `privacy.personal_data`. Each is looked for in all `privacy.readings`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import cache

from hybrid_cli.privacy import personal_data
from hybrid_cli.privacy.assignments import assignments
from hybrid_cli.privacy.credentials import CREDENTIALS, Credential
from hybrid_cli.privacy.extent import blocks, quoted_end, token_end
from hybrid_cli.privacy.harmless import is_placeholder, without_embedded_files
from hybrid_cli.privacy.readings import Reading, readings
from hybrid_cli.privacy.sensitive_span import SensitiveSpan, merged


def find(text: str, kinds: Collection[str], country: str | None = None) -> list[SensitiveSpan]:
    """The spans of `kinds` in `text`, in text order; spans that overlap are merged.

    `country` (ISO 3166) is assumed for telephone numbers without a country code; needs the `pii` extra.
    """
    return merged(
        SensitiveSpan(one.kind, one.name, *reading.place(one.start, one.end))
        for reading in readings(text)
        for kind in kinds
        for one in _find_kind(kind, reading, country)
        if one.end > one.start
    )


def _find_kind(kind: str, reading: Reading, country: str | None) -> Iterable[SensitiveSpan]:
    if kind == "secret":
        return _secrets(reading)
    if reading.is_joined:
        return ()
    return personal_data.phones(reading.text, country) if kind == "phone" else _PERSONAL[kind](reading.text)


_PERSONAL = {
    "email": personal_data.emails,
    "card": personal_data.cards,
    "iban": personal_data.ibans,
    "ip": personal_data.ip_addresses,
}


def _secrets(reading: Reading) -> Iterator[SensitiveSpan]:
    # ASCII is searched faster, and keeps each character in its place, which `str.lower` does not promise.
    lowered = reading.text.encode("ascii", "replace").lower().decode("ascii")
    found = _formats(reading, lowered)
    yield from without_embedded_files(lowered, found)
    for name, (start, end) in blocks(reading.text, lowered):
        yield SensitiveSpan("secret", name, start, end)
    if not reading.is_joined:
        for start, end in assignments(reading.text, lowered):
            yield SensitiveSpan("secret", "password or key", start, end)


def _formats(reading: Reading, lowered: str) -> Iterator[SensitiveSpan]:
    words = " ".join(set(lowered.split()))  # each word once: a third of the text to search for keywords
    for row in CREDENTIALS:
        if reading.is_joined and not row.is_evident:
            continue
        if any(keyword in (lowered if " " in keyword else words) for keyword in row.keywords):
            yield from _matches(row, reading)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)  # a letter of another script beside a credential is no part of it


def _matches(row: Credential, reading: Reading) -> Iterator[SensitiveSpan]:
    text = reading.text
    pattern = _compiled(row.pattern)
    group = "value" if pattern.groupindex else 0
    covered = 0
    for match in pattern.finditer(text):
        start, end = match.span(group)
        if start < covered or not reading.is_word_start(match.start()) or is_placeholder(match[group]):
            continue
        if row.grows:
            quoted = quoted_end(text, start) if group else None
            end = covered = max(quoted or 0, token_end(text, start, end))
        yield SensitiveSpan("secret", row.name, start, end)
