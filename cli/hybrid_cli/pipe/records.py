"""The records of a pipe: where one ends and the next begins, and what its fields are.

Input is foreign: whatever a record holds, it is one record, at most one failure, and never the end of the run.
"""

from __future__ import annotations

import csv
import glob
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.pipe.record_kinds import Each
from hybrid_cli.prompt import MAX_BYTES
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import shorten

_CHUNK = 1 << 16
_BOM = b"\xef\xbb\xbf"
_ENDS: dict[Each, bytes] = {"nul": b"\0"}


@dataclass(frozen=True)
class Record:
    """One record as it was read."""

    raw: bytes
    """Without its end. Of a row of CSV its fields as a JSON object; of one that is too long, its beginning."""
    value: Any = None
    """What JSON or CSV makes of it; of other text None."""
    is_json: bool = False
    problem: str | None = None
    """Why there is nothing to be asked about it."""
    file: str | None = None
    """Where it is from; None for stdin."""
    line: int | None = None
    """The line there on which it begins, from 1; None in input that is not of lines."""

    def named(self, number: int) -> str:
        """Which one it is, for a reader: its `number` in the input, and where to look for it."""
        if self.file is not None:
            place = self.file if self.line is None else f"{self.file}:{self.line}"
            return f"record {number} ({place})"
        return f"record {number}" if self.line in (None, number) else f"record {number} (line {self.line})"

    @property
    def is_object(self) -> bool:
        return isinstance(self.value, dict)

    @property
    def is_blank(self) -> bool:
        """A text of nothing: there is nothing to be asked, and nothing wrong with it."""
        return not self.is_json and self.problem is None and not self.raw.strip()

    @property
    def text(self) -> str:
        """All of it, for a record without a problem."""
        return self.raw.decode()


class Source:
    """The records of files, or of stdin, one after another as they are asked for."""

    def __init__(self, files: Sequence[Path], each: Each, environment: Environment) -> None:
        """Raises Failure (USAGE) where a file cannot be read, or there is no input at all."""
        self.each = each
        self.files = files or [Path("-")]
        self._environment = environment
        for path in self.files:
            if str(path) == "-":
                if environment.stdin is None or environment.stdin_is_terminal():
                    raise Failure(ExitStatus.USAGE, "there are no records; pipe them in, or name a FILE")
            elif path.is_dir():
                raise Failure(ExitStatus.USAGE, f"{path} is a folder; give files")
            elif not os.access(path, os.R_OK):
                why = "cannot be read" if path.exists() else "does not exist"
                raise Failure(ExitStatus.USAGE, f"{path} {why}")

    def __iter__(self) -> Iterator[Record]:
        for path in self.files:
            name = None if str(path) == "-" else str(path)
            with self._opened(path) as descriptor:
                for line, record in _records(self.each, _chunks(descriptor), str(path)):
                    yield replace(record, file=name, line=line)

    @contextmanager
    def _opened(self, path: Path) -> Iterator[int]:
        if str(path) == "-":
            yield self._environment.stdin.fileno() if self._environment.stdin is not None else -1
            return
        with path.open("rb", buffering=0) as file:
            yield file.fileno()


def matching(names: Sequence[Path]) -> list[Path]:
    """The files that `names` are or, where there is none, match as patterns (`**` for folders in folders).

    Raises Failure (USAGE) for none at all, and for stdin.
    """
    if not names or Path("-") in names:
        raise Failure(ExitStatus.USAGE, "--cluster reads files; name them, or a pattern")
    files = []
    for name in names:
        found = [] if name.exists() else sorted(glob.glob(str(name), recursive=True))  # noqa: PTH207  absolute, too
        files += [path for path in map(Path, found) if path.is_file()] or [name]
    return files


def _records(each: Each, chunks: Iterable[bytes], name: str) -> Iterator[tuple[int | None, Record]]:
    """Each with its line, where there are lines."""
    pieces = _pieces(chunks, _ENDS.get(each, b"\n"))
    if each == "nul":
        yield from ((None, _text(piece)) for piece in pieces)
        return
    if each == "csv":
        yield from _rows(pieces, name)
        return
    lines = enumerate(map(_line, pieces), 1)
    if each == "para":
        yield from ((line, _text(raw)) for line, raw in _paragraphs(lines))
    elif each == "jsonl":
        yield from ((line, _json(raw)) for line, raw in lines if raw.strip())
    else:
        yield from ((line, _text(raw)) for line, raw in lines)


