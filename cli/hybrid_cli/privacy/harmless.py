"""Texts that only look like secrets: placeholders, examples of documents, files in Base64."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator

from hybrid_cli.privacy.sensitive_span import SensitiveSpan

_PLACEHOLDER = re.compile(
    r"example|changeme|change[-_]me|placeholder|your[-_]|redacted|dummy|(?<![a-z0-9])x{4}|x{4}(?![a-z0-9])|x{8}|\*{3}|\.{3}|^pass(?:word)?$"
    r"|^[$%][({]{0,2}[A-Za-z_][\w.]*[)}%]{0,2}$|^[$%#]?\{|^<[\w .-]+>?$|^%\(|^\$\(",
    re.IGNORECASE | re.ASCII,
)
_FILLER = re.compile(r"(.)\1{7}|0123456789abcdef|1234567890abc", re.IGNORECASE)
_LONGEST = 200
"""Characters of a placeholder. In longer values, such as keys in Base64, its words may occur by chance."""


def is_placeholder(value: str) -> bool:
    """Whether `value` is a substitute for a secret, as in examples and templates."""
    if len(value) > _LONGEST:
        return False
    return _PLACEHOLDER.search(value) is not None or _FILLER.search(value) is not None


_EMBEDDED = re.compile(
    r"data:(?:image|font|audio|video|application/(?:font|x-font|pdf|wasm))[\w/+.;=-]{0,80};base64,[a-z0-9+/=_-]+"
)


def without_embedded_files(lowered: str, found: Iterable[SensitiveSpan]) -> Iterator[SensitiveSpan]:
    """The spans of `found` outside of images and other files that a URL holds in Base64."""
    files = [one.span() for one in _EMBEDDED.finditer(lowered)] if ";base64," in lowered else []
    for span in found:
        place = bisect.bisect_right(files, (span.start, len(lowered))) - 1
        if place < 0 or span.start >= files[place][1]:
            yield span
