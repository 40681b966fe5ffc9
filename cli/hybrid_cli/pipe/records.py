"""Split the input of `hybrid pipe` into records.

Input is untrusted: a malformed record becomes one record with a problem, and never ends the run.
"""

from __future__ import annotations

import csv
import glob
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, NoReturn

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.pipe.input_form import (
    begins_with_object,
    is_named_jsonl,
    looks_like,
    paragraphs,
    refuse_packed,
    with_heading,
)
from hybrid_cli.pipe.json_text import MOST_BYTES, JsonValue, begins_like_json, json_values
from hybrid_cli.pipe.record_kinds import Each, Input
from hybrid_cli.prompt import refuse_utf_16
from hybrid_cli.prompt_files.decoding import MAX_BYTES
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import shorten

_YAML = (".yaml", ".yml")
_FOUND_OUT: tuple[Input, ...] = ("by name", "by content", "jsonl")
"""Kinds of input for which a file that is no JSON Lines is recognised."""
_READ_SIZE = 1 << 16
_BOM = b"\xef\xbb\xbf"
_SEPARATORS: dict[Each, bytes] = {"nul": b"\0"}


@dataclass(frozen=True)
class Record:
    """One record of the input."""

    raw: bytes
    """The bytes without the separator. A CSV row becomes a JSON object; a record that is too long is cut."""
    value: Any = None
    """The parsed JSON or CSV row; None for plain text."""
    is_json: bool = False
    problem: str | None = None
    """Why it cannot be sent to a model; None if it can."""
    file: str | None = None
    """None for stdin."""
    line: int | None = None
    """The line on which it begins, from 1; None if the input has no lines."""
    heading: str = ""
    """The table's header above a line, if it names a column of secrets: the scan then finds them in the line."""

    def name(self, number: int) -> str:
        """Return a name for messages: the record's `number` in the input, and its file and line."""
        if self.file is not None:
            place = self.file if self.line is None else f"{self.file}:{self.line}"
            return f"record {number} ({place})"
        return f"record {number}" if self.line in (None, number) else f"record {number} (line {self.line})"

    @property
    def is_object(self) -> bool:
        return isinstance(self.value, dict)

    @property
    def is_blank(self) -> bool:
        """Whether it is valid text without any content."""
        return not self.is_json and self.problem is None and not self.raw.strip()

    @property
    def text(self) -> str:
        """The whole record as text. Only for a record without a problem."""
        return self.raw.decode()


class Source:
    """Reads the records of files or stdin, lazily and in order."""

    def __init__(
        self, files: Sequence[Path], each: Input, environment: Environment, delimiter: str | None = None
    ) -> None:
        """Raise Failure (USAGE) if a file cannot be read, or stdin has no input.

        `delimiter` separates the fields of CSV; None finds it in the header row.
        """
        self.each = each
        self.delimiter = delimiter
        self.files = files or [Path("-")]
        self._environment = environment
        for path in self.files:
            if str(path) == "-":
                if environment.stdin is None or environment.stdin_is_terminal():
                    raise Failure(ExitStatus.USAGE, "no records; pipe them to stdin or name a FILE")
            elif path.is_dir():
                raise Failure(ExitStatus.USAGE, f"{path} is a folder; name files")
            elif each in _FOUND_OUT and path.suffix.lower() in _YAML:
                raise Failure(
                    ExitStatus.USAGE,
                    f"{path} is YAML, which has no records; convert it to JSON, or read its lines: --each line",
                )
            elif not os.access(path, os.R_OK):
                why = "cannot be read" if path.exists() else "does not exist"
                raise Failure(ExitStatus.USAGE, f"{path} {why}")

    def __iter__(self) -> Iterator[Record]:
        for path in self.files:
            name = None if str(path) == "-" else str(path)
            with self._open(path) as descriptor:
                for line, record in self._split(_chunks(descriptor, path, self.each), path):
                    yield replace(record, file=name, line=line)

    def _split(self, chunks: Iterator[bytes], path: Path) -> Iterator[tuple[int | None, Record]]:
        if self.each in _FOUND_OUT:
            is_json, chunks = begins_like_json(str(path), chunks)
            if is_json:
                data = b"".join(_at_most(chunks, MOST_BYTES))
                found = self._json_records(path, data)
                if found is not None:
                    yield from found
                    return
                chunks = chain([data], chunks)
        each, chunks = self._kind(path, chunks)
        if each == "csv":
            yield from _rows_of(chunks, path, self.delimiter, self._environment)
        else:
            yield from _records(each, chunks)

    def _json_records(self, path: Path, data: bytes) -> Iterator[tuple[int, Record]] | None:
        """Return the records of JSON over several lines; None to read JSON Lines in which a line is broken.

        Raises Failure (USAGE) if it is broken or too large.
        """
        name = _name_of(path)
        try:
            if len(data) > MOST_BYTES:
                raise ValueError(f"over {MOST_BYTES // 1_000_000} MB; to split it: jq -c .[]")
            values = json_values(data)
        except ValueError as error:
            if self.each == "jsonl" or is_named_jsonl(name):
                return None
            raise Failure(
                ExitStatus.USAGE, f"{name} cannot be read as JSON: {error}; to read plain lines: --each line"
            ) from None
        if self.each != "jsonl":
            self._environment.note(
                f"reading {name} as JSON, each value as a record; to read plain lines: --each line"
            )
        return ((one.line, _json_record(one)) for one in values)

    def _kind(self, path: Path, chunks: Iterator[bytes]) -> tuple[Each, Iterator[bytes]]:
        """Return the kind of a file's records, and its content."""
        if self.each != "by name" and self.each != "by content":  # noqa: PLR1714  a check of the type
            return self.each, chunks
        found = is_named_jsonl(str(path))
        if not found and self.each == "by content":
            found, chunks = begins_with_object(chunks)
        if not found:
            head = next(chunks, b"")
            form = looks_like(head)
            if form is not None:
                self._environment.note(
                    f"{_name_of(path)} looks like {form}, but is read by lines; convert it to JSON, or confirm it: --each line"
                )
            return "line", chain([head], chunks)
        self._environment.note(f"reading {_name_of(path)} as JSON Lines; to read plain lines: --each line")
        return "jsonl", chunks

    @contextmanager
    def _open(self, path: Path) -> Iterator[int]:
        if str(path) == "-":
            yield self._environment.stdin.fileno() if self._environment.stdin is not None else -1
            return
        with path.open("rb", buffering=0) as file:
            yield file.fileno()


