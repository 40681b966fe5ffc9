"""Read JSON that is no JSON Lines: an array, or values over several lines, one after another."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import PurePath
from typing import Any, NamedTuple, NoReturn

_LOOKS_AT = 1 << 16
"""Bytes read at most to find the first two lines."""
MOST_BYTES = 256_000_000
"""An array is held in memory, so that a mistake in it is found before anything is sent."""
_SPACES = re.compile(r"[ \t\r\n]*")
_LINE_BREAKS = re.compile(r"[ \t]*\r?\n[ \t\r\n]*")


class JsonValue(NamedTuple):
    """One value of the text."""

    value: Any
    source: str
    """The value's own text, on one line."""
    line: int


def begins_like_json(name: str, chunks: Iterator[bytes]) -> tuple[bool, Iterator[bytes]]:
    """Whether a text is JSON over several lines, by its first two lines; and all chunks again.

    In a file named `.json` a whole array in the first line counts, too.
    """
    seen: list[bytes] = []
    head = b""
    for chunk in chunks:
        seen.append(chunk)
        head = (head + chunk).lstrip()
        first = head.partition(b"\n")[0].strip()
        if (head.count(b"\n") > 1 or len(head) > _LOOKS_AT) or (b"\n" in head and not _is_unfinished(first)):
            break
    lines = head.splitlines()[:2]
    is_named = PurePath(name).suffix.lower() == ".json" and head[:1] in (b"[", b"{")
    found = is_named or (bool(lines) and _is_unfinished(lines[0]) and _may_go_on(b"\n".join(lines)))
    return found, chain(seen, chunks)


def _is_unfinished(line: bytes) -> bool:
    """Whether `line` is the beginning of an array or an object, and no more of it."""
    return line.lstrip()[:1] in (b"[", b"{") and _mistake_at(line) not in (None, -1)


def _may_go_on(lines: bytes) -> bool:
    return _mistake_at(lines) != -1


def _mistake_at(data: bytes) -> int | None:
    """Where `data` ends too early for JSON; None if it is whole, -1 if it is wrong before its end."""
    try:
        text = data.decode().rstrip()
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos if error.pos >= len(text) - 1 else -1
    except (ValueError, RecursionError):
        return -1
    return None


def json_values(data: bytes) -> list[JsonValue]:
    """The values in `data`: the items of each array, and all others. Raises ValueError, which names the line."""
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    try:
        text = data.decode()
        return list(_values(text, decoder))
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}: {error.msg[0].lower()}{error.msg[1:]}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"line {1 + data.count(10, 0, error.start)}: not UTF-8") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _values(text: str, decoder: json.JSONDecoder) -> Iterator[JsonValue]:
    place, line, counted = _after_spaces(text, 0), 1, 0
    in_array = False
    while place < len(text):
        if not in_array and text[place] == "[":
            in_array = True
            place = _after_spaces(text, place + 1)
            if text[place : place + 1] == "]":
                in_array, place = False, _after_spaces(text, place + 1)
            continue
        value, end = decoder.raw_decode(text, place)
        line, counted = line + text.count("\n", counted, place), place
        yield JsonValue(value, _LINE_BREAKS.sub(" ", text[place:end]), line)
        place = _after_spaces(text, end)
        if in_array:
            mark = text[place : place + 1]
            if mark and mark not in ",]":
                raise json.JSONDecodeError("Expecting ',' delimiter", text, place)
            in_array = mark != "]"
            place = _after_spaces(text, place + 1)
    if in_array:
        raise json.JSONDecodeError("the array is not closed", text, len(text))


def _after_spaces(text: str, place: int) -> int:
    found = _SPACES.match(text, place)
    return found.end() if found else place
