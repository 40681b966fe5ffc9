"""The question type of the built-in exam, and its JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

Check = Mapping[str, Any]
"""The conditions of a right answer, by name; all must hold. `judge.is_right` defines each name."""

FORMS = ("bare", "context", "word", "letter", "choices", "schema")
"""The ways in which users ask: a plain prompt; a prompt about piped text; a prompt that limits the answer to
a word or number; lettered options within the prompt; `--choices`; `--schema`."""


@dataclass(frozen=True)
class ExamQuestion:
    """One exam question."""

    id: str
    kind: str
    """The skill, for example `arithmetic`."""
    form: str
    """One of FORMS."""
    prompt: str
    check: Check
    example: str
    """A right answer in the requested form. Models never see it."""
    context: str = ""
    """The piped text; "" for none."""
    schema: str | None = None
    """The JSON Schema of the answer, as JSON text."""
    choices: tuple[str, ...] = field(default=())
    """The texts that `--choices` allows; empty for a free answer."""


def to_json(question: ExamQuestion) -> dict[str, Any]:
    """Return the question as JSON values."""
    return asdict(question)


def from_json(values: Mapping[str, Any]) -> ExamQuestion:
    """Return the question that `to_json` wrote."""
    return ExamQuestion(**{**values, "choices": tuple(values["choices"])})
