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


def guarded(subject: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """Yield `findings`; an exception ends them with a finding that fails."""
    try:
        yield from findings
    except Failure as failure:
        yield Finding(subject, "fail", str(failure))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        yield Finding(subject, "fail", f"{where}{error.strerror or error}")