def expand_patterns(names: Sequence[Path]) -> list[Path]:
    """Return the files that `names` name or, if there is no such file, match as glob patterns.

    `**` matches any folders. A name that matches nothing is returned unchanged. Raises Failure (USAGE) for no
    names, and for stdin.
    """
    if not names or Path("-") in names:
        raise Failure(ExitStatus.USAGE, "--cluster reads files, not stdin; name files or a pattern")
    files = []
    for name in names:
        found = [] if name.exists() else sorted(glob.glob(str(name), recursive=True))  # noqa: PTH207  absolute, too
        files += [path for path in map(Path, found) if path.is_file()] or [name]
    return files


def _name_of(path: Path) -> str:
    """Return the name of the input for messages."""
    return "stdin" if str(path) == "-" else str(path)


def _json_record(found: JsonValue) -> Record:
    raw = found.source.encode("utf-8", "surrogatepass")
    problem = _problem(raw)
    return Record(raw, problem=problem) if problem is not None else Record(raw, found.value, is_json=True)


def _at_most(chunks: Iterator[bytes], most: int) -> Iterator[bytes]:
    """Yield chunks until more than `most` bytes were read."""
    size = 0
    while size <= most and (chunk := next(chunks, b"")):
        size += len(chunk)
        yield chunk


def _rows_of(
    chunks: Iterable[bytes], path: Path, delimiter: str | None, environment: Environment
) -> Iterator[tuple[int, Record]]:
    """Yield the rows of CSV. Without a `delimiter` the header row decides; a note names one that is no comma."""
    lines = split_chunks(chunks, b"\n")
    begun = [*islice(lines, 1)]
    while begun and not begun[-1].strip() and (more := [*islice(lines, 1)]):
        begun += more
    first = begun[-1] if begun else b""
    if first.lower().startswith(b"sep="):  # a line for Excel, which is no header
        found, begun[-1] = first[4:5].decode("ascii", "replace") or ",", b""
    else:
        found = delimiter_in(first)
    if delimiter is None and found != ",":
        named = "tabs" if found == "\t" else f"`{found}`"
        environment.note(f"{_name_of(path)} is separated by {named}, not by commas; to set it: --delimiter")
    return _rows(chain(begun, lines), _name_of(path), delimiter or found)


_DELIMITERS = (b",", b"\t", b";", b"|")


def delimiter_in(header: bytes) -> str:
    """The delimiter of CSV with this header row: a comma, unless only another one occurs outside of quotes."""
    bare = re.sub(rb'"[^"]*"', b"", header)
    counts = {one: bare.count(one) for one in _DELIMITERS}
    likely = max(_DELIMITERS[1:], key=lambda one: counts[one])
    return "," if counts[b","] or not counts[likely] else likely.decode()


def _records(each: Each, chunks: Iterable[bytes]) -> Iterator[tuple[int | None, Record]]:
    """Yield each record with its line; None for the line if the input has no lines."""
    pieces = split_chunks(chunks, _SEPARATORS.get(each, b"\n"))
    if each == "nul":
        yield from ((None, _text(piece)) for piece in pieces)
        return
    lines = enumerate(map(_without_ends, pieces), 1)
    if each == "para":
        yield from ((line, _text(raw)) for line, raw in paragraphs(lines))
    elif each == "jsonl":
        yield from ((line, _json(raw)) for line, raw in lines if raw.strip())
    else:
        yield from (
            (line, replace(_text(raw), heading=heading)) for line, raw, heading in with_heading(lines)
        )


