"""Rows: answered questions with the outcomes of both models, saved in a file so that work is done once."""

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

from hybrid_cli.checks.refusal import is_refusal
from hybrid_cli.evaluate.metrics import Numbers
from hybrid_cli.evaluate.questions import LabelledQuestion
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.features import CHECKPOINTS, NAMES, VERSION, running_mean
from hybrid_cli.gate.local_score import AnswerForm, answer_form
from hybrid_cli.gate.prompt_kinds import prompt_kinds
from hybrid_cli.gate.verdict import LocalResult, signals_of
from hybrid_cli.prompt import Question

Answerer = Callable[[Sequence[LabelledQuestion]], Iterable[tuple[LabelledQuestion, LocalResult]]]
"""Answers questions: yields each with its result, in the order in which they complete."""
Scorer = Callable[[LabelledQuestion, str], bool]
"""Judges an answer: whether it is right."""


class Row(msgspec.Struct, frozen=True):
    """One answered question, without the texts of prompt and answer."""

    key: str
    task: str
    group: str
    """The subject or task: a test on new subjects leaves out whole groups."""
    form: AnswerForm
    kinds: list[float]
    """The prompt's share in each kind of work."""
    signals: dict[str, float | None]
    running: list[float | None]
    """The mean log-probability at each checkpoint that the answer reached."""
    finish_reason: str
    tokens_in: int
    tokens_out: int
    doubted: bool
    """Whether the answer declines, or cannot be right; see `checks.plain_sense`."""
    local_right: bool
    cloud_right: bool | None
    seconds: float | None = None
    """The time since the previous answer: many are generated side by side."""
    samples: int = 0
    """How many samples a comparable answer was compared with; `signals` then has their agreement."""

    def __post_init__(self) -> None:
        if not set(NAMES) <= set(self.signals) or len(self.running) != len(CHECKPOINTS):
            raise ValueError("signals are missing")
        if not 0 <= (self.signals.get("agreement") or 0) <= 1:
            raise ValueError("the agreement of samples is no share")
        if len(self.kinds) != len(prompt_kinds().kinds):
            raise ValueError("the prompt's kinds are missing")

    @property
    def is_usable(self) -> bool:
        """Whether the answer is whole and may be right, so that its score decides."""
        return self.finish_reason == "stop" and not self.doubted


class CloudRow(msgspec.Struct, frozen=True):
    """A cloud's outcome for a question. Tokens and cost are None if the answer was withheld or cut."""

    asked: str
    model: str
    right: bool
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = None
    """USD."""


_KINDS: dict[bytes, type[Row | CloudRow]] = {b'{"key":': Row, b'{"asked":': CloudRow}
"""The type of a line by its first bytes."""


@dataclass
class SavedRows:
    """Rows by key, and the file that they are saved to. Without a file they end with the process.

    Long answers that were compared with fewer than `samples` samples are left out, so that they are asked again.
    """

    file: Path | None
    samples: int = 0
    rows: dict[str, Row] = field(default_factory=dict)
    cloud: dict[str, CloudRow] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path | None, samples: int = 0) -> SavedRows:
        """The rows in `file`, which need not exist. Raises Failure (USAGE) if it is not a file of rows."""
        saved = cls(file, samples)
        if file is None:
            return saved
        if not file.parent.is_dir():
            raise Failure(ExitStatus.USAGE, f"--rows {file}: no such folder: {file.parent}")
        if file.is_symlink() or file.exists():
            for row in _read(file):
                saved._hold(row)
        return saved

    def add(self, row: Row | CloudRow) -> None:
        """Add a row, and append it to the file at once, so that an interrupted run can be continued."""
        self._hold(row)
        if self.file is not None:
            with self.file.open("a+b") as lines:
                if lines.seek(0, os.SEEK_END) and not _ends_a_line(
                    lines
                ):  # an interrupted run cut the last line
                    lines.write(b"\n")
                lines.write(msgspec.json.encode(row) + b"\n")

    def _hold(self, row: Row | CloudRow) -> None:
        if isinstance(row, Row):
            if row.form != "long" or row.samples >= self.samples:
                self.rows[row.key] = row
        else:
            self.cloud[row.asked] = row


