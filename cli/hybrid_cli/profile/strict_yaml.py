"""Read a small, strict subset of YAML, in which a policy cannot mean two things.

Duplicate keys, anchors, aliases, tags, several documents, YAML 1.1's yes/no/on/off, deep nesting and
large files are mistakes, each reported with its line. Plain scalars follow YAML 1.2's core schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.system.files import NotRegularError, read_regular

MAX_BYTES = 256_000
_MAX_DEPTH = 16

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_OLD_BOOLEAN = re.compile(r"(?i:y|n|yes|no|on|off)")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]{1,3})?")

KeyPath = tuple[str | int, ...]
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_SYNTAX_MISTAKES = {
    "expected ',' or '}'": "a `{` without its `}`, or a missing comma",
    "expected ',' or ']'": "a `[` without its `]`, or a missing comma",
    "expected node content": "a value is missing, or a bracket is not closed",
    "expected ':'": "a line without `key: value`, or a quote that is not closed",
    "expected key": "wrong indentation: a key was expected here",
    "expected <block end>": "wrong indentation: a key was expected here",
    "expected '-' indicator": "wrong indentation: `- ` was expected here",
    "mapping values are not allowed": "two `: ` in one line, or wrong indentation; quote text that contains `: `",
    "sequence entries are not allowed": "wrong indentation: `- ` cannot stand here",
    "unexpected end of stream": "a quote that is not closed",
    "cannot start any token": "text that begins with a special character needs quotes",
}
"""Parts of the parser's messages, and what hybrid says instead."""


@dataclass
class Document:
    """A parsed text."""

    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    """The line of each value."""
    mistakes: dict[int, str] = field(default_factory=dict)
    """The first mistake of each line. If there is any, `data` may be incomplete."""


def read_settings(path: Path, what: str) -> bytes:
    """Return the content of the file at `path`, at most a byte over the limit. Messages call the file `what`.

    Raises Failure (USAGE) if it cannot be read, or is no regular file.
    """
    try:
        return read_regular(path, MAX_BYTES + 1)
    except NotRegularError:
        raise Failure(ExitStatus.USAGE, f"{what} {path} is not a regular file") from None
    except OSError as error:
        is_dangling = isinstance(error, FileNotFoundError) and path.is_symlink()
        why = "it is a link to a file that does not exist" if is_dangling else error.strerror
        raise Failure(ExitStatus.USAGE, f"{what} {path} cannot be read: {why}") from error


def parse_strict(text: bytes) -> Document:
    """The document in `text`. Never raises: whatever is wrong is among the document's mistakes."""
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
        line, message = _syntax_mistake(error, text, reader.open_brackets)
        document.mistakes[line] = message
    except yaml.YAMLError:
        document.mistakes[1] = "the file contains characters that YAML does not allow"
    return document


def _syntax_mistake(
    error: yaml.MarkedYAMLError, text: bytes, open_brackets: list[tuple[str, int]]
) -> tuple[int, str]:
    """Return the line of a syntax error in `text`, and a message for people instead of the parser's own.

    The parser notices a missing bracket or quote only lines later, at the end of the file at the latest. The mistake
    is where it was opened: that line is returned, and the message names the other.
    """
    lines = text.splitlines()
    problem, context = error.problem or "", error.context or ""
    mark: Any = error.problem_mark or error.context_mark
    noticed = mark.line + 1 if mark else 1
    if any(re.match(rb" *\t", line) for line in lines[noticed - 1 : noticed]):
        return noticed, "YAML is indented with spaces, not tabs"
    known = (message for part, message in _SYNTAX_MISTAKES.items() if part in problem)
    message = next(known, f"not valid YAML: {problem}")
    line = noticed
    if context.endswith(("a quoted scalar", "a simple key")) and error.context_mark:
        line = error.context_mark.line + 1
    elif open_brackets and (noticed > len(lines) or "expected ','" in problem):
        bracket, line = open_brackets[-1]
        if noticed > len(lines):
            message = f"a `{bracket}` without its `{_CLOSING[bracket]}`"
    return line, message if line == noticed or noticed > len(
        lines
    ) else f"{message} (noticed in line {noticed})"


_CLOSING = {"[": "]", "{": "}"}


class _Unreadable(Exception):  # noqa: N818  it ends the reading; the mistake is already noted
    """The rest of the text cannot be understood after the last mistake."""


def _line(event: Any) -> int:
    line: int = event.start_mark.line + 1
    return line


class _Reader:
    """Builds the data from parser events, so that nothing is expanded before it is checked."""

    def __init__(self) -> None:
        self.document = Document()
        self.open_brackets: list[tuple[str, int]] = []
        """Each `[` and `{` that is not closed yet, with its line."""

    def read(self, events: Iterator[Any]) -> None:
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._mistake(event, "only one YAML document is allowed; remove `---`")
                    raise _Unreadable
                self.document.data = self._value(next(events), events, ())

    def _value(self, event: Any, events: Iterator[Any], path: KeyPath) -> Any:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            self._mistake(event, "anchors and aliases are not allowed; write the value itself")
        elif event.tag is not None:
            self._mistake(event, f"the tag {event.tag} is not allowed; write the value without it")
        if len(path) > _MAX_DEPTH:
            self._mistake(event, f"nested deeper than {_MAX_DEPTH} levels")
            raise _Unreadable
        self.document.lines[path] = _line(event)
        if isinstance(event, yaml.CollectionStartEvent):
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            if event.flow_style:
                self.open_brackets.append(("{" if is_mapping else "[", _line(event)))
            value = self._mapping(events, path) if is_mapping else self._sequence(events, path)
            if event.flow_style:
                self.open_brackets.pop()
            return value
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
                event, f'YAML readers disagree whether `{text}` is a boolean; write true, false or "{text}"'
            )
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text) and not text.isdigit():
            return float(text)
        return text

    def _mistake(self, event: Any, message: str) -> None:
        self.document.mistakes.setdefault(_line(event), message)
