"""What form input has, where the command line does not say so; and lines that belong together."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import PurePath

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.prompt_files.decoding import MAX_BYTES

_SUFFIXES = (".jsonl", ".ndjson")
_LOOKS_AT = 1 << 20
"""Bytes read at most to find the end of the first line."""
_PACKED = {
    b"\x1f\x8b": "gzip; unpack it, for example with zcat",
    b"\x28\xb5\x2f\xfd": "zstd; unpack it, for example with zstdcat",
    b"PK\x03\x04": "a zip archive or a document of Office; convert it, for example to CSV",
    b"PAR1": "Parquet; convert it, for example to CSV",
    b"SQLite format 3": "a database of SQLite; export a table, for example as CSV",
    b"%PDF-": "a PDF; hybrid run -f reads it",
}
"""How formats that are no text begin, and what to do."""
_YAML = re.compile(
    rb"\s*(?:%YAML|---\s*\n\s*\S|(?:#[^\n]*\n)*(?:[\w-]+:[ \t]*\n(?:[ \t]+|- )[\w\"'-]|- [\w-]+: [^\n]*\n[ \t]+[\w-]+:))"
)
_LONGEST_HEADING = 2_000
"""Bytes of a table's header."""
_MARKUP = re.compile(rb"\s*<(?:\?xml|!doctype|html)\b", re.IGNORECASE)


def is_named_jsonl(name: str) -> bool:
    """Whether a file's name says that it has a JSON value in each line."""
    return PurePath(name).suffix.lower() in _SUFFIXES


def begins_with_object(chunks: Iterator[bytes]) -> tuple[bool, Iterator[bytes]]:
    """Whether the first line that is not blank is a JSON object, and all chunks again."""
    seen: list[bytes] = []
    head = b""
    for chunk in chunks:
        seen.append(chunk)
        head = (head + chunk).lstrip()
        if b"\n" in head or len(head) > _LOOKS_AT:
            break
    try:
        found = isinstance(json.loads(head.partition(b"\n")[0]), dict)
    except (ValueError, RecursionError):
        found = False
    return found, chain(seen, chunks)


def refuse_packed(head: bytes, name: str) -> None:
    """Raise Failure (USAGE) if input that begins with `head` is in a format that is no text."""
    for start, what in _PACKED.items():
        if head.startswith(start):
            raise Failure(ExitStatus.USAGE, f"{name} is {what}")


def looks_like(head: bytes) -> str | None:
    """The name of a text format that hybrid reads by lines only, if `head` looks like its beginning."""
    if _MARKUP.match(head):
        return "XML or HTML"
    return "YAML" if _YAML.match(head) else None


def with_heading(lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes, str]]:
    """Yield each line with the first one as its heading, if that is the header of a table with secrets; else with ""."""
    from hybrid_cli.privacy.paired_values import names_a_secret

    heading = ""
    for number, line in lines:
        yield number, line, heading
        if number == 1 and len(line) < _LONGEST_HEADING:
            text = line.decode("utf-8", "replace")
            heading = text if names_a_secret(text) else ""


def paragraphs(lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Yield blocks of lines between blank lines, each with the number of its first line."""
    held: list[bytes] = []
    first = size = 0
    for number, line in lines:
        if line.strip():
            first = first if held else number
            if size <= MAX_BYTES:
                held.append(line)
            size += len(line) + 1
        elif held:
            yield first, b"\n".join(held)
            held, size = [], 0
    if held:
        yield first, b"\n".join(held)