def answered(
    questions: Sequence[LabelledQuestion], answer: Answerer, score: Scorer, source: str, saved: SavedRows
) -> Iterator[Row]:
    """Answer the questions that `saved` has no row for, and add a row for each. `source` as in `key_of`."""
    missing = {key_of(question, source): question for question in questions}
    missing = {key: question for key, question in missing.items() if key not in saved.rows}
    before = time.monotonic()
    for question, result in answer(list(missing.values())):
        now = time.monotonic()
        row = _row(question, result, source, score, now - before, saved.samples)
        before = now
        saved.add(row)
        yield row


def key_of(question: LabelledQuestion, source: str) -> str:
    """The key of a question's row. `source` identifies the model and how it samples."""
    return _digest(str(VERSION), source, question.kind, question.asked, question.identity)


def cloud_key_of(question: LabelledQuestion, model: str) -> str:
    """The key of a cloud model's outcome for a question."""
    return _digest("cloud", model, question.kind, question.asked, question.identity)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _row(
    question: LabelledQuestion, result: LocalResult, source: str, score: Scorer, seconds: float, samples: int
) -> Row:
    return Row(
        key=key_of(question, source),
        task=question.task,
        group=question.subject or question.task,
        form=answer_form(
            len(result.logprobs),
            has_schema=question.schema is not None,
            has_choices=question.choices != [],
        ),
        kinds=[round(share, 4) for share in kinds_of(question)],
        signals=signals_of(result),
        running=[running_mean(result.logprobs, tokens) for tokens in CHECKPOINTS],
        finish_reason=result.finish_reason,
        tokens_in=result.tokens_in,
        tokens_out=result.tokens_out,
        doubted=result.doubt is not None or is_refusal(result.text),
        local_right=score(question, result.text),
        cloud_right=None,
        seconds=round(seconds, 3),
        samples=samples,
    )


def kinds_of(question: LabelledQuestion) -> list[float]:
    """The prompt's share in each kind of work."""
    asked = Question(question.asked, question.context)
    return prompt_kinds().shares(asked, has_schema=question.schema is not None, choices=len(question.choices))


def _ends_a_line(lines: BinaryIO) -> bool:
    lines.seek(-1, os.SEEK_END)
    return lines.read(1) == b"\n"


def _read(file: Path) -> Iterator[Row | CloudRow]:
    """The rows in `file`, without incomplete lines. Raises Failure (USAGE) if it is not a file of rows."""
    if not file.is_file():
        raise Failure(ExitStatus.USAGE, f"--rows {file} is not a regular file")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Failure(ExitStatus.USAGE, f"cannot read --rows {file}: {error.strerror}") from error
    for number, line in enumerate(content.splitlines(), start=1):
        kind = next((kind for start, kind in _KINDS.items() if line.startswith(start)), None)
        if kind is None:
            raise Failure(ExitStatus.USAGE, f"{file}:{number}: this line is not a row of `hybrid eval`")
        try:
            yield msgspec.json.decode(line, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue


def column(rows: Sequence[Row], name: str) -> Numbers:
    """A signal of every row; a missing value becomes the least confident one in the column."""
    values = np.array([np.nan if (v := row.signals[name]) is None else v for row in rows])
    worst = np.nanmin(values) if np.isfinite(values).any() else 0.0
    return np.where(np.isnan(values), worst, values)


def right(rows: Sequence[Row]) -> Numbers:
    """The local model's outcomes: 1 for a right answer, else 0."""
    return np.array([row.local_right for row in rows], dtype=float)


def cloud_right(rows: Sequence[Row]) -> Numbers:
    """The cloud's outcomes. Raises Failure (USAGE) if a row has none."""
    if any(row.cloud_right is None for row in rows):
        raise Failure(ExitStatus.USAGE, "some questions lack cloud_correct; use --cloud live or --cloud none")
    return np.array([row.cloud_right for row in rows], dtype=float)
