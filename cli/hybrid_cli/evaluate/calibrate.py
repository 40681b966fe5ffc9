"""`hybrid calibrate`: fit a score on answered questions, and find the threshold that keeps a target."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_cli.evaluate import early_exit, fit, rows, thresholds
from hybrid_cli.evaluate.collect import EvalInput, Evaluation
from hybrid_cli.evaluate.metrics import Numbers
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.evaluate.shadow_rows import traffic_rows
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.calibration import Calibration, Objective, store
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.policy import Flags, Policy, merge_policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Store

TARGETS = ("escalate_at_most", "wrong_at_most", "quality_at_least")
MIN_ROWS = 100
_DELTA = (0.001, 0.5)


@dataclass(frozen=True)
class CalibrationTarget:
    """A promise to keep: a profile's `escalation.target`."""

    name: str
    value: float
    delta: float
    """Probability that `wrong_at_most` does not hold, because the rows are a random sample."""


def parse_target(text: str, delta: float) -> CalibrationTarget:
    """The target written as NAME=VALUE. Raises Failure (USAGE) if `text` or `delta` is invalid."""
    name, _, value = text.partition("=")
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if name not in TARGETS or not 0 <= share <= 1:
        known = ", ".join(f"{target}=0.1" for target in TARGETS)
        raise Failure(ExitStatus.USAGE, f"invalid target `{text}`; write, for example, {known}")
    if not _DELTA[0] <= delta <= _DELTA[1]:
        raise Failure(ExitStatus.USAGE, f"--delta must be between {_DELTA[0]:g} and {_DELTA[1]:g}")
    return CalibrationTarget(name, share, delta)


def calibrate(
    data: EvalInput | None,
    target: CalibrationTarget,
    flags: Flags,
    environment: Environment,
    worker: Worker | None,
    *,
    agreed: bool,
) -> dict[str, Any]:
    """Fit and store a calibration; returns the report of `hybrid calibrate --json`.

    The rows come from `data`, or from the ledger's traffic if it is None. Raises Failure (FAILURE) if no
    threshold keeps the target; the message says which target the rows support.
    """
    if data is not None and data.cloud == "none" and target.name == "quality_at_least":
        raise Failure(ExitStatus.USAGE, "quality_at_least needs the cloud's outcomes; omit --cloud none")
    if data is None:
        policy = merge_policy(flags, environment)
        checksum = Store(environment).locate(policy.local.model).sha256
        measured = traffic_rows(policy, checksum, environment, least=MIN_ROWS)
    else:
        work = Evaluation.prepare(data, flags, environment)
        work.begin(agreed=agreed)
        measured = work.measure(worker)
        policy, checksum = work.policy, work.weights.sha256
    if len(measured) < MIN_ROWS:
        raise Failure(
            ExitStatus.USAGE,
            f"{len(measured)} questions are too few; calibration needs at least {MIN_ROWS}",
        )
    fitted, held = (
        measured[::2],
        measured[1::2],
    )  # the threshold is chosen on rows that the score was not fitted on
    objective = _objective(target, measured)
    choice = fit.choose(fitted, objective)
    score = fit.scores(choice.model, held)
    bound = _bound(target, measured)
    environment.note(bound)
    keep_to = _threshold(target, score, held)
    if keep_to is None:
        raise Failure(
            ExitStatus.FAILURE,
            f"cannot promise {target.name}={target.value:g} for {policy.local.model} from"
            f" {len(held)} held-out questions; {bound}; {_at_best(target, score, held)}",
        )
    kept = score <= keep_to
    calibration = Calibration(
        weights=checksum,
        target=target.name,
        value=target.value,
        keep_to=keep_to,
        model=choice.model,
        objective=objective,
        cloud=_cloud(target, policy),
        rows=len(held),
        delta=target.delta if target.name == "wrong_at_most" else None,
        early=early_exit.floors(kept.tolist(), held),
        handed_off=round(float(1 - kept.mean()), 4),
    )
    path = store(calibration, environment)
    right = rows.right(held)
    return {
        "file": str(path),
        "target": target.name,
        "value": target.value,
        "delta": calibration.delta,
        "rows": len(measured),
        "held_out": len(held),
        "objective": objective,
        "cloud": calibration.cloud,
        "signals": choice.model.signals,
        "why": choice.why,
        "bound": bound,
        "handed_off": round(float(1 - kept.mean()), 4),
        "wrong_of_kept": round(float(1 - right[kept].mean()), 4) if kept.any() else None,
        "decided_early": early_exit.shares(
            [early_exit.given_up_at(row, calibration.early) for row in held], kept.tolist(), held
        ),
    }


def _objective(target: CalibrationTarget, measured: list[Row]) -> Objective:
    """`helps` if the cloud's outcomes are known and the target may use them, else `wrong`."""
    if target.name == "wrong_at_most" or any(row.cloud_right is None for row in measured):
        return "wrong"
    return "helps"


def _threshold(target: CalibrationTarget, score: Numbers, held: list[Row]) -> float | None:
    """The highest score at which an answer is kept; None if no threshold keeps the target."""
    if target.name == "escalate_at_most":
        keep_to = thresholds.escalate_at_most(score, target.value)
        if np.isfinite(keep_to):
            return keep_to
        return 1.0 if np.isfinite(score).all() else None  # infinity would also keep answers without a score
    wrong = 1 - rows.right(held)
    if target.name == "wrong_at_most":
        return thresholds.wrong_at_most(score, wrong, target.value, target.delta)
    cloud = rows.cloud_right(held)
    loss = np.maximum(0.0, cloud - rows.right(held))
    return thresholds.lost_at_most(score, loss, (1 - target.value) * float(cloud.mean()))


def _at_best(target: CalibrationTarget, score: Numbers, held: list[Row]) -> str:
    """A clause about the strictest target that these rows support."""
    if target.name == "escalate_at_most":
        best = 1 - np.isfinite(score).sum() / (len(score) + 1)
    elif target.name == "wrong_at_most":
        best = thresholds.least_wrong(score, 1 - rows.right(held), target.delta)
    else:
        cloud = rows.cloud_right(held)
        loss = np.maximum(0.0, cloud - rows.right(held))
        best = 1 - thresholds.least_lost(score, loss) / float(cloud.mean()) if cloud.any() else 0.0
    # Round to the side on which the target still holds.
    best = math.floor(best * 100) / 100 if target.name == "quality_at_least" else math.ceil(best * 100) / 100
    if not 0 < best < 1:
        return "more questions or a better model are needed"
    return f"the data supports {target.name}={best:g}; more questions may allow a stricter target"


def _bound(target: CalibrationTarget, measured: list[Row]) -> str:
    """A clause about the limit that no gate can beat."""
    wrong = float(1 - rows.right(measured).mean())
    if target.name == "wrong_at_most":
        least = thresholds.least_handed_off(wrong, target.value)
        return f"{wrong:.0%} of the local answers are wrong, so any gate must hand off at least {least:.0%}"
    if target.name == "quality_at_least":
        cloud = rows.cloud_right(measured)
        lost = float(np.maximum(0.0, cloud - rows.right(measured)).mean())
        return f"for {lost:.0%} of the questions only the cloud is right"
    unfinished = sum(row.finish_reason != "stop" for row in measured) / len(measured)
    return (
        f"{unfinished:.0%} of the local answers are truncated or repeat themselves, and {wrong:.0%} are wrong"
    )


def _cloud(target: CalibrationTarget, policy: Policy) -> str | None:
    """The cloud model that the calibration is tied to; None unless the target uses its outcomes."""
    if target.name != "quality_at_least" or policy.cloud is None:
        return None
    return policy.cloud.model
