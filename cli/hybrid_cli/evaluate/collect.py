"""From a file of questions to answered rows: the common part of `hybrid eval` and `hybrid calibrate`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from hybrid_cli.cascade.session import guard
from hybrid_cli.evaluate import cloud_answers
from hybrid_cli.evaluate.eval_estimate import EvalEstimate, estimate
from hybrid_cli.evaluate.fit_cloud import CloudOutcome
from hybrid_cli.evaluate.local_answers import LocalAnswers
from hybrid_cli.evaluate.questions import LabelledQuestion, exam_questions, is_right, read_questions
from hybrid_cli.evaluate.rows import Row, SavedRows, answered, key_of
from hybrid_cli.evaluate.settings import CloudOutcomes, QuestionSplit
from hybrid_cli.exit_status import ExitStatus, Failure, Interrupted
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.policy import Flags, Policy, merge_policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.progress import ProgressBar
from hybrid_cli.weights.store import Store, Weights


@dataclass(frozen=True)
class EvalInput:
    """The input of an evaluation. `rows` is the file to save rows to; None saves none."""

    file: Path | None
    """None for the built-in exam."""
    split: QuestionSplit
    limit: int | None
    rows: Path | None
    cloud: CloudOutcomes = "recorded"
    """Where the cloud's outcomes come from: the data, live requests, or nowhere."""
    runs_commands: bool = False
    """Whether commands in the data may run."""
    exam: int = 300
    """Questions of the built-in exam."""
    seed: int = 0
    """Draws the exam's questions."""

    def questions(self) -> tuple[list[LabelledQuestion], list[LabelledQuestion]]:
        """The questions, and those beyond the limit, of which only a recorded outcome of the cloud is used.

        Raises Failure (USAGE) if there are none, or if one's command may not run.
        """
        asked = exam_questions(self.exam, self.seed) if self.file is None else read_questions(self.file)
        chosen = [question for question in asked if self.split in ("all", split_of(question))]
        found, beyond = chosen[: self.limit], chosen[len(chosen[: self.limit]) :]
        if not found:
            raise Failure(ExitStatus.USAGE, f"{self.file} has no question in the split `{self.split}`")
        commands = {question.answer[0] for question in found if isinstance(question.answer, list)}
        if commands and not self.runs_commands:
            raise Failure(
                ExitStatus.USAGE,
                f"{self.file} would run {', '.join(sorted(commands))}; check its commands, then use --run-commands",
            )
        return found, beyond


def _each_once(questions: list[LabelledQuestion], environment: Environment) -> list[LabelledQuestion]:
    """The questions without repetitions, which are no new evidence and could be in both parts of a fit."""
    once = list(
        {(question.kind, question.asked, question.identity): question for question in questions}.values()
    )
    if len(once) < len(questions):
        environment.note(f"ignoring {len(questions) - len(once)} repeated questions")
    return once


def split_of(question: LabelledQuestion) -> QuestionSplit:
    """The half that a question belongs to, by its prompt: a repeated one is always in the same half."""
    digest = hashlib.sha256(question.prompt.encode()).digest()
    return "fit" if digest[0] % 2 == 0 else "test"


