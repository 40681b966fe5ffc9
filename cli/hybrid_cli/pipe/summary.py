"""What the user sees of a pipe beside its answers: counts while it goes on, a summary at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hybrid_cli.cascade.answer import Answer
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ledger.database import usd
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.progress import Progress, Rate


@dataclass
class Counts:
    """What became of the records."""

    kept: int = 0
    escalated: int = 0
    denied: int = 0
    failed: int = 0
    passed_over: int = 0
    """Answered by an earlier run."""
    unpriced: int = 0
    worst: ExitStatus = ExitStatus.ANSWERED

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
        """One line. `spent` is in USD, with what failed and what is not settled."""
        unpriced = f" and {self.unpriced} of unknown price" if self.unpriced else ""
        again = f", {self.passed_over} done before" if self.passed_over else ""
        return (
            f"{self.records} records: {self.kept} kept, {self.escalated} handed off, {self.denied} denied,"
            f" {self.failed} failed{again}, {usd(spent)}{unpriced}, {self.records / max(seconds, 1e-9):.1f} records/s"
        )


class PipeProgress:
    """The status line on a terminal, unless answers appear there; nothing elsewhere."""

    def __init__(self, environment: Environment, counts: Counts, spent: Callable[[], float]) -> None:
        """`spent` returns the USD spent so far."""
        self._counts = counts
        self._spent = spent
        self._rate = Rate(environment.clock)
        # Answers on the same terminal show the progress themselves.
        is_shown = environment.can_animate() and not environment.stdout_is_terminal()
        self._progress = Progress(environment, self._describe) if is_shown else None

    def show(self) -> None:
        """Draw the line if it is time to; may be called often."""
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
