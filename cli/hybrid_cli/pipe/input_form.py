"""Whether input is JSON Lines, where the command line does not say so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import PurePath

_SUFFIXES = (".jsonl", ".ndjson")
_LOOKS_AT = 1 << 20
"""Bytes read at most to find the end of the first line."""


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
