"""What the user sees of a pipe beside its answers: counts while it goes on, a summary at its end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from hybrid_cli.cascade.answer import Answer
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ledger.database import usd
from hybrid_cli.ui.environment import Environment

_DRAW_SECONDS = 0.2
_RATE_SAMPLES = 50


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


@dataclass
class Progress:
    """The status line on a terminal, drawn a few times a second; elsewhere nothing."""

    environment: Environment
    counts: Counts
    spent: Callable[[], float]
    """USD so far."""
    _samples: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_RATE_SAMPLES))

    def __post_init__(self) -> None:
        # Where the answers come on the same terminal, they are what shows how it goes.
        self._is_shown = self.environment.can_animate() and not self.environment.stdout_is_terminal()
        self._samples.append((self.environment.clock(), 0))

    def show(self) -> None:
        """Draw, if it is time to."""
        now = self.environment.clock()
        if not self._is_shown or now - self._samples[-1][0] < _DRAW_SECONDS:
            return
        counts = self.counts
        self._samples.append((now, counts.records))
        (start, before), records = self._samples[0], counts.records
        share = 100 * counts.escalated / max(records, 1)
        self.environment.draw(
            f"hybrid: {records} records, {(records - before) / (now - start):.1f}/s, {share:.0f} % handed off,"
            f" {counts.failed} failed, {usd(self.spent())}"
        )

    def end(self) -> None:
        """Take the line away."""
        if self._is_shown:
            self.environment.draw("")
