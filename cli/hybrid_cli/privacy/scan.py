"""Find, in a text, what should not leave: credentials and personal data. Pure functions.

Credentials are found by their published formats (`privacy.credentials`, a table with one row per format), by
names that announce a secret value (`privacy.assignments`), and by the first or last line of blocks
(`privacy.extent`); personal data by `privacy.personal_data`. Each is looked for in all `privacy.readings`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from typing import Any

from hybrid_cli.privacy import personal_data
from hybrid_cli.privacy.assignments import assignments
from hybrid_cli.privacy.credentials import CREDENTIALS, Credential
from hybrid_cli.privacy.extent import blocks, quoted_end, token_end
from hybrid_cli.privacy.harmless import is_example, is_placeholder, without_embedded_files
from hybrid_cli.privacy.paired_values import paired_values
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
    yield from without_embedded_files(lowered, _formats(reading, lowered))
    for name, (start, end) in blocks(reading.text, lowered):
        yield SensitiveSpan("secret", name, start, end)
    if not reading.is_joined:
        assigned = (*assignments(reading.text, lowered), *paired_values(reading.text, lowered))
        named = (SensitiveSpan("secret", "password or key", start, end) for start, end in assigned)
        yield from without_embedded_files(lowered, named)


def _formats(reading: Reading, lowered: str) -> Iterator[SensitiveSpan]:
    keywords, rows_of = _keywords()
    matched = keywords.Match(f"{lowered}\n{_SENTINEL}") or ()
    if len(rows_of) not in matched:  # the set ran out of memory: without this, it would seem to find nothing
        raise MemoryError
    present = {row for number in matched if number < len(rows_of) for row in rows_of[number]}
    for number in sorted(present):
        if CREDENTIALS[number].is_evident or not reading.is_joined:
            yield from _matches(CREDENTIALS[number], reading)
    if not reading.is_joined:
        yield from _prefixed(reading.text)


_SENTINEL = "\x00end"
"""A keyword that is searched last, and always found."""


@cache
def _keywords() -> tuple[Any, list[list[int]]]:
    """RE2's set of all keywords, searched in one pass, and for each keyword the numbers of its rows."""
    import re2

    rows_of: dict[str, list[int]] = {}
    for number, row in enumerate(CREDENTIALS):
        for keyword in row.keywords:
            rows_of.setdefault(keyword, []).append(number)
    options = re2.Options()
    options.literal = True
    options.max_mem = 64_000_000
    keywords = re2.Set.SearchSet(options)
    for keyword in [*rows_of, _SENTINEL]:
        keywords.Add(keyword)
    keywords.Compile()
    return keywords, list(rows_of.values())


_AFTER_PREFIX = re.compile(
    r"_(?=[A-Za-z]{0,12}\d)(?=[^A-Z]{0,12}[A-Z])(?=[^a-z]{0,12}[a-z])[A-Za-z0-9]{32,}(?![\w./-])", re.ASCII
)
_PREFIX = re.compile(
    r"(?<![A-Za-z0-9_\\%])(?<!sha256[=-])(?<!sha512[=-])[a-z][a-z0-9]{1,11}(?:_[a-z0-9]{1,8}){0,2}\Z",
    re.ASCII,
)


_CHECKSUM = re.compile(r"sha(?:1|224|256|384|512)\W?[\w-]{0,90}\Z", re.ASCII)
"""A checksum in the Base64 of URLs, as in the RECORD of a Python package; its underscores end no prefix.

Another reading may have taken the sign before it for an escape: `=92` is one in quoted-printable.
"""


def _prefixed(text: str) -> Iterator[SensitiveSpan]:
    """Keys of vendors that the table does not know, but that have a prefix as most do: `abc_live_...`."""
    for match in _AFTER_PREFIX.finditer(text):
        prefix = _PREFIX.search(text, max(0, match.start() - 32), match.start())
        if prefix is None or _CHECKSUM.search(text, max(0, match.start() - 100), match.start()):
            continue
        if not is_placeholder(match[0]):
            yield SensitiveSpan("secret", "key with a prefix", prefix.start(), match.end())


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
        if (
            start < covered
            or not reading.is_word_start(match.start())
            or (is_placeholder if group else is_example)(match[group])
        ):
            continue
        if row.grows:
            quoted = quoted_end(text, start) if group else None
            end = covered = max(quoted or 0, token_end(text, start, end))
        yield SensitiveSpan("secret", row.name, start, end)
