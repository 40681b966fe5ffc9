"""The records of a pipe: where one ends and the next begins, and what its fields are.

Input is foreign: whatever a record holds, it is one record, at most one failure, and never the end of the run.
"""

from __future__ import annotations

import csv
import glob
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from hybrid_cli.environment import Environment, cut
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.input import MAX_BYTES

Each = Literal["line", "jsonl", "csv", "nul", "para"]

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
            with self._opened(path) as descriptor:
                yield from _records(self.each, _chunks(descriptor), str(path))

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


def _records(each: Each, chunks: Iterable[bytes], name: str) -> Iterator[Record]:
    pieces = _pieces(chunks, _ENDS.get(each, b"\n"))
    if each == "csv":
        yield from _rows(pieces, name)
    elif each == "para":
        yield from map(_text, _paragraphs(pieces))
    elif each == "nul":
        yield from map(_text, pieces)
    elif each == "jsonl":
        yield from (_json(piece) for piece in map(_line, pieces) if piece.strip())
    else:
        yield from (_text(_line(piece)) for piece in pieces)


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


def _paragraphs(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines up to the next blank one, together."""
    held: list[bytes] = []
    size = 0
    for line in map(_line, lines):
        if line.strip():
            if size <= MAX_BYTES:
                held.append(line)
            size += len(line) + 1
        elif held:
            yield b"\n".join(held)
            held, size = [], 0
    if held:
        yield b"\n".join(held)


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


def _rows(lines: Iterable[bytes], name: str) -> Iterator[Record]:
    """The rows of CSV (RFC 4180), each as an object by the first row's names."""
    csv.field_size_limit(MAX_BYTES)
    # Bytes that are no text stay with their own record.
    decoded = (f"{line.decode('utf-8', 'surrogateescape')}\n" for line in lines)
    with closing(decoded):
        rows = csv.reader(decoded)
        names = _header(rows, name)
        while names:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield Record(b"", problem=f"it is no row of CSV ({error})")
                continue
            if row:
                yield _row(names, row)


def _header(rows: Iterator[list[str]], name: str) -> list[str]:
    """The names of the columns; none for no input. Raises Failure (USAGE) for names that cannot be told apart."""
    try:
        names = next((row for row in rows if row), [])
        json.dumps(names, ensure_ascii=False).encode()
    except (csv.Error, UnicodeEncodeError):
        raise Failure(ExitStatus.USAGE, f"the first row of {name} holds no names of columns") from None
    twice = next((column for place, column in enumerate(names) if column in names[:place]), None)
    if twice is not None:
        raise Failure(ExitStatus.USAGE, f"two columns of {name} are named `{cut(twice)}`")
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
