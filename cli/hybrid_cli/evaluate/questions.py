"""Labelled questions: one JSON object a line, and how an answer is scored by the kind of its label."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from hybrid_cli.checks.json_schema import checked_schema
from hybrid_cli.checks.verify import verify
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.patterns import compiled

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")
_LETTER = re.compile(r"(?<![A-Za-z0-9'])([A-E])(?![A-Za-z0-9'])")

ASKED: dict[str, str] = {
    "number": "Think step by step briefly and finish with a line '#### <number>'.",
    "letter": "Reply with the letter only.",
}
"""What is added to a question of a kind, so that its answer can be read."""


Kind = Literal["number", "letter", "text", "regex", "schema", "verify"]
_LABELS: dict[str, tuple[type, str]] = {
    "schema": (dict, "a JSON Schema"),
    "verify": (list, "a list of words, a command and its arguments"),
}
"""What the label of a kind is, where it is no text."""


class Question(msgspec.Struct, frozen=True):
    """`cloud_correct` and `cloud_answer` are a cloud's recorded side, where there is one."""

    prompt: str
    answer: str | dict[str, Any] | list[str]
    """The label. No model is told of it."""
    kind: Kind
    task: str = "all"
    subject: str | None = None
    """What it is about, where a task has many subjects: these are what is left out to try a score."""
    cloud_correct: bool | None = None
    cloud_answer: str | None = None

    def __post_init__(self) -> None:
        type_, words = _LABELS.get(self.kind, (str, "text"))
        if not isinstance(self.answer, type_) or not self.answer:
            raise ValueError(f"`answer` of the kind {self.kind} is {words}")
        if self.kind == "number" and not _NUMBER.search(self.label):
            raise ValueError("`answer` of the kind number holds no number")
        if self.kind == "letter" and not re.fullmatch(r"\s*[A-Ea-e]\s*", self.label):
            raise ValueError("`answer` of the kind letter is a letter from A to E")

    @property
    def asked(self) -> str:
        """The prompt as it is put to a model."""
        return f"{self.prompt}\n{ASKED[self.kind]}" if self.kind in ASKED else self.prompt

    @property
    def label(self) -> str:
        """The label as text: what tells two questions apart that ask the same."""
        return self.answer if isinstance(self.answer, str) else json.dumps(self.answer, sort_keys=True)


def read_questions(path: Path) -> Iterator[Question]:
    """The questions of the file at `path`. Raises Failure (USAGE) with the line that is none."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _question(line, f"{path}:{number}")
    except OSError as error:
        raise Failure(ExitStatus.USAGE, f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise Failure(ExitStatus.USAGE, f"{path} is not UTF-8") from None


def _question(line: str, place: str) -> Question:
    try:
        question = msgspec.convert(json.loads(line), Question)
        f"{question.prompt}{question.label}".encode()
    except json.JSONDecodeError:
        raise Failure(ExitStatus.USAGE, f"{place}: this line is no JSON") from None
    except msgspec.ValidationError as error:
        raise Failure(ExitStatus.USAGE, f"{place}: {error}") from None
    except (
        ValueError,
        RecursionError,
    ):  # half a character, a number of thousands of digits, brackets without end
        raise Failure(ExitStatus.USAGE, f"{place}: this line is JSON that cannot be read here") from None
    if question.kind == "schema":
        checked_schema(question.answer, place)
    if question.kind == "regex":
        _pattern(question.label, place)
    return question


def is_right(question: Question, answer: str, variables: Mapping[str, str]) -> bool:
    """Whether `answer` is what the question's label says; `variables` are those of a verify command."""
    if question.kind == "schema":
        return checked_schema(question.answer, "the label").problem(answer) is None
    if question.kind == "verify":
        return verify(list(question.answer), answer, variables) is None
    return _SCORERS[question.kind](answer, question.label)


def _number(answer: str, gold: str) -> bool:
    """The last number, after `####` where there is one; commas do not count; equal within 1e-4."""
    found = _NUMBER.findall(answer.rsplit("####", 1)[-1]) or _NUMBER.findall(answer)
    wanted = _NUMBER.findall(gold)
    if not found or not wanted:
        return False
    return abs(float(found[-1].replace(",", "")) - float(wanted[-1].replace(",", ""))) <= 1e-4


def _letter(answer: str, gold: str) -> bool:
    """The first letter A to E that stands alone."""
    found = _LETTER.search(answer)
    return found is not None and found[1] == gold.strip().upper()


def _text(answer: str, gold: str) -> bool:
    """The gold text somewhere in the first line, whatever the case."""
    first = next((line for line in answer.splitlines() if line.strip()), "")
    return gold.strip().casefold() in first.casefold()


def _regex(answer: str, gold: str) -> bool:
    """RE2's syntax, searched in the whole answer."""
    return _pattern(gold, "the label").search(answer) is not None


def _pattern(text: str, place: str) -> Any:
    try:
        return compiled(text)
    except ValueError:
        raise Failure(ExitStatus.USAGE, f"{place}: `{text}` is no pattern of RE2's syntax") from None


_SCORERS: dict[str, Callable[[str, str], bool]] = {
    "number": _number,
    "letter": _letter,
    "text": _text,
    "regex": _regex,
}
