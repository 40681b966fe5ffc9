"""Texts that only look like secrets: placeholders, examples of documents, files in Base64."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator

from hybrid_cli.privacy.sensitive_span import SensitiveSpan

_PLACEHOLDER = re.compile(
    r"\[a-z|example|changeme|change[-_]me|placeholder|your[-_]|redacted|dummy|(?<![a-z0-9])x{4}|x{4}(?![a-z0-9])|x{8}|\*{3}|\.{3}|^pass(?:word)?$",
    re.IGNORECASE | re.ASCII,
)
_TEMPLATE = re.compile(
    r"[$%][({]{0,2}[A-Za-z_][\w.]*[)}%]{0,2}\Z|[$%#]?\{|<[\w .-]+>?\Z|%\(|\$\(", re.IGNORECASE | re.ASCII
)
_FILLER = re.compile(r"0123456789abcdef|1234567890abc", re.IGNORECASE)
_RUN_OF_ONE = re.compile(r"(.)\1{7,}", re.IGNORECASE)
_FILLING = 3
"""A run of one character fills a value if it is at least a third of it. Bytes of zero are such a run in Base64, too."""
_LONGEST = 200
"""Characters of a placeholder. In longer values, such as keys in Base64, its words may occur by chance."""


_EXAMPLE = re.compile(r"example|x{6}|\*{4}|your[-_](?:key|token|api)|<[a-z-]+>", re.IGNORECASE)


def is_example(token: str) -> bool:
    """Whether a token, which has the format of a credential, is only an example of it, as in documents."""
    if len(token) > _LONGEST:
        return False
    return _EXAMPLE.search(token) is not None or _is_filled(token)


def is_placeholder(value: str) -> bool:
    """Whether `value` is a substitute for a secret, as in examples and templates."""
    if len(value) > _LONGEST:
        return False
    return is_template(value) or _PLACEHOLDER.search(value) is not None or _is_filled(value)


def is_template(value: str) -> bool:
    """Whether `value` is the name of a variable, or another expression that a program fills in."""
    return len(value) <= _LONGEST and _TEMPLATE.match(value) is not None


def _is_filled(value: str) -> bool:
    longest = max((len(run[0]) for run in _RUN_OF_ONE.finditer(value)), default=0)
    return longest * _FILLING >= len(value) > 0 or _FILLER.search(value) is not None


_EMBEDDED = re.compile(
    r"data:(?:image|font|audio|video|application/(?:font|x-font|pdf|wasm))[\w/+.;=-]{0,80};base64,[a-z0-9+/_-]+={0,2}"
)
_BETWEEN = r"[\s\"'|>,#*\\]"
"""Signs between the lines of Base64: line ends, also escaped, and what quotes or comments begin lines with."""
_PUBLIC_BLOCK = re.compile(
    rf"-----begin (?![a-z0-9 ]{{0,40}}private)[a-z0-9 ]{{2,40}}-----(?:{_BETWEEN}{{1,20}}(?:version|comment|charset): [^\n]{{0,80}})*{_BETWEEN}*"
    rf"(?:[a-z0-9+/]+={{0,2}}{_BETWEEN}+)*(?:=[a-z0-9+/]{{4}}{_BETWEEN}+)?-----end "
)
"""A certificate or a public key: nothing but Base64, so that no text inside passes for a part of it."""


def without_embedded_files(lowered: str, found: Iterable[SensitiveSpan]) -> Iterator[SensitiveSpan]:
    """The spans of `found` outside of files in Base64: in URLs, certificates and public keys, and blobs of lines."""
    files = sorted([*_urls(lowered), *_public_blocks(lowered)])
    for span in found:
        place = bisect.bisect_right(files, (span.start, len(lowered))) - 1
        is_in_file = place >= 0 and span.start < files[place][1]
        if not is_in_file and (span.name in _NEVER_IN_BLOBS or not _is_in_blob(lowered, span.start)):
            yield span


def _urls(lowered: str) -> Iterator[tuple[int, int]]:
    if ";base64," in lowered:
        yield from (one.span() for one in _EMBEDDED.finditer(lowered))


def _public_blocks(lowered: str) -> Iterator[tuple[int, int]]:
    if "-----begin " in lowered:
        yield from (one.span() for one in _PUBLIC_BLOCK.finditer(lowered))


_NEVER_IN_BLOBS = ("private key",)
_BLOB_LINE = re.compile(r"[a-z0-9+/]{60,}={0,2}\r?\Z")


def _is_in_blob(lowered: str, start: int) -> bool:
    """Whether `start` is in a line of nothing but Base64 that follows another such line."""
    line = lowered.rfind("\n", 0, start) + 1
    before = lowered.rfind("\n", 0, max(0, line - 1)) + 1
    if line - before < 61 or _BLOB_LINE.match(lowered, before, line - 1) is None:
        return False
    end = lowered.find("\n", start)
    return _BLOB_LINE.match(lowered, line, end if end >= 0 else len(lowered)) is not None
