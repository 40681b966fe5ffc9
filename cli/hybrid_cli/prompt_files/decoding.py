"""Decode the bytes of a text: Unicode with or without a byte order mark, or Windows-1252; refuse binary content."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

MAX_BYTES = 16_000_000
"""Of a prompt's text from one source: stdin, or all files together."""
_SAMPLE = 2_000
_MARKS = {  # UTF-32 before UTF-16, whose mark it begins with
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SIGNATURES = {
    b"\x89PNG\r\n": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"PK\x03\x04": "a ZIP archive or an Office document",
    b"\x1f\x8b": "gzip-compressed",
    b"\x7fELF": "a program",
    b"GGUF": "a GGUF model",
    b"SQLite format 3\0": "an SQLite database",
    b"%PDF-": "a PDF",
}
_NO_TEXT = re.compile("[\x00-\x07\x0e-\x19\x1c-\x1f]")
"""Control characters that text does not contain. Backspace, DOS's end of file and ESC occur in real text."""
_WINDOWS = {
    code: text for code in range(0x80, 0xA0) if (text := bytes([code]).decode("cp1252", "ignore")) != ""
}


class BinaryContentError(ValueError):
    """The content is no text; the message says what it is, as in `FILE is ...`."""


@dataclass(frozen=True)
class Decoded:
    """A text, and a note on its encoding for the user; "" for Unicode."""

    text: str
    note: str = ""


def decode(data: bytes) -> Decoded:
    """Return the text of `data`. Raises BinaryContentError if it is no text."""
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)
    encoding = encoding or utf_16_without_mark(data)
    if encoding is not None:
        return Decoded(_decode_as(encoding, data))
    refuse_binary(data)
    try:
        return Decoded(data.decode())
    except UnicodeDecodeError:
        return _decode_other(data)


def refuse_binary(start: bytes) -> None:
    """Raise BinaryContentError if a file that begins with `start`, which is not UTF-16, is no text."""
    kind = next((kind for mark, kind in _SIGNATURES.items() if start.startswith(mark)), None)
    if kind is not None or b"\0" in start:
        raise BinaryContentError(kind or "binary")


def utf_16_without_mark(start: bytes) -> str | None:
    """Return UTF-16LE or UTF-16BE if a text that begins with `start` has a zero in about every second byte."""
    sample = start[:_SAMPLE]
    if len(sample) < 2:
        return None
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    quarter = len(sample) / 4
    return "UTF-16LE" if odd > quarter > 4 * even else "UTF-16BE" if even > quarter > 4 * odd else None


def _decode_as(encoding: str, data: bytes) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        name = encoding.upper().removesuffix("-SIG")
        raise BinaryContentError(f"marked as {name}, but it is not valid {name}") from None
    if _NO_TEXT.search(text):
        raise BinaryContentError("binary")
    return text


def _decode_other(data: bytes) -> Decoded:
    """Return a text that is not UTF-8: UTF-8 with damage if most of it is, else an old Western encoding."""
    damaged = data.decode("utf-8", "replace")
    replaced = damaged.count("\ufffd")
    intact = len(damaged) - len(damaged.encode("ascii", "ignore")) - replaced
    if _NO_TEXT.search(damaged):
        raise BinaryContentError("binary")
    if intact > replaced:
        return Decoded(damaged, f"has {replaced} damaged UTF-8 characters, which are replaced by \ufffd")
    text = data.decode("latin-1")
    name = "Windows-1252" if re.search("[\x80-\x9f]", text) else "Latin-1"
    return Decoded(text.translate(_WINDOWS), f"is not UTF-8; reading it as {name}")
