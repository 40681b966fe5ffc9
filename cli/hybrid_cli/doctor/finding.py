"""Findings of `hybrid doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hybrid_cli.exit_status import Failure

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of the report; its fields are those of `doctor --json`."""

    subject: str
    state: State
    says: str


def failed(subject: str, error: Failure | OSError) -> Finding:
    """Return the finding for a check that raised `error`."""
    if isinstance(error, Failure):
        return Finding(subject, "fail", str(error))
    where = f"{error.filename}: " if error.filename else ""
    return Finding(subject, "fail", f"{where}{error.strerror or error}")


def until_failure(subject: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """Yield `findings`; if a check raises, end with its failure as a finding."""
    try:
        yield from findings
    except (Failure, OSError) as error:
        yield failed(subject, error)