def _chunks(descriptor: int) -> Iterator[bytes]:
    """What can be read, as it comes; a byte order mark at the start is no part of it."""
    start = os.read(descriptor, _CHUNK)
    while 0 < len(start) < len(_BOM) and _BOM.startswith(start) and (more := os.read(descriptor, _CHUNK)):
        start += more
    yield start.removeprefix(_BOM)
    while chunk := os.read(descriptor, _CHUNK):
        yield chunk


def _pieces(chunks: Iterable[bytes], end: bytes) -> Iterator[bytes]:
    """What lies between the `end`s. Of a longer piece than may be, only its beginning, one byte too long."""
    held = bytearray()
    begun = False
    for chunk in chunks:
        *whole, rest = chunk.split(end)
        for part in whole:
            held += part[: MAX_BYTES + 1 - len(held)]
            yield bytes(held)
            held.clear()
            begun = False
        held += rest[: MAX_BYTES + 1 - len(held)]
        begun = begun or bool(rest)
    if begun:
        yield bytes(held)


def _line(piece: bytes) -> bytes:
    return piece.removesuffix(b"\r")


def _paragraphs(lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Lines up to the next blank one, together, with the number of the first."""
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


def _problem(raw: bytes) -> str | None:
    if len(raw) > MAX_BYTES:
        return f"it is over {MAX_BYTES // 1_000_000} MB"
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return f"it is not UTF-8 (byte {error.start})"
    return None


def _text(raw: bytes) -> Record:
    return Record(raw, problem=_problem(raw))


def _json(raw: bytes) -> Record:
    problem = _problem(raw)
    if problem is not None:
        return Record(raw, problem=problem)
    try:
        return Record(raw, json.loads(raw, parse_constant=_no_json), is_json=True)
    except json.JSONDecodeError as error:
        return Record(raw, problem=f"it is not JSON (character {error.pos}: {error.msg})")
    except (ValueError, RecursionError):  # NaN, a number of thousands of digits, thousands of brackets
        return Record(raw, problem="it is not JSON that can be read here")


def _no_json(_constant: str) -> NoReturn:
    raise ValueError


class _Text:
    """The lines of a file of CSV as text. Bytes that are none stay with their own record."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self.is_over = False

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            yield f"{line.decode('utf-8', 'surrogateescape')}\n"
        self.is_over = True


def _rows(lines: Iterable[bytes], name: str) -> Iterator[tuple[int, Record]]:
    """The rows of CSV (RFC 4180), each as an object by the first row's names."""
    csv.field_size_limit(MAX_BYTES)
    text = _Text(lines)
    rows = csv.reader(text)
    names = _header(rows, name)
    if names and text.is_over:
        raise Failure(ExitStatus.USAGE, f"a quote in the first row of {name} is never closed")
    while names:
        line = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, Record(b"", problem=f"it is no row of CSV ({error})")
            continue
        if text.is_over:  # it was read on for the end of a quote
            problem = "a quote in it is never closed; the file ends in it"
            yield line, replace(_row(names, row), problem=problem)
        elif row:
            yield line, _row(names, row)


def _header(rows: Iterator[list[str]], name: str) -> list[str]:
    """The names of the columns; none for no input. Raises Failure (USAGE) for names that cannot be told apart."""
    try:
        names = next((row for row in rows if row), [])
        json.dumps(names, ensure_ascii=False).encode()
    except (csv.Error, UnicodeEncodeError):
        raise Failure(ExitStatus.USAGE, f"the first row of {name} holds no names of columns") from None
    twice = next((column for place, column in enumerate(names) if column in names[:place]), None)
    if twice is not None:
        raise Failure(ExitStatus.USAGE, f"two columns of {name} are named `{shorten(twice)}`")
    return names


def _row(names: list[str], row: list[str]) -> Record:
    value = dict(zip(names, row, strict=False))
    text = json.dumps(value, ensure_ascii=False)
    if len(row) != len(names):
        raw = json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogateescape")
        return Record(raw, problem=f"it has {len(row)} fields, the first row {len(names)}")
    raw = text.encode("utf-8", "surrogateescape")
    problem = _problem(raw)
    return Record(raw, problem=problem) if problem is not None else Record(raw, value, is_json=True)
