"""Read the events in a response's body: server-sent events, or one JSON object from a server that does not stream.

The SDK's own reader gives up at the first chunk that is not JSON, and hides how a stream ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

END = object()
"""The event that ends a stream: `[DONE]`, or the end of a body that is one JSON object."""

_STREAMS = ("text/event-stream", "application/x-ndjson", "application/jsonl")
_UNNAMED = ("", "text/plain", "application/octet-stream", "binary/octet-stream")
_BOM = b"\xef\xbb\xbf"


class WrongType(Exception):  # noqa: N818  becomes a CloudFault
    """The body is neither a stream of events nor JSON; holds its type."""


class NotJson(ValueError):  # noqa: N818  becomes a CloudFault
    """An event is not JSON."""


def read_events(content_type: str, body: Iterable[bytes]) -> Iterator[Any]:
    """The events in `body`, as JSON, and `END` if the server says that they are complete.

    Keep-alive lines and empty events are left out. Raises WrongType or NotJson.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind in _STREAMS or kind in _UNNAMED:
        yield from _of_lines(body)
    elif kind == "application/json" or kind.endswith("+json"):
        yield from _of_json(b"".join(body))
    else:
        named = kind if kind.replace("/", "").replace("-", "").isalnum() and len(kind) < 60 else "no type"
        raise WrongType(named)


def _of_json(data: bytes) -> Iterator[Any]:
    """The event in a whole body, or those of a stream that is called JSON."""
    try:
        event = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        yield from _of_lines([data])
    else:
        yield event
        yield END


def _of_bare_lines(lines: Sequence[bytes]) -> Iterator[Any]:
    """The event in the lines of a whole body, or one event in each line."""
    try:
        event = json.loads(b"\n".join(lines))
    except (ValueError, RecursionError):
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
    if text.strip() == b"[DONE]":
        return END
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise NotJson from None


def _lines(body: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of `body` without their ends. Only line feeds end a line: JSON text may hold other separators."""
    held: list[bytes] = []
    first = True
    for piece in body:
        *whole, rest = piece.split(b"\n")
        for line in whole:
            held.append(line)
            found = b"".join(held).removesuffix(b"\r")
            yield found.removeprefix(_BOM) if first else found
            first, held = False, []
        held.append(rest)
    last = b"".join(held).removesuffix(b"\r")
    if last:
        yield last.removeprefix(_BOM) if first else last
