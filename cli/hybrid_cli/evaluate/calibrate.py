"""`hybrid calibrate`: fit one model's score on answered questions, and find the thresholds that keep its promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_cli.evaluate import early_exit, rows, thresholds
from hybrid_cli.evaluate.collect import EvalInput, Evaluation
from hybrid_cli.evaluate.fit_cloud import CloudOutcome, fit_cloud
from hybrid_cli.evaluate.fit_local import fit_local, left_out_by
from hybrid_cli.evaluate.fit_samples import fit_shifts
from hybrid_cli.evaluate.promises import TARGETS, Outcomes
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.evaluate.shadow_rows import traffic_rows
from hybrid_cli.evaluate.unseen import unseen_scores
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.calibration import Calibration, Promise, TargetName, store
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.policy import Flags, Policy, merge_policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Store, Weights

MIN_ROWS = 100
_DELTA = (0.001, 0.5)
_USEFUL = 0.5
"""The weakest `wrong_at_most` that is worth naming."""


@dataclass(frozen=True)
class CalibrationTarget:
    """A promise to keep: a profile's `escalation.target`."""

    name: TargetName
    value: float


def parse_target(text: str | None, delta: float | None) -> CalibrationTarget | None:
    """The target written as NAME=VALUE. Raises Failure (USAGE) if `text` or `delta` is invalid."""
    if delta is not None and not _DELTA[0] <= delta <= _DELTA[1]:
        raise Failure(ExitStatus.USAGE, f"--delta must be between {_DELTA[0]:g} and {_DELTA[1]:g}")
    if text is None:
        return None
    name, _, value = text.partition("=")
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if name not in TARGETS or not 0 <= share <= 1:
        known = ", ".join(f"{target}=0.1" for target in TARGETS)
        raise Failure(ExitStatus.USAGE, f"invalid target `{text}`; write, for example, {known}")
    return CalibrationTarget(name, share)


def calibrate(
    data: EvalInput | None,
    target: CalibrationTarget | None,
    delta: float | None,
    flags: Flags,
    environment: Environment,
    worker: Worker | None,
    *,
    agreed: bool,
) -> dict[str, Any]:
    """Fit and store a calibration; returns the report of `hybrid calibrate --json`.

    The rows come from `data`, or from the ledger's traffic if it is None. `target` is None for the profile's. Raises
    Failure (FAILURE) if no threshold keeps a given `target`; the message says which target the rows support.
    """
    if data is not None and data.cloud == "none" and target is not None and target.name == "quality_at_least":
        raise Failure(ExitStatus.USAGE, "quality_at_least needs the cloud's outcomes; omit --cloud none")
    policy, weights, measured, outcomes = _measured(data, flags, environment, worker, agreed=agreed)
    if len(measured) < MIN_ROWS:
        raise Failure(
            ExitStatus.USAGE,
            f"{len(measured)} questions are too few; calibration needs at least {MIN_ROWS}",
        )
    if outcomes and any(row.cloud_right is None for row in measured):
        outcomes = []
    wanted = target or _of_profile(policy)
    found = Outcomes(measured, *unseen_scores(measured, outcomes, left_out_by(measured)), delta)
    calibration = Calibration(
        model=policy.local.model,
        weights=weights.sha256,
        size=weights.size,
        rows=len(measured),
        score=fit_local(measured),
        promises=[
            promise
            for name in TARGETS
            for promise in found.promises(name, wanted.value if wanted.name == name else None)
        ],
        delta=delta,
        cloud=policy.cloud.model if outcomes and policy.cloud is not None else None,
        cloud_score=fit_cloud(outcomes) if outcomes else None,
        shifts=fit_shifts(measured, found.wrong_score),
    )
    path = store(calibration, environment)
    promise = calibration.promise(wanted.name, wanted.value)
    bound = _bound(wanted, measured)
    if promise is None or promise.keep_to is None:
        reason = f"{policy.local.model} cannot keep {wanted.name}={wanted.value:g}; {bound}; {_at_best(wanted, found)}"
        if target is not None:
            raise Failure(ExitStatus.FAILURE, reason)
        environment.note(reason)
    return {
        "file": str(path),
        "model": policy.local.model,
        "rows": len(measured),
        "delta": delta,
        "cloud": calibration.cloud,
        "bound": bound,
        **_kept(wanted, promise, found),
        "promises": [_as_json(one) for one in calibration.promises],
    }


