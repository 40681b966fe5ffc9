"""`hybrid calibrate` in one call: rows, a score, and the threshold at which a target's promise holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_cli.environment import Environment
from hybrid_cli.evaluate import fit, rows, thresholds
from hybrid_cli.evaluate.metrics import Numbers
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.evaluate.run import Data, measure
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.handoff.calibration import Calibration, store
from hybrid_cli.handoff.signals import CHECKPOINTS
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.policy import Flags, Policy, merge_policy

TARGETS = ("escalate_at_most", "wrong_at_most", "quality_at_least")
FALSE_ABORTS = 0.05
"""Of the answers that would be kept, the share that a checkpoint may give up."""
LEAST_ROWS = 100


@dataclass(frozen=True)
class Target:
    """What is promised: a profile's `escalation.target`."""

    name: str
    value: float
    delta: float
    """The chance that `wrong_at_most` is broken, over the draw of the rows."""


def parse_target(text: str, delta: float) -> Target:
    """The target that `NAME=VALUE` names. Raises Failure (USAGE) for anything else."""
    name, _, value = text.partition("=")
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if name not in TARGETS or not 0 <= share <= 1:
        known = ", ".join(f"{target}=0.1" for target in TARGETS)
        raise Failure(ExitStatus.USAGE, f"`{text}` is no target; write one like {known}")
    return Target(name, share, delta)


def calibrate(
    data: Data, target: Target, flags: Flags, environment: Environment, worker: Worker | None
) -> dict[str, Any]:
    """Fit and store a calibration; what it is and what it promises.

    Raises Failure where the target cannot be promised, with what could be.
    """
    policy = merge_policy(flags, environment)
    worker = worker or Worker.fork()
    try:
        measured, checksum = measure(data, policy, worker, environment)
    finally:
        worker.stop()
    if len(measured) < LEAST_ROWS:
        raise Failure(ExitStatus.USAGE, f"{len(measured)} questions are too few; {LEAST_ROWS} are the least")
    fitted, held = measured[::2], measured[1::2]  # the score is fixed before its threshold is chosen
    choice = fit.choose(fitted)
    score = fit.scores(choice.model, held)
    bound = _bound(target, measured)
    environment.note(bound)
    keep_to = _threshold(target, score, held)
    if keep_to is None:
        raise Failure(
            ExitStatus.FAILURE,
            f"{target.name}={target.value:g} cannot be promised for {policy.local.model} with"
            f" {len(held)} rows; {bound}; ask for less, or bring more questions",
        )
    kept = score <= keep_to
    calibration = Calibration(
        weights=checksum,
        target=target.name,
        value=target.value,
        keep_to=keep_to,
        model=choice.model,
        cloud=_cloud(target, policy),
        rows=len(held),
        delta=target.delta if target.name == "wrong_at_most" else None,
        early=_early(kept.tolist(), held),
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
        "signals": choice.model.signals,
        "why": choice.why,
        "bound": bound,
        "handed_off": round(float(1 - kept.mean()), 4),
        "wrong_of_kept": round(float(1 - right[kept].mean()), 4) if kept.any() else None,
        "decided_early": _early_shares(calibration.early, kept.tolist(), held),
    }


def _threshold(target: Target, score: Numbers, held: list[Row]) -> float | None:
    if target.name == "escalate_at_most":
        keep_to = thresholds.escalate_at_most(score, target.value)
        return 1.0 if np.isinf(keep_to) and np.isfinite(score).all() else _finite(keep_to)
    wrong = 1 - rows.right(held)
    if target.name == "wrong_at_most":
        return _finite(thresholds.wrong_at_most(score, wrong, target.value, target.delta))
    cloud = rows.cloud_right(held)
    loss = np.maximum(0.0, cloud - rows.right(held))
    return _finite(thresholds.lost_at_most(score, loss, (1 - target.value) * float(cloud.mean())))


def _finite(keep_to: float | None) -> float | None:
    """None where the threshold would keep what no score keeps."""
    return None if keep_to is None or np.isinf(keep_to) else keep_to


def _bound(target: Target, measured: list[Row]) -> str:
    """What no gate can better, in words."""
    wrong = float(1 - rows.right(measured).mean())
    if target.name == "wrong_at_most":
        least = thresholds.least_handed_off(wrong, target.value)
        return f"{wrong:.0%} of the local answers are wrong, so any gate hands off at least {least:.0%}"
    if target.name == "quality_at_least":
        cloud = rows.cloud_right(measured)
        lost = float(np.maximum(0.0, cloud - rows.right(measured)).mean())
        return f"keeping every answer loses {lost:.0%} of the answers that the cloud gets right"
    unfinished = sum(row.finish_reason != "stop" for row in measured) / len(measured)
    return f"{unfinished:.0%} of the local answers are cut or loop, and {wrong:.0%} are wrong"


def _cloud(target: Target, policy: Policy) -> str | None:
    """Only a target that counts on the cloud's outcomes is bound to the cloud."""
    if target.name != "quality_at_least" or policy.cloud is None:
        return None
    return policy.cloud.model


def _early(kept: list[bool], held: list[Row]) -> list[float | None]:
    """For each checkpoint the highest floor that gives up at most 5 % of the answers that would be kept.

    The share is bounded from above (Clopper-Pearson, 95 %), not only counted.
    """
    floors: list[float | None] = []
    for index in range(len(CHECKPOINTS)):
        reached = [
            value
            for row, keep in zip(held, kept, strict=True)
            if keep and (value := row.running[index]) is not None
        ]
        floor = None
        for count, value in enumerate(sorted(reached)):
            if thresholds.upper_bound(count, len(reached), 0.05) > FALSE_ABORTS:
                break
            floor = value
        floors.append(floor)
    return floors


def _early_shares(floors: list[float | None], kept: list[bool], held: list[Row]) -> dict[str, float | None]:
    """Of the prompts handed off, the share that each checkpoint decides, and of the kept the share lost to any."""
    shares: dict[str, float | None] = {}
    off = [row for row, keep in zip(held, kept, strict=True) if not keep]
    for index, tokens in enumerate(CHECKPOINTS):
        decided = sum(_gives_up(row, floors[: index + 1]) for row in off)
        shares[f"by_token_{tokens}"] = round(decided / len(off), 4) if off else None
    stay = [row for row, keep in zip(held, kept, strict=True) if keep]
    lost = sum(_gives_up(row, floors) for row in stay)
    shares["false_aborts"] = round(lost / len(stay), 4) if stay else None
    return shares


def _gives_up(row: Row, floors: list[float | None]) -> bool:
    pairs = zip(row.running, floors, strict=False)
    return any(mean is not None and floor is not None and mean < floor for mean, floor in pairs)
