"""A small strict subset of YAML: what a policy may be written in without surprises.

Duplicate keys, anchors, aliases, tags, several documents, YAML 1.1's yes/no/on/off, deep nesting and
large files are mistakes with their line. Plain scalars follow YAML 1.2's core schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_BYTES = 256_000
_MAX_DEPTH = 16

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_OLD_BOOLEAN = re.compile(r"(?i:y|n|yes|no|on|off)")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]{1,3})?")

KeyPath = tuple[str | int, ...]
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Document:
    """What a text holds: its data, the line of each value by key path, and each mistake by line."""

    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    mistakes: dict[int, str] = field(default_factory=dict)
    """The first one of a line. Where there is any, `data` may lack what stands there."""


def parse_strict(text: bytes) -> Document:
    """Read `text`. Never raises: whatever is wrong is in the document's mistakes."""
    if len(text) > MAX_BYTES:
        return Document(mistakes={1: f"the file is over {MAX_BYTES // 1000} kB"})
    reader = _Reader()
    document = reader.document
    try:
        reader.read(yaml.parse(text.decode("utf-8-sig"), Loader=_PARSER))
    except _Unreadable:
        pass
    except UnicodeDecodeError:
        document.mistakes[1] = "the file is not UTF-8"
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        document.mistakes[mark.line + 1 if mark else 1] = error.problem or "not valid YAML"
    except yaml.YAMLError:
        document.mistakes[1] = "the file holds characters that YAML does not allow"
    return document


class _Unreadable(Exception):  # noqa: N818  it ends the reading; the mistake is already noted
    """What follows the last mistake cannot be made sense of."""


def _line(event: Any) -> int:
    line: int = event.start_mark.line + 1
    return line


class _Reader:
    """Builds data out of parser events, so that nothing is expanded before it was checked."""

    def __init__(self) -> None:
        self.document = Document()

    def read(self, events: Iterator[Any]) -> None:
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._mistake(event, "only one document is allowed")
                    raise _Unreadable
                self.document.data = self._value(next(events), events, ())

    def _value(self, event: Any, events: Iterator[Any], path: KeyPath) -> Any:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            self._mistake(event, "anchors and aliases are not allowed; write the value out")
        elif event.tag is not None:
            self._mistake(event, f"the tag {event.tag} is not allowed; write the value without it")
        if len(path) > _MAX_DEPTH:
            self._mistake(event, f"nested deeper than {_MAX_DEPTH} levels")
            raise _Unreadable
        self.document.lines[path] = _line(event)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, path)
        return None if isinstance(event, yaml.AliasEvent) else self._scalar(event)

    def _mapping(self, events: Iterator[Any], path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent) or event.anchor or event.tag:
                self._mistake(event, "a key must be a plain word")
                raise _Unreadable
            key, line = event.value, _line(event)
            if key in mapping:
                self._mistake(event, f"`{key}` is set twice")
            mapping[key] = self._value(next(events), events, (*path, key))
            self.document.lines[(*path, key)] = line
        return mapping

    def _sequence(self, events: Iterator[Any], path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self._value(event, events, (*path, len(items))))
        return items

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if event.style:  # quoted, or a block
            return text
        if text in _NULL:
            return None
        if text in _BOOLEAN:
            return _BOOLEAN[text]
        if _OLD_BOOLEAN.fullmatch(text):
            self._mistake(
                event, f"`{text}` is a boolean to some YAML readers; quote it or write the word meant"
            )
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text) and not text.isdigit():
            return float(text)
        return text

    def _mistake(self, event: Any, message: str) -> None:
        self.document.mistakes.setdefault(_line(event), message)
