"""`hybrid eval`: answer the questions, score the answers with the gate, and report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hybrid_cli.evaluate import early_exit, rows
from hybrid_cli.evaluate.collect import EvalInput, Evaluation
from hybrid_cli.evaluate.fit_local import LeftOut, parts
from hybrid_cli.evaluate.metrics import Numbers
from hybrid_cli.evaluate.report import Scores, report
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.evaluate.settings import Unseen
from hybrid_cli.evaluate.unseen import unseen_scores
from hybrid_cli.evaluate.verdict import verdict_on
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.policy import Flags
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import one_line

_SHARE = 0.3
"""Share of handoffs for the report on early decisions."""
_FOLDS = 5


def evaluate_gate(
    data: EvalInput,
    flags: Flags,
    environment: Environment,
    worker: Worker | None,
    *,
    agreed: bool,
    unseen: Unseen,
    plot: Path | None,
) -> dict[str, Any]:
    """The report of `hybrid eval --json`; with `plot` it is also drawn into that file. Raises Failure."""
    with_cloud = data.cloud != "none"
    if plot is not None:
        from hybrid_cli.evaluate.plot import check

        if not with_cloud:
            raise Failure(ExitStatus.USAGE, "--plot needs the cloud's outcomes; omit --cloud none")
        check(plot)  # before the work, not after it
    work = Evaluation.prepare(data, flags, environment)
    work.begin(agreed=agreed)
    measured = work.measure(worker)
    if with_cloud:
        rows.cloud_right(measured)  # raises Failure if an outcome is missing
    model = work.policy.local.model
    by: LeftOut = "group" if unseen == "subjects" else "key"
    sampled = work.policy.escalation.samples > 0
    wrong, gain = unseen_scores(measured, work.cloud_outcomes(), by, sampled=sampled)
    handoff = wrong if gain is None else gain
    scores = Scores(handoff, wrong, np.exp(rows.column(measured, "mean_logprob")))
    if plot is not None:
        from hybrid_cli.evaluate.plot import draw

        draw(plot, scores.handoff, measured, model)
    verdict = verdict_on(work.measured_questions(), measured, work.policy, work.weights, environment)
    return {
        "verdict": verdict.as_json(),
        "lines": verdict.lines(model),
        "rows": len(measured),
        "split": data.split,
        "model": model,
        "weights": work.weights.sha256,
        **work.figures(),
        "unseen": unseen,
        "early": _early(handoff, measured, by),
        **report(scores, measured, with_cloud=with_cloud),
    }


def _early(score: Numbers, measured: list[Row], by: LeftOut) -> dict[str, Any]:
    """How early handoffs are decided if 30 % are handed off; the floors are set on other rows."""
    kept = np.ones(len(score), dtype=bool)
    kept[np.argsort(-score, kind="stable")[: round(_SHARE * len(score))]] = False
    stops: list[int | None] = [None] * len(measured)
    for rest, left_out in parts(measured, by, _FOLDS, 0):
        floors = early_exit.floors(kept[rest].tolist(), [measured[place] for place in rest])
        for place in left_out:
            stops[place] = early_exit.given_up_at(measured[place], floors)
    return early_exit.shares(stops, kept.tolist(), measured)


def as_lines(found: dict[str, Any], *, verbose: bool) -> list[str]:
    """The report as text: the verdict; `verbose` adds one figure a line, with its interval."""
    lines = [
        *found["lines"],
        f"Measured on {found['rows']} questions, of which the local model answers"
        f" {found['metrics']['accuracy_local']['value']:.0%} right.",
    ]
    return [one_line(line) for line in [*lines, *(_statistics(found) if verbose else [])]]


def _statistics(found: dict[str, Any]) -> list[str]:
    lines = [
        "",
        f"{found['rows']} questions (split {found['split']}), {found['model']}, each scored by fits that did not see"
        f" it (--unseen {found['unseen']}):",
        "",
    ]
    lines += [_line(name, figure) for name, figure in found["metrics"].items()]
    for name, figures in found["baselines"].items():
        lines.append("")
        lines += [_line(f"{name} {figure}", value) for figure, value in figures.items()]
    for task, figures in found["by_task"].items():
        lines += ["", f"{task}: {figures['rows']} questions"]
        lines += [_line(f"  {name}", value) for name, value in figures.items() if name != "rows"]
    lines += ["", f"how early handoffs are decided, if {_SHARE:.0%} are handed off:"]
    return lines + [f"  {name:<22} {_shown(value)}" for name, value in found["early"].items()]


def _line(name: str, figure: dict[str, float | None]) -> str:
    value, low, high = (_shown(figure[key]) for key in ("value", "low", "high"))
    return f"{name:<24} {value}  ({low} to {high})"


def _shown(value: float | None) -> str:
    return "    -" if value is None else f"{value:5.3f}"
