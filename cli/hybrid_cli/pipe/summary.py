"""Progress on stderr while `hybrid pipe` runs, and the summary line at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hybrid_cli.cascade.answer import Answer
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ledger.amounts import usd
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.progress import Progress, Rate


@dataclass
class Counts:
    """Counts the outcomes of records."""

    kept: int = 0
    escalated: int = 0
    denied: int = 0
    failed: int = 0
    answered_before: int = 0
    """By an earlier run, which --resume continues."""
    unpriced: int = 0
    """Answers whose cost is unknown."""
    worst: ExitStatus = ExitStatus.ANSWERED
    """The highest exit code of all records."""

    @property
    def records(self) -> int:
        return self.kept + self.escalated + self.denied + self.failed

    def add(self, outcome: Answer | Failure) -> None:
        if isinstance(outcome, Failure):
            self.failed += 1
            self.worst = max(self.worst, outcome.status)
            return
        decision = outcome.handoff.decision
        setattr(self, decision, getattr(self, decision) + 1)
        self.unpriced += outcome.cost_usd is None

    def summary(self, seconds: float, spent: float) -> str:
        """Return one line. `spent` is in USD and includes failed and unsettled requests."""
        unpriced = f" and {self.unpriced} at an unknown price" if self.unpriced else ""
        before = f", {self.answered_before} answered before" if self.answered_before else ""
        return (
            f"{self.records} records: {self.kept} kept, {self.escalated} handed off, {self.denied} denied,"
            f" {self.failed} failed{before}, {usd(spent)}{unpriced}, {self.records / max(seconds, 1e-9):.1f} records/s"
        )


class PipeProgress:
    """Draws a status line on a terminal, unless the answers appear there."""

    def __init__(self, environment: Environment, counts: Counts, spent: Callable[[], float]) -> None:
        """`spent` returns the USD spent so far."""
        self._counts = counts
        self._spent = spent
        self._rate = Rate(environment.clock)
        # Answers on the same terminal show the progress themselves.
        is_shown = environment.can_animate() and not environment.stdout_is_terminal()
        self._progress = Progress(environment, self._describe) if is_shown else None

    def show(self) -> None:
        """Draw the line, if the last drawing is old enough."""
        if self._progress is not None:
            self._rate.add(self._counts.records)
            self._progress.update()

    def end(self) -> None:
        """Clear the line."""
        if self._progress is not None:
            self._progress.end()

    def _describe(self) -> str:
        counts = self._counts
        share = 100 * counts.escalated / max(counts.records, 1)
        return (
            f"{counts.records} records, {self._rate.per_second:.1f}/s, {share:.0f} % handed off,"
            f" {counts.failed} failed, {usd(self._spent())}"
        )