@dataclass(frozen=True)
class Evaluation:
    """The questions, the model that answers them, and the outcomes so far."""

    data: EvalInput
    questions: list[LabelledQuestion]
    beyond: list[LabelledQuestion]
    """Questions that are not asked; the cloud's recorded outcomes count."""
    policy: Policy
    weights: Weights
    saved: SavedRows
    environment: Environment

    @classmethod
    def prepare(cls, data: EvalInput, flags: Flags, environment: Environment) -> Evaluation:
        """Read and check everything before the model is loaded. Raises Failure."""
        policy = merge_policy(flags, environment)
        guard(policy, environment)
        asked, beyond = data.questions()
        questions = _each_once(asked, environment)
        weights = Store(environment).locate(policy.local.model)
        saved = SavedRows.read(data.rows, policy.escalation.samples)
        return cls(data, questions, beyond, policy, weights, saved, environment)

    def estimate(self) -> EvalEstimate:
        """The estimate of the remaining work."""
        unsent = cloud_answers.missing(self.questions, self.policy, self.saved) if self._is_live else []
        return estimate(
            self.questions, unsent, self.policy, self.source, self.weights.size, self.saved, self.environment
        )

    def begin(self, *, agreed: bool) -> None:
        """Print the estimate; ask for confirmation if requests will be sent. Raises Failure (DENIED, USAGE)."""
        plan = self.estimate()
        for line in plan.lines(self.policy.local.model):
            self.environment.note(line)
        if self._is_live:
            cloud_answers.agree(self.questions, self.policy, plan, self.environment, agreed=agreed)
            if self.saved.file is None:
                self.environment.note(
                    "an interrupted evaluation pays again; to keep its answers: --rows FILE"
                )

    def measure(self, worker: Worker | None) -> list[Row]:
        """A row for each question, in order; `cloud_right` is None if unknown.

        With live requests, a question that may not be sent has no row. Raises Failure (DENIED) if none has.
        """
        try:
            self._ask_local(worker)
            if self._is_live:
                cloud_answers.ask(self.questions, self.policy, self.saved, self.environment)
        except (KeyboardInterrupt, Interrupted):
            self.environment.note(f"stopped; {self._how_to_continue()}")
            raise
        rows = [self._row(question) for question in self.measured_questions()]
        if not rows:
            raise Failure(ExitStatus.DENIED, "no question was sent (denied by a rule or the privacy scan)")
        return rows

    def _how_to_continue(self) -> str:
        done, total = len(self.questions) - self.estimate().to_answer, len(self.questions)
        if self.saved.file is None:
            return f"{done} of {total} answers are lost; to be able to continue later, use --rows FILE"
        return f"{self.saved.file} keeps {done} of {total} answers; to continue, run the same command again"

    def measured_questions(self) -> list[LabelledQuestion]:
        """The questions that have a row."""
        if not self._is_live:
            return self.questions
        return [question for question in self.questions if self._cloud_right(question) is not None]

    def _row(self, question: LabelledQuestion) -> Row:
        row = self.saved.rows[key_of(question, self.source)]
        return msgspec.structs.replace(row, cloud_right=self._cloud_right(question))

    @property
    def source(self) -> str:
        """Identifies the local model and its sampling, for the rows' keys."""
        sampling = msgspec.json.encode(self.policy.local.sampling).decode()
        return f"{self.weights.sha256} {sampling}"

    @property
    def _is_live(self) -> bool:
        return self.data.cloud == "live"

    def _ask_local(self, worker: Worker | None) -> None:
        engine = worker or Worker.start()
        name, left = self.policy.local.model, self.estimate().to_answer
        try:
            answers = LocalAnswers(engine, self.policy, self.weights, self.environment).answers
            rows = answered(self.questions, answers, self._is_right, self.source, self.saved)
            with ProgressBar(self.environment, f"answered by {name}", left) as progress:
                for _ in rows:
                    progress.step()
        finally:
            engine.stop()

    def _is_right(self, question: LabelledQuestion, answer: str) -> bool:
        return is_right(question, answer, self.environment.variables)

    def _cloud_right(self, question: LabelledQuestion) -> bool | None:
        if self.data.cloud == "none":
            return None
        if self._is_live:
            return cloud_answers.outcome(question, self.policy, self.saved)
        if question.cloud_correct is None and question.cloud_answer is not None:
            return self._is_right(question, question.cloud_answer)
        return question.cloud_correct

    def cloud_outcomes(self) -> list[CloudOutcome]:
        """The cloud's outcomes, also of questions beyond the limit; none without the cloud."""
        if self.data.cloud == "none":
            return []
        questions = {key_of(question, self.source): question for question in [*self.beyond, *self.questions]}
        found = ((key, question, self._cloud_right(question)) for key, question in questions.items())
        return [
            CloudOutcome.of(question, key, right=right) for key, question, right in found if right is not None
        ]

    def figures(self) -> dict[str, Any]:
        """The report's part on live requests; empty without any."""
        if not self._is_live:
            return {}
        return {"cloud": cloud_answers.figures(self.questions, self.policy, self.saved)}


def show_estimate(data: EvalInput, flags: Flags, environment: Environment, *, as_json: bool) -> None:
    """Print the estimate for `data` on stderr, or as JSON on stdout. Nothing is loaded or sent."""
    work = Evaluation.prepare(data, flags, environment)
    plan = work.estimate()
    if as_json:
        environment.print_json(plan.as_json())
        return
    for line in plan.lines(work.policy.local.model):
        environment.error(line)
