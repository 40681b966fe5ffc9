"""One evaluation, from a file of questions to answered rows; what `eval` and `calibrate` share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from hybrid_cli.environment import Environment
from hybrid_cli.evaluate.answers import GROUP, LocalModel
from hybrid_cli.evaluate.questions import Question, read_questions
from hybrid_cli.evaluate.rows import Row, answered
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.policy import Policy
from hybrid_cli.weights.store import Store

Split = Literal["all", "fit", "test"]
_TELL_SECONDS = 10.0


@dataclass(frozen=True)
class Data:
    """Which questions, and where their rows are kept (None: nowhere)."""

    file: Path
    split: Split
    limit: int | None
    rows: Path | None

    def questions(self) -> list[Question]:
        """Raises Failure (USAGE) where there is none."""
        chosen = (
            question for question in read_questions(self.file) if self.split in ("all", split_of(question))
        )
        found = list(islice(chosen, self.limit))
        if not found:
            raise Failure(ExitStatus.USAGE, f"{self.file} holds no question of the split `{self.split}`")
        return found


def split_of(question: Question) -> Split:
    """Half of all questions, told by the prompt alone: one that comes twice stays on one side."""
    digest = hashlib.sha256(question.prompt.encode()).digest()
    return "fit" if digest[0] % 2 == 0 else "test"


def measure(data: Data, policy: Policy, worker: Worker, environment: Environment) -> tuple[list[Row], str]:
    """The rows of the chosen questions, and the sha256 of the weights that answered."""
    questions = data.questions()
    weights = Store(environment).locate(policy.local.model)
    model = LocalModel(worker, policy, weights, environment)
    return _collect(questions, model, data.rows, environment), weights.sha256


def _collect(
    questions: Sequence[Question],
    model: LocalModel,
    file: Path | None,
    environment: Environment,
) -> list[Row]:
    """Answer what is not answered yet, telling now and then how far it is and how long it will take."""
    environment.note(f"{len(questions)} questions for {model.policy.local.model}")
    rows: list[Row] = []
    begun = told = environment.clock()
    for row in answered(questions, model.answers, model.weights.sha256, file):
        rows.append(row)
        now = environment.clock()
        if len(rows) % GROUP == 0 and now - told >= _TELL_SECONDS:  # they come by the group
            told = now
            left = (now - begun) / len(rows) * (len(questions) - len(rows))
            environment.note(f"{len(rows)} of {len(questions)} answered, about {left:.0f} s left")
    return rows
