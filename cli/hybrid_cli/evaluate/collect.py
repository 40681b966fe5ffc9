"""One evaluation, from a file of questions to answered rows; what `eval` and `calibrate` share."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from hybrid_cli.cascade.session import guard
from hybrid_cli.evaluate import cloud_answers
from hybrid_cli.evaluate.eval_estimate import Estimate, estimate
from hybrid_cli.evaluate.local_answers import LocalAnswers
from hybrid_cli.evaluate.questions import Question, is_right, read_questions
from hybrid_cli.evaluate.rows import Kept, Row, answered, key_of
from hybrid_cli.evaluate.settings import CloudSide, QuestionSplit
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.policy import Flags, Policy, merge_policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.progress import ProgressBar
from hybrid_cli.weights.store import Store, Weights


@dataclass(frozen=True)
class Data:
    """Which questions, where their rows are kept (None: nowhere), and whose side is measured."""

    file: Path
    split: QuestionSplit
    limit: int | None
    rows: Path | None
    cloud: CloudSide = "recorded"
    """The cloud's outcomes: as the data has them, of the profile's cloud itself, or none."""
    runs_commands: bool = False
    """Whether commands that the data names may run."""

    def questions(self) -> list[Question]:
        """Raises Failure (USAGE) where there is none, or where one names a command that may not run."""
        chosen = (
            question for question in read_questions(self.file) if self.split in ("all", split_of(question))
        )
        found = list(islice(chosen, self.limit))
        if not found:
            raise Failure(ExitStatus.USAGE, f"{self.file} holds no question of the split `{self.split}`")
        commands = {question.answer[0] for question in found if isinstance(question.answer, list)}
        if commands and not self.runs_commands:
            raise Failure(
                ExitStatus.USAGE,
                f"{self.file} would run {', '.join(sorted(commands))}; read its commands, then pass --run-commands",
            )
        return found


def _each_once(questions: list[Question], environment: Environment) -> list[Question]:
    """A question that comes again is no new evidence, and would stand on both sides of a fit."""
    once = list(
        {(question.kind, question.asked, question.label): question for question in questions}.values()
    )
    if len(once) < len(questions):
        environment.note(f"{len(questions) - len(once)} questions have come before; each counts once")
    return once


def split_of(question: Question) -> QuestionSplit:
    """Half of all questions, told by the prompt alone: one that comes twice stays on one side."""
    digest = hashlib.sha256(question.prompt.encode()).digest()
    return "fit" if digest[0] % 2 == 0 else "test"


@dataclass(frozen=True)
class Work:
    """Questions for one model, and what is known of them already."""

    data: Data
    questions: list[Question]
    policy: Policy
    weights: Weights
    kept: Kept
    environment: Environment

    @classmethod
    def prepare(cls, data: Data, flags: Flags, environment: Environment) -> Work:
        """Everything that can fail before the model is loaded. Raises Failure."""
        policy = merge_policy(flags, environment)
        guard(policy, environment)
        questions = _each_once(data.questions(), environment)
        weights = Store(environment).locate(policy.local.model)
        return cls(data, questions, policy, weights, Kept.read(data.rows), environment)

    def estimate(self) -> Estimate:
        """What is left to do, and what it will take."""
        unsent = cloud_answers.missing(self.questions, self.policy, self.kept) if self._is_live else []
        return estimate(self.questions, unsent, self.policy, self.source, self.kept, self.environment)

    def begin(self, *, agreed: bool) -> None:
        """Tell the estimate, and have a yes where something would be sent. Raises Failure (DENIED, USAGE)."""
        plan = self.estimate()
        for line in plan.lines(self.policy.local.model):
            self.environment.note(line)
        if self._is_live:
            cloud_answers.agree(self.questions, self.policy, plan, self.environment, agreed=agreed)
            if self.kept.file is None:
                self.environment.note("what a stop interrupts is paid again; --rows FILE keeps it")

    def measure(self, worker: Worker | None) -> list[Row]:
        """A row for each question, in their order; `cloud_right` is None where nothing is known.

        Where the cloud is really asked, what may not be sent has no row.
        """
        self._ask_local(worker)
        if self._is_live:
            cloud_answers.ask(self.questions, self.policy, self.kept, self.environment)
        rows = [self._row(question) for question in self.questions]
        if self._is_live:
            rows = [row for row in rows if row.cloud_right is not None]
        if not rows:
            raise Failure(ExitStatus.DENIED, "no question may leave (a rule, or the privacy scan)")
        return rows

    def _row(self, question: Question) -> Row:
        row = self.kept.rows[key_of(question, self.source)]
        return msgspec.structs.replace(row, cloud_right=self._cloud_right(question))

    @property
    def source(self) -> str:
        """What the local answers come of: the weights, and how they are sampled and cut."""
        return f"{self.weights.sha256} {msgspec.json.encode(self.policy.local.sampling).decode()}"

    @property
    def _is_live(self) -> bool:
        return self.data.cloud == "live"

    def _ask_local(self, worker: Worker | None) -> None:
        engine = worker or Worker.fork()
        name, left = self.policy.local.model, self.estimate().to_answer
        try:
            answers = LocalAnswers(engine, self.policy, self.weights, self.environment).answers
            rows = answered(self.questions, answers, self._is_right, self.source, self.kept)
            with ProgressBar(self.environment, f"answered by {name}", left) as progress:
                for _ in rows:
                    progress.step()
        finally:
            engine.stop()

    def _is_right(self, question: Question, answer: str) -> bool:
        return is_right(question, answer, self.environment.variables)

    def _cloud_right(self, question: Question) -> bool | None:
        if self.data.cloud == "none":
            return None
        if self._is_live:
            return cloud_answers.outcome(question, self.policy, self.kept)
        if question.cloud_correct is None and question.cloud_answer is not None:
            return self._is_right(question, question.cloud_answer)
        return question.cloud_correct

    def figures(self) -> dict[str, Any]:
        """What the cloud's side took."""
        if not self._is_live:
            return {}
        return {"cloud": cloud_answers.figures(self.questions, self.policy, self.kept)}


def show_estimate(data: Data, flags: Flags, environment: Environment, *, as_json: bool) -> None:
    """What `data` would take, on stderr, or as one object on stdout. Nothing is loaded or sent."""
    work = Work.prepare(data, flags, environment)
    plan = work.estimate()
    if as_json:
        environment.write_stdout(json.dumps(plan.as_json()).encode() + b"\n")
        return
    for line in plan.lines(work.policy.local.model):
        environment.error(line)
