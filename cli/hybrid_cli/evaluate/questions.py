"""Labelled questions: one JSON object a line, and how an answer is scored by the kind of its label."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from hybrid_cli.exit_status import ExitStatus, Failure

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")
_LETTER = re.compile(r"(?<![A-Za-z0-9'])([A-E])(?![A-Za-z0-9'])")

ASKED: dict[str, str] = {
    "number": "Think step by step briefly and finish with a line '#### <number>'.",
    "letter": "Reply with the letter only.",
}
"""What is added to a question of a kind, so that its answer can be read."""


class Question(msgspec.Struct, frozen=True):
    """`cloud_correct` and `cloud_answer` are a cloud's recorded side, where there is one."""

    prompt: str
    answer: str
    kind: Literal["number", "letter", "text", "regex"]
    task: str = "all"
    subject: str | None = None
    """What it is about, where a task has many subjects: these are what is left out to try a score."""
    cloud_correct: bool | None = None
    cloud_answer: str | None = None

    @property
    def asked(self) -> str:
        """The prompt as it is put to a model."""
        return f"{self.prompt}\n{ASKED[self.kind]}" if self.kind in ASKED else self.prompt


def read_questions(path: Path) -> Iterator[Question]:
    """The questions of the file at `path`. Raises Failure (USAGE) with the line that is none."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _question(line, f"{path}:{number}")
    except OSError as error:
        raise Failure(ExitStatus.USAGE, f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise Failure(ExitStatus.USAGE, f"{path} is not UTF-8") from None


def _question(line: str, place: str) -> Question:
    try:
        return msgspec.convert(json.loads(line), Question)
    except json.JSONDecodeError:
        raise Failure(ExitStatus.USAGE, f"{place}: this line is no JSON") from None
    except msgspec.ValidationError as error:
        raise Failure(ExitStatus.USAGE, f"{place}: {error}") from None


def is_right(question: Question, answer: str) -> bool:
    """Whether `answer` is what the question's label says."""
    return _SCORERS[question.kind](answer, question.answer)


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
    import re2

    try:
        pattern: Any = re2.compile(gold)
    except re2.error:
        raise Failure(ExitStatus.USAGE, f"`{gold}` is no pattern of RE2's syntax") from None
    return pattern.search(answer) is not None


_SCORERS: dict[str, Callable[[str, str], bool]] = {
    "number": _number,
    "letter": _letter,
    "text": _text,
    "regex": _regex,
}