def _measured(
    data: EvalInput | None, flags: Flags, environment: Environment, worker: Worker | None, *, agreed: bool
) -> tuple[Policy, Weights, list[Row], list[CloudOutcome]]:
    """The policy, the weights, the answered questions, and the cloud's outcomes."""
    if data is None:
        policy = merge_policy(flags, environment)
        weights = Store(environment).locate(policy.local.model)
        return policy, weights, traffic_rows(policy, weights.sha256, environment, least=MIN_ROWS), []
    work = Evaluation.prepare(data, flags, environment)
    work.begin(agreed=agreed)
    measured = work.measure(worker)
    return work.policy, work.weights, measured, work.cloud_outcomes()


def _of_profile(policy: Policy) -> CalibrationTarget:
    """The profile's target; without a promise in it, the default profile's."""
    target = policy.escalation.target
    for name in TARGETS:
        value = getattr(target, name)
        if value is not None:
            return CalibrationTarget(name, value)
    return CalibrationTarget("wrong_at_most", 0.2)


def _kept(wanted: CalibrationTarget, promise: Promise | None, found: Outcomes) -> dict[str, Any]:
    """The report's part on one target."""
    figures: dict[str, Any] = {
        "target": wanted.name,
        "value": wanted.value,
        "handed_off": 1.0,
        "wrong_of_kept": None,
    }
    if promise is None or promise.keep_to is None:
        return figures
    kept = (found.score(wanted.name) <= promise.keep_to).tolist()
    measured = list(found.measured)
    stops = [early_exit.given_up_at(row, promise.early) for row in measured]
    return figures | {
        "handed_off": promise.handed_off,
        "wrong_of_kept": promise.wrong,
        "decided_early": early_exit.shares(stops, kept, measured),
    }


def _as_json(promise: Promise) -> dict[str, Any]:
    return {
        "target": promise.target,
        "value": promise.value,
        "kept": round(1 - promise.handed_off, 4) if promise.keep_to is not None else 0.0,
        "wrong_of_kept": promise.wrong,
    }


def _at_best(wanted: CalibrationTarget, found: Outcomes) -> str:
    """A clause about the strictest target that these rows support."""
    best = found.best(wanted.name)
    if best is None or (wanted.name == "wrong_at_most" and best.value > _USEFUL):
        return "more questions or a better model are needed"
    return f"the questions support {wanted.name}={best.value:g}; more of them may allow a stricter target"


def _bound(target: CalibrationTarget, measured: list[Row]) -> str:
    """A clause about the limit that no gate can beat."""
    wrong = float(1 - rows.right(measured).mean())
    if target.name == "wrong_at_most":
        least = thresholds.least_handed_off(wrong, target.value)
        return f"{wrong:.0%} of the local answers are wrong, so any gate must hand off at least {least:.0%}"
    if target.name == "quality_at_least" and all(row.cloud_right is not None for row in measured):
        lost = float(np.maximum(0.0, rows.cloud_right(measured) - rows.right(measured)).mean())
        return f"for {lost:.0%} of the questions only the cloud is right"
    unfinished = sum(not row.is_usable for row in measured) / len(measured)
    return f"{unfinished:.0%} of the local answers are cut or cannot be right, and {wrong:.0%} are wrong"


def as_lines(report: dict[str, Any]) -> list[str]:
    """The report as text: the promises of `wrong_at_most`, and the file."""
    lines = [f"{report['rows']} questions; {report['bound']}"]
    for one in report["promises"]:
        if one["target"] == report["target"]:
            value = f"{one['target']}={one['value']:g}"
            wrong = "" if one["wrong_of_kept"] is None else f", {one['wrong_of_kept']:.0%} of them wrong"
            kept = f"keeps {one['kept']:.0%} of the answers{wrong}" if one["kept"] else "keeps nothing"
            lines.append(f"{value:<24} {kept}")
    return [*lines, f"written: {report['file']}"]
