"""Answered questions: what either side made of each, kept in a file so that work is done once."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from hybrid_cli.evaluate.metrics import Numbers
from hybrid_cli.evaluate.questions import Question
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.calibration import Objective
from hybrid_cli.gate.features import CHECKPOINTS, NAMES, VERSION, answer_signals, running_mean
from hybrid_cli.gate.verdict import LocalResult

Answerer = Callable[[Sequence[Question]], Iterable[tuple[Question, LocalResult]]]
"""From questions to each with its result, in whatever order they are finished."""
Scorer = Callable[[Question, str], bool]
"""Whether an answer to a question is right."""


class Row(msgspec.Struct, frozen=True):
    """One answered question. The prompt and the answer themselves are not kept."""

    key: str
    task: str
    group: str
    """Rows of one group are fitted on together or not at all, where a score is tried on what is new to it."""
    signals: dict[str, float | None]
    running: list[float | None]
    """The mean log-probability at each checkpoint that the answer reached."""
    finish_reason: str
    tokens_in: int
    tokens_out: int
    local_right: bool
    cloud_right: bool | None
    seconds: float | None = None
    """Its share of the time that all took; many are answered side by side."""
    state: bytes | None = None
    """The model's hidden state at the prompt's last token, as float16. The prompt cannot be read from it, but
    what it is about can be guessed."""

    def __post_init__(self) -> None:
        if not set(NAMES) <= set(self.signals) or len(self.running) != len(CHECKPOINTS):
            raise ValueError("it lacks signals")


class CloudRow(msgspec.Struct, frozen=True):
    """What a cloud really made of a question. None where its answer was withheld or cut."""

    asked: str
    model: str
    right: bool
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = None
    """USD."""


_KINDS: dict[bytes, type[Row | CloudRow]] = {b'{"key":': Row, b'{"asked":': CloudRow}
"""What a line holds, by its beginning."""


@dataclass
class Kept:
    """A file of rows, by key. None for its name keeps nothing beyond the process."""

    file: Path | None
    rows: dict[str, Row] = field(default_factory=dict)
    cloud: dict[str, CloudRow] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path | None) -> Kept:
        """Raises Failure (USAGE) where the file is of another kind."""
        kept = cls(file)
        if file is None:
            return kept
        if not file.parent.is_dir():
            raise Failure(ExitStatus.USAGE, f"--rows {file}: there is no folder {file.parent}")
        if file.is_symlink() or file.exists():
            for row in _read(file):
                kept._hold(row)
        return kept

    def add(self, row: Row | CloudRow) -> None:
        """Hold one row more; in the file, too, at once, so that what a stop leaves behind is used again."""
        self._hold(row)
        if self.file is not None:
            with self.file.open("a+b") as lines:
                if lines.seek(0, os.SEEK_END) and not _ends_a_line(lines):  # a stop cut the last one short
                    lines.write(b"\n")
                lines.write(msgspec.json.encode(row) + b"\n")

    def _hold(self, row: Row | CloudRow) -> None:
        if isinstance(row, Row):
            self.rows[row.key] = row
        else:
            self.cloud[row.asked] = row


def answered(
    questions: Sequence[Question], answer: Answerer, score: Scorer, source: str, kept: Kept
) -> Iterator[Row]:
    """Answer, by `source`, the questions that `kept` has no row of, and add a row for each."""
    missing = {key_of(question, source): question for question in questions}
    missing = {key: question for key, question in missing.items() if key not in kept.rows}
    before = time.monotonic()
    for question, result in answer(list(missing.values())):
        now = time.monotonic()
        row = _row(question, result, source, score, now - before)
        before = now
        kept.add(row)
        yield row


def key_of(question: Question, source: str) -> str:
    """What the row of a question is found by, as answered by `source`."""
    return _digest(str(VERSION), source, question.kind, question.asked, question.label)


def cloud_key_of(question: Question, model: str) -> str:
    """What a cloud's outcome is found by."""
    return _digest("cloud", model, question.kind, question.asked, question.label)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _row(question: Question, result: LocalResult, source: str, score: Scorer, seconds: float) -> Row:
    return Row(
        key=key_of(question, source),
        task=question.task,
        group=question.subject or question.task,
        signals=answer_signals(result.logprobs, result.tokens_in, result.first),
        running=[running_mean(result.logprobs, tokens) for tokens in CHECKPOINTS],
        finish_reason=result.finish_reason,
        tokens_in=result.tokens_in,
        tokens_out=result.tokens_out,
        local_right=score(question, result.text),
        cloud_right=None,
        seconds=round(seconds, 3),
        state=result.state,
    )


def _ends_a_line(lines: BinaryIO) -> bool:
    lines.seek(-1, os.SEEK_END)
    return lines.read(1) == b"\n"


def _read(file: Path) -> Iterator[Row | CloudRow]:
    """The rows of `file`, without those that a stop cut short. Raises Failure (USAGE) for another file."""
    if not file.is_file():
        raise Failure(ExitStatus.USAGE, f"--rows {file} is no file")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Failure(ExitStatus.USAGE, f"--rows {file} cannot be read: {error.strerror}") from error
    for number, line in enumerate(content.splitlines(), start=1):
        kind = next((kind for start, kind in _KINDS.items() if line.startswith(start)), None)
        if kind is None:
            raise Failure(ExitStatus.USAGE, f"{file}:{number}: this line is no row of an evaluation")
        try:
            yield msgspec.json.decode(line, type=kind)
        except msgspec.DecodeError:
            continue


def column(rows: list[Row], name: str) -> Numbers:
    """A signal of every row; the least confident value seen stands where it is missing."""
    values = np.array([np.nan if (v := row.signals[name]) is None else v for row in rows])
    worst = np.nanmin(values) if np.isfinite(values).any() else 0.0
    return np.where(np.isnan(values), worst, values)


def right(rows: list[Row]) -> Numbers:
    return np.array([row.local_right for row in rows], dtype=float)


def label(rows: list[Row], objective: Objective) -> Numbers:
    """1 where a handoff is called for: the local answer is wrong; under `helps` also the cloud's is right."""
    wrong = 1 - right(rows)
    return wrong * cloud_right(rows) if objective == "helps" else wrong


def cloud_right(rows: list[Row]) -> Numbers:
    """The cloud's outcomes. Raises Failure (USAGE) where a row has none."""
    if any(row.cloud_right is None for row in rows):
        raise Failure(
            ExitStatus.USAGE, "the data lacks cloud_correct in some rows; use --cloud live, or none"
        )
    return np.array([row.cloud_right for row in rows], dtype=float)
