"""Answered questions: what the local model made of each, kept in a file so that work is done once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from hybrid_cli.evaluate.metrics import Numbers
from hybrid_cli.evaluate.questions import Question, is_right
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.handoff.calibration import Objective
from hybrid_cli.handoff.gate import LocalResult
from hybrid_cli.handoff.signals import CHECKPOINTS, VERSION, answer_signals, running_mean

_START = b'{"key":'

Answerer = Callable[[Sequence[Question]], Iterator[LocalResult]]
"""From questions to a result each, in order, as they come."""


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


def answered(
    questions: Sequence[Question], answer: Answerer, weights: str, file: Path | None
) -> Iterator[Row]:
    """Each question's row: those that `file` holds, made with `weights`, first; the others as they are answered.

    New rows are added to `file` one by one, so that what a stop leaves behind is used again.
    """
    known = {row.key: row for row in _read(file)} if file is not None and file.exists() else {}
    keyed = [(_key(question, weights), question) for question in questions]
    for key, _ in keyed:
        if key in known:
            yield known[key]
    missing = [(key, question) for key, question in keyed if key not in known]
    results = answer([question for _, question in missing])
    for (key, question), result in zip(missing, results, strict=True):
        row = _row(key, question, result)
        if file is not None:
            _add(file, row)
        yield row


def _key(question: Question, weights: str) -> str:
    parts = (str(VERSION), weights, question.kind, question.asked, question.answer)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _row(key: str, question: Question, result: LocalResult) -> Row:
    return Row(
        key=key,
        task=question.task,
        group=question.subject or question.task,
        signals=answer_signals(result.logprobs, result.tokens_in, result.first),
        running=[running_mean(result.logprobs, tokens) for tokens in CHECKPOINTS],
        finish_reason=result.finish_reason,
        tokens_in=result.tokens_in,
        tokens_out=result.tokens_out,
        local_right=is_right(question, result.text),
        cloud_right=question.cloud_correct,
    )


def _add(file: Path, row: Row) -> None:
    """One line more; after a line that a stop cut short, on one of its own."""
    with file.open("a+b") as lines:
        if lines.seek(0, os.SEEK_END) and not _ends_a_line(lines):
            lines.write(b"\n")
        lines.write(msgspec.json.encode(row) + b"\n")


def _ends_a_line(lines: BinaryIO) -> bool:
    lines.seek(-1, os.SEEK_END)
    return lines.read(1) == b"\n"


def _read(file: Path) -> Iterator[Row]:
    """The rows of `file`, without those that a stop cut short. Raises Failure (USAGE) for another file."""
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        try:
            yield msgspec.json.decode(line, type=Row)
        except msgspec.DecodeError:
            if not line.startswith(_START):
                raise Failure(
                    ExitStatus.USAGE, f"{file}:{number}: this line is no row of an evaluation"
                ) from None


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
        raise Failure(ExitStatus.USAGE, "the data lacks cloud_correct in some rows; use --cloud none")
    return np.array([row.cloud_right for row in rows], dtype=float)
