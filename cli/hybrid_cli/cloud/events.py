"""Read the events in a response's body: server-sent events, or one JSON object from a server that does not stream.

The SDK's own reader gives up at the first chunk that is not JSON, and hides how a stream ended.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

END = object()
"""The event that ends a stream: `[DONE]`, or the end of a body that is one JSON object."""

_STREAM = "text/event-stream"
_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":", b"{", b"[")
"""How the lines of a stream, or of JSON, begin."""
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
"""How gzip and zstd begin."""


class WrongType(Exception):  # noqa: N818  becomes a CloudFault
    """The body is neither a stream of events nor JSON; holds its type."""


class NotJson(ValueError):  # noqa: N818  becomes a CloudFault
    """An event is not JSON."""


def read_events(content_type: str, body: Iterable[bytes]) -> Iterator[Any]:
    """The events in `body`, as JSON, and `END` if the server says that they are complete.

    Keep-alive lines and empty events are left out. Gateways name wrong types, so the body's first bytes decide
    what it is. Raises WrongType or NotJson.
    """
    kind = content_type.partition(";")[0].strip().lower()
    start, body = _begun(body)
    if start.startswith(_COMPRESSED):
        raise WrongType("compressed data that is not named so")
    if kind == "application/json" or kind.endswith("+json"):
        yield from _of_json(b"".join(body))
    elif kind == _STREAM or not start or start.startswith(_STARTS):
        yield from _of_lines(body)
    else:
        named = kind if kind.replace("/", "").replace("-", "").isalnum() and len(kind) < 60 else "no type"
        raise WrongType(named)


def _begun(body: Iterable[bytes]) -> tuple[bytes, Iterable[bytes]]:
    """The beginning of `body` without blank lines and a byte order mark, and all of `body` from there."""
    pieces = iter(body)
    start = b""
    for piece in pieces:
        start = (start + piece).lstrip().removeprefix(_BOM).lstrip()
        if len(start) >= len(max(_STARTS, key=len)):
            break
    return start, chain([start], pieces)


def _of_json(data: bytes) -> Iterator[Any]:
    """The event in a whole body, or those of a stream that is called JSON."""
    try:
        event = _json(data)
    except NotJson:
        yield from _of_lines([data])
    else:
        yield event
        yield END


def _of_bare_lines(lines: Sequence[bytes]) -> Iterator[Any]:
    """The event in the lines of a whole body, or one event in each line."""
    try:
        event = _json(b"\n".join(lines))
    except NotJson:
        yield from (_json(line) for line in lines if line.strip())
    else:
        yield event
        yield END


def _of_lines(body: Iterable[bytes]) -> Iterator[Any]:
    """The events in a stream. An event's data may have several lines; an empty line ends it."""
    data: list[bytes] = []
    name = b""
    lines = _lines(body)
    for line in lines:
        field, colon, value = line.partition(b":")
        if field == b"data" and colon:
            data.append(value.removeprefix(b" "))
        elif field == b"event" and colon:
            name = value.strip()
        elif not line:
            yield from _named(_event(data), name)
            data, name = [], b""
        elif line.startswith((b"{", b"[")) and not data:  # a body of bare JSON
            yield from _of_bare_lines([line, *lines])
            return
    yield from _named(_event(data), name)


def _named(events: Iterable[Any], name: bytes) -> Iterator[Any]:
    """The events with the stream's `name` for them as their type, if they have none."""
    for event in events:
        if name and isinstance(event, dict):
            event.setdefault("type", name.decode("utf-8", "replace"))
        yield event


def _event(data: list[bytes]) -> Iterator[Any]:
    """The event with these lines of data. Some servers end events with one line break: each line is one then."""
    whole = b"\n".join(data).strip()
    if not whole.startswith((b"{", b"[")):  # a keep-alive, such as `null` or `ping`
        return
    try:
        events = [_json(whole)]
    except ValueError:
        events = [_json(line) for line in data if line.strip()]
    yield from events


def _json(text: bytes) -> Any:
    """The value of `text`. Some servers leave control characters as they are, or send half of a character."""
    if text.strip() == b"[DONE]":
        return END
    try:
        return json.loads(text.decode(errors="replace"), strict=False)
    except (ValueError, RecursionError):
        raise NotJson from None


def _lines(body: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of `body` without their ends: a line feed, a carriage return, or both."""
    held: list[bytes] = []
    ends_in_cr = False
    for piece in body:
        text = piece.removeprefix(b"\n") if ends_in_cr else piece
        ends_in_cr = piece.endswith(b"\r") or (ends_in_cr and not piece)
        *whole, rest = _LINE_END.split(text)
        for line in whole:
            held.append(line)
            yield b"".join(held)
            held = []
        held.append(rest)
    last = b"".join(held)
    if last:
        yield last
