"""Texts that only look like secrets: placeholders, examples of documents, files in Base64."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator

from hybrid_cli.privacy.sensitive_span import SensitiveSpan

_PLACEHOLDER = re.compile(
    r"\[a-z|example|changeme|change[-_]me|placeholder|your[-_]|redacted|dummy|(?<![a-z0-9])x{4}|x{4}(?![a-z0-9])|x{8}|\*{3}|\.{3}|^pass(?:word)?$"
    r"|^[$%][({]{0,2}[A-Za-z_][\w.]*[)}%]{0,2}$|^[$%#]?\{|^<[\w .-]+>?$|^%\(|^\$\(",
    re.IGNORECASE | re.ASCII,
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
    return _PLACEHOLDER.search(value) is not None or _is_filled(value)


def _is_filled(value: str) -> bool:
    longest = max((len(run[0]) for run in _RUN_OF_ONE.finditer(value)), default=0)
    return longest * _FILLING >= len(value) > 0 or _FILLER.search(value) is not None


_EMBEDDED = re.compile(
    r"data:(?:image|font|audio|video|application/(?:font|x-font|pdf|wasm))[\w/+.;=-]{0,80};base64,[a-z0-9+/=_-]+"
)
_PUBLIC_BEGIN = re.compile(r"-----begin (?![a-z0-9 ]{0,40}private)[a-z0-9 ]{2,40}-----")


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
    if "-----begin " not in lowered:
        return
    end = 0
    for begin in _PUBLIC_BEGIN.finditer(lowered):
        if 0 <= end < begin.end():  # the rest is searched once, however many blocks have no end
            end = lowered.find("-----end ", begin.end())
        yield begin.start(), end if end >= 0 else begin.end()


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
