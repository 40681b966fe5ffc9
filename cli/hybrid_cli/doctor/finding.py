"""What a look at one subject has found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hybrid_cli.exit_status import Failure

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    subject: str
    state: State
    says: str


def told(subject: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """`findings`, up to one that cannot be made: that is a finding, too."""
    try:
        yield from findings
    except Failure as failure:
        yield Finding(subject, "fail", str(failure))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        yield Finding(subject, "fail", f"{where}{error.strerror or error}")
