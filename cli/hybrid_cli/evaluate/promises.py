"""The promises that answered questions support: for each target and value the threshold that keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_cli.evaluate import early_exit, rows, thresholds
from hybrid_cli.evaluate.fit_local import left_out_by
from hybrid_cli.evaluate.metrics import Numbers
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.gate.calibration import Promise, TargetName

TARGETS: tuple[TargetName, ...] = ("escalate_at_most", "wrong_at_most", "quality_at_least")
VALUES: dict[TargetName, tuple[float, ...]] = {
    "wrong_at_most": (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5),
    "escalate_at_most": (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "quality_at_least": (0.8, 0.85, 0.9, 0.95, 0.98, 0.99),
}
"""What each calibration promises beside the value that was asked for."""


@dataclass(frozen=True)
class Outcomes:
    """Answered questions, each with scores by fits that did not see it."""

    measured: Sequence[Row]
    wrong_score: Numbers
    """The probability that the local answer is wrong; infinity for an answer that is never kept."""
    gain_score: Numbers | None
    """The expected gain of a handoff; None without the cloud's outcomes."""
    delta: float | None

    @property
    def wrong(self) -> Numbers:
        return 1 - rows.right(self.measured)

    def score(self, target: TargetName) -> Numbers:
        """Return the scores that the target's threshold applies to."""
        if target == "wrong_at_most" or self.gain_score is None:
            return self.wrong_score
        return self.gain_score

    def promises(self, target: TargetName, value: float | None = None) -> list[Promise]:
        """Return the promises of one target, in the order of their values; `value` is one of them."""
        if target == "quality_at_least" and self.gain_score is None:
            return []
        values = {*VALUES[target], *([] if value is None else [value])}
        return [self.promise(target, each) for each in sorted(values)]

    def promise(self, target: TargetName, value: float) -> Promise:
        """Return the promise for one value."""
        score = self.score(target)
        keep_to = self._threshold(target, value, score)
        if keep_to is None:
            return Promise(target, value, None)
        kept = score <= keep_to
        return Promise(
            target,
            value,
            keep_to,
            handed_off=round(float(1 - kept.mean()), 4),
            wrong=round(float(self.wrong[kept].mean()), 4) if kept.any() else None,
            early=early_exit.floors(kept.tolist(), list(self.measured)),
        )

    def _threshold(self, target: TargetName, value: float, score: Numbers) -> float | None:
        if target == "escalate_at_most":
            # Answers without a score are always handed off, even if they are more than the share.
            return min(thresholds.escalate_at_most(score, value), 1.0)
        if target == "wrong_at_most":
            if self.delta is None:
                by = left_out_by(self.measured)
                groups = None if by == "key" else [getattr(row, by) for row in self.measured]
                return thresholds.wrong_on_average(score, self.wrong, value, groups)
            return thresholds.wrong_at_most(score, self.wrong, value, self.delta)
        cloud = rows.cloud_right(self.measured)
        loss = np.maximum(0.0, cloud - rows.right(self.measured))
        return thresholds.lost_at_most(score, loss, (1 - value) * float(cloud.mean()))

    def best(self, target: TargetName) -> Promise | None:
        """Return the strictest promise of the target that the questions support, to a hundredth; None if none."""
        steps = range(1, 100) if target != "quality_at_least" else range(99, 0, -1)
        found = (self.promise(target, step / 100) for step in steps)
        return next((one for one in found if one.keep_to is not None), None)