def _chunks(descriptor: int, path: Path, each: Input) -> Iterator[bytes]:
    """Yield the bytes as they arrive, without a byte order mark at the start. Raises Failure (USAGE) for UTF-16."""
    start = os.read(descriptor, _READ_SIZE)
    while 0 < len(start) < len(_BOM) and _BOM.startswith(start) and (more := os.read(descriptor, _READ_SIZE)):
        start += more
    refuse_packed(start, _name_of(path))
    if each != "nul":
        refuse_utf_16(start, _name_of(path))
    yield start.removeprefix(_BOM)
    while chunk := os.read(descriptor, _READ_SIZE):
        yield chunk


def split_chunks(chunks: Iterable[bytes], separator: bytes) -> Iterator[bytes]:
    """Yield the pieces between separators. A piece over MAX_BYTES is cut to one byte more than that."""
    held = bytearray()
    begun = False
    for chunk in chunks:
        *whole, rest = chunk.split(separator)
        for part in whole:
            held += part[: MAX_BYTES + 1 - len(held)]
            yield bytes(held)
            held.clear()
            begun = False
        held += rest[: MAX_BYTES + 1 - len(held)]
        begun = begun or bool(rest)
    if begun:
        yield bytes(held)


def _without_ends(line: bytes) -> bytes:
    """The line without a carriage return, and without the byte order mark that joined files have in the middle."""
    return line.removesuffix(b"\r").removeprefix(_BOM)


def _problem(raw: bytes) -> str | None:
    if len(raw) > MAX_BYTES:
        return f"larger than {MAX_BYTES // 1_000_000} MB"
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 (byte {error.start})"
    return None


def _text(raw: bytes) -> Record:
    return Record(raw, problem=_problem(raw))


def _json(raw: bytes) -> Record:
    problem = _problem(raw)
    if problem is not None:
        return Record(raw, problem=problem)
    try:
        return Record(raw, json.loads(raw, parse_constant=_reject_constant), is_json=True)
    except json.JSONDecodeError as error:
        return Record(raw, problem=f"not JSON (character {error.pos}: {error.msg})")
    except (ValueError, RecursionError):  # NaN, a number of thousands of digits, thousands of brackets
        return Record(raw, problem="not JSON that hybrid can read")


def _reject_constant(_name: str) -> NoReturn:
    raise ValueError


class _TextLines:
    """Decodes lines for the CSV reader. Invalid bytes become surrogates, so that only their own row fails."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self.at_end = False

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            yield f"{line.decode('utf-8', 'surrogateescape')}\n"
        self.at_end = True


def _rows(lines: Iterable[bytes], name: str, delimiter: str) -> Iterator[tuple[int, Record]]:
    """Yield the rows of CSV (RFC 4180) as objects with the header row's names, each with its line."""
    csv.field_size_limit(MAX_BYTES)
    text = _TextLines(lines)
    rows = csv.reader(text, delimiter=delimiter)
    names = _header(rows, name)
    if names and text.at_end:
        raise Failure(ExitStatus.USAGE, f"a quote in the header row of {name} is never closed")
    while names:
        line = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, Record(b"", problem=f"not a CSV row ({error})")
            continue
        if text.at_end:  # the reader looked for the end of a quote
            problem = "a quote is never closed; the record runs to the end of the file"
            yield line, replace(_row(names, row), problem=problem)
        elif row:
            yield line, _row(names, row)


def _header(rows: Iterator[list[str]], name: str) -> list[str]:
    """Return the names of the columns; an empty list for empty input.

    Raises Failure (USAGE) if the header is malformed, or two columns have the same name.
    """
    try:
        names = next((row for row in rows if row), [])
        json.dumps(names, ensure_ascii=False).encode()
    except (csv.Error, UnicodeEncodeError):
        raise Failure(ExitStatus.USAGE, f"{name} has no valid header row") from None
    duplicate = next((column for place, column in enumerate(names) if column in names[:place]), None)
    if duplicate is not None:
        raise Failure(ExitStatus.USAGE, f"two columns of {name} are named `{shorten(duplicate)}`")
    return names


def _row(names: list[str], row: list[str]) -> Record:
    value = dict(zip(names, row, strict=False))
    text = json.dumps(value, ensure_ascii=False)
    if len(row) != len(names):
        raw = json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogateescape")
        return Record(raw, problem=f"expected {len(names)} fields, as in the header row; found {len(row)}")
    raw = text.encode("utf-8", "surrogateescape")
    problem = _problem(raw)
    return Record(raw, problem=problem) if problem is not None else Record(raw, value, is_json=True)
