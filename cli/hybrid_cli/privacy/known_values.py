"""Find values that are known to be sensitive in a whole request, also encoded.

They are the clouds' own keys, and what the scan found in a request: a password is found beside its name, and the same
password in a log line only because it is known by then.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from hybrid_cli.privacy.assignments import is_secret_value
from hybrid_cli.privacy.readings import GAP, readings
from hybrid_cli.privacy.sensitive_span import SensitiveSpan

_SHORTEST = 4
"""Characters. A shorter value is too common to be known by itself."""
_DISTINCT = 8
"""Characters. A secret of this length is found inside of longer words, too, and in other encodings."""
_SHORTEST_WORD = 6
_AROUND = "\"'`,;:.()[]{}<>"


@dataclass(frozen=True)
class KnownValue:
    """A value that must not leave."""

    text: str
    kind: str
    name: str


def values_in(text: str, spans: Collection[SensitiveSpan]) -> Iterator[KnownValue]:
    """The values of `spans` in `text`: each as written and as it is read, and the secrets among its words."""
    for span in spans:
        for reading in readings(text[span.start : span.end]):
            value = reading.text.removesuffix(GAP).strip()
            yield KnownValue(value, span.kind, span.name)
            words = value.split() if span.kind == "secret" else []
            for word in (one.strip(_AROUND) for one in words):
                if is_secret_value(word, _SHORTEST_WORD, is_quoted=True):
                    yield KnownValue(word, span.kind, span.name)


def known_spans(text: str, values: Collection[KnownValue]) -> list[SensitiveSpan]:
    """The places of `values` in `text`, in all its readings."""
    literals = {form: value for value in values for form in _forms(value)}
    if not literals:
        return []
    return [
        SensitiveSpan(value.kind, value.name, *reading.place(start, end))
        for reading in readings(text)
        for start, end, value in _occurrences(reading.text, literals)
    ]


def _forms(value: KnownValue) -> Iterator[str]:
    """A value in plain text and, if it is a secret, in hexadecimal and in Base64."""
    if len(value.text) < _SHORTEST:
        return
    yield value.text
    if value.kind != "secret" or len(value.text) < _DISTINCT:
        return
    data = value.text.encode("utf-8", "replace")
    yield data.hex()
    yield data.hex().upper()
    for offset in range(3):  # bytes before the value in its Base64 group, as in `user:password`
        whole = base64.b64encode(bytes(offset) + data).decode().rstrip("=")
        shared = -1 if (offset + len(data)) % 3 else None  # its character also encodes the next byte
        form = whole[(0, 2, 3)[offset] : shared]
        yield form
        yield form.replace("+", "-").replace("/", "_")


_FEW = 64
"""So many texts are looked for one by one to learn that none is there."""


def _occurrences(text: str, literals: Mapping[str, KnownValue]) -> Iterator[tuple[int, int, KnownValue]]:
    """Each place of one of `literals`, in a time that does not depend on their number.

    The first characters of each literal lead to the lengths of those that begin so.
    """
    if len(literals) <= _FEW and not any(one in text for one in literals):
        return
    for first, is_distinct in ((_SHORTEST, False), (_DISTINCT, True)):
        lengths: dict[str, set[int]] = {}
        for literal in literals:
            if (len(literal) >= _DISTINCT) == is_distinct:
                lengths.setdefault(literal[:first], set()).add(len(literal))
        for start in range(len(text) - first + 1) if lengths else ():
            for length in lengths.get(text[start : start + first], ()):
                end = min(start + length, len(text))
                value = literals.get(text[start:end])
                if value is not None and _is_whole(text, start, end, value):
                    yield start, end, value


def _is_whole(text: str, start: int, end: int, value: KnownValue) -> bool:
    """Whether the text between `start` and `end` is the value, not a part of another word."""
    if value.kind == "secret" and end - start >= _DISTINCT:
        return True
    return not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum())
