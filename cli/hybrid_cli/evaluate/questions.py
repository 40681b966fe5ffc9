"""Labelled questions, one JSON object a line, and how answers are scored by the kind of label."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from hybrid_cli.checks.json_schema import checked_schema
from hybrid_cli.checks.verify import verify
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.patterns import compiled

if TYPE_CHECKING:
    from hybrid_cli.evaluate.exam import ExamQuestion

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")
_LETTER = re.compile(r"(?<![A-Za-z0-9'])([A-E])(?![A-Za-z0-9'])")

INSTRUCTIONS: dict[str, str] = {
    "number": "Think step by step briefly and finish with a line '#### <number>'.",
    "letter": "Reply with the letter only.",
}
"""Text appended to a question of a kind, so that the answer can be parsed."""


Kind = Literal["number", "letter", "text", "regex", "schema", "verify", "exam"]
_LABELS: dict[str, tuple[type, str]] = {
    "schema": (dict, "a JSON Schema"),
    "exam": (dict, "an exam question's check"),
    "verify": (list, "a list with a command and its arguments"),
}
"""Type and description of a kind's label, if it is not text."""


class LabelledQuestion(msgspec.Struct, frozen=True):
    """One labelled question. `cloud_correct` and `cloud_answer` are a cloud's recorded outcome, if known."""

    prompt: str
    answer: str | dict[str, Any] | list[str]
    """The label, which no model sees."""
    kind: Kind
    task: str = "all"
    subject: str | None = None
    """The topic within a task. `hybrid eval --unseen subjects` leaves out whole subjects."""
    cloud_correct: bool | None = None
    cloud_answer: str | None = None
    context: str = ""
    """Text that the prompt is about, as if piped."""
    schema: dict[str, Any] | None = None
    """The JSON Schema that the answer must fit."""
    choices: list[str] = []
    """The allowed answers; any text if empty."""

    def __post_init__(self) -> None:
        type_, description = _LABELS.get(self.kind, (str, "text"))
        if not isinstance(self.answer, type_) or not self.answer:
            raise ValueError(f"`answer` must be {description} for the kind {self.kind}")
        if self.kind == "number" and not _NUMBER.search(self.label):
            raise ValueError("`answer` must contain a number for the kind number")
        if self.kind == "letter" and not re.fullmatch(r"\s*[A-Ea-e]\s*", self.label):
            raise ValueError("`answer` must be a letter from A to E for the kind letter")

    @property
    def asked(self) -> str:
        """The prompt as a model gets it."""
        return f"{self.prompt}\n{INSTRUCTIONS[self.kind]}" if self.kind in INSTRUCTIONS else self.prompt

    @property
    def label(self) -> str:
        """The label as text; it distinguishes questions with the same prompt."""
        return self.answer if isinstance(self.answer, str) else json.dumps(self.answer, sort_keys=True)

    @property
    def identity(self) -> str:
        """The label, and for a question with context, schema or choices these as well: the key of its row."""
        form = [self.context, self.schema, self.choices]
        return f"{self.label}\n{json.dumps(form)}" if any(form) else self.label


def exam_questions(count: int, seed: int) -> list[LabelledQuestion]:
    """The built-in exam: `count` generated questions; another seed gives other questions."""
    from hybrid_cli.evaluate.exam import questions

    return [from_exam(one) for one in questions(count, seed)]


def from_exam(one: ExamQuestion) -> LabelledQuestion:
    """The exam's question with its check as the label."""
    return LabelledQuestion(
        prompt=one.prompt,
        answer=dict(one.check),
        kind="exam",
        task=one.kind,
        subject=one.kind,
        context=one.context,
        schema=None if one.schema is None else json.loads(one.schema),
        choices=list(one.choices),
    )


def read_questions(path: Path) -> Iterator[LabelledQuestion]:
    """The questions in the file at `path`. Raises Failure (USAGE) with the number of an invalid line."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _question(line, f"{path}:{number}")
    except OSError as error:
        raise Failure(ExitStatus.USAGE, f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise Failure(ExitStatus.USAGE, f"{path} is not UTF-8") from None


def _question(line: str, place: str) -> LabelledQuestion:
    try:
        question = msgspec.convert(json.loads(line), LabelledQuestion)
        f"{question.prompt}{question.label}".encode()
    except json.JSONDecodeError:
        raise Failure(ExitStatus.USAGE, f"{place}: this line is not JSON") from None
    except msgspec.ValidationError as error:
        raise Failure(ExitStatus.USAGE, f"{place}: {error}") from None
    except (
        ValueError,
        RecursionError,
    ):  # half a surrogate pair, a number of thousands of digits, too many brackets
        raise Failure(
            ExitStatus.USAGE, f"{place}: this line is JSON beyond the limits of Python's parser"
        ) from None
    if question.kind == "exam":
        raise Failure(ExitStatus.USAGE, f"{place}: the kind exam is reserved for the built-in exam")
    if question.kind == "schema":
        checked_schema(question.answer, place)
    if question.schema is not None:
        checked_schema(question.schema, place)
    if question.kind == "regex":
        _pattern(question.label, place)
    return question


def is_right(question: LabelledQuestion, answer: str, variables: Mapping[str, str]) -> bool:
    """Whether `answer` matches the question's label. `variables` is the environment of a verify command."""
    if question.kind == "schema":
        return checked_schema(question.answer, "the label").problem(answer) is None
    if question.kind == "verify":
        return verify(list(question.answer), answer, variables) is None
    if question.kind == "exam":
        return _passes_exam(question, answer)
    return _SCORERS[question.kind](answer, question.label)


def _passes_exam(question: LabelledQuestion, answer: str) -> bool:
    from hybrid_cli.evaluate.exam import ExamQuestion, is_right

    check = question.answer if isinstance(question.answer, dict) else {}
    schema = None if question.schema is None else json.dumps(question.schema)
    asked = ExamQuestion(
        id="",
        kind=question.task,
        form="",
        prompt=question.prompt,
        check=check,
        example="",
        context=question.context,
        schema=schema,
        choices=tuple(question.choices),
    )
    return is_right(asked, answer)


def _number(answer: str, gold: str) -> bool:
    """Whether the last number (after `####` if present) equals `gold` within 1e-4; commas are ignored."""
    found = _NUMBER.findall(answer.rsplit("####", 1)[-1]) or _NUMBER.findall(answer)
    wanted = _NUMBER.findall(gold)
    if not found or not wanted:
        return False
    return abs(float(found[-1].replace(",", "")) - float(wanted[-1].replace(",", ""))) <= 1e-4


def _letter(answer: str, gold: str) -> bool:
    """Whether the first single letter from A to E is `gold`."""
    found = _LETTER.search(answer)
    return found is not None and found[1] == gold.strip().upper()


def _text(answer: str, gold: str) -> bool:
    """Whether the first line contains `gold`, in upper or lower case."""
    first = next((line for line in answer.splitlines() if line.strip()), "")
    return gold.strip().casefold() in first.casefold()


def _regex(answer: str, gold: str) -> bool:
    """Whether the pattern `gold` (RE2) matches anywhere in the answer."""
    return _pattern(gold, "the label").search(answer) is not None


def _pattern(text: str, place: str) -> Any:
    try:
        return compiled(text)
    except ValueError:
        raise Failure(ExitStatus.USAGE, f"{place}: `{text}` is not a valid RE2 pattern") from None


_SCORERS: dict[str, Callable[[str, str], bool]] = {
    "number": _number,
    "letter": _letter,
    "text": _text,
    "regex": _regex,
}
