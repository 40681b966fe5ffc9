"""`hybrid eval` in one call: rows, the gate's score on them, the report."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid_cli.environment import Environment
from hybrid_cli.evaluate import rows
from hybrid_cli.evaluate.report import report
from hybrid_cli.evaluate.run import Data, measure
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.policy import Flags, merge_policy


def evaluate_gate(
    data: Data, flags: Flags, environment: Environment, worker: Worker | None, *, with_cloud: bool
) -> dict[str, Any]:
    """The report of DESIGN's `eval --json`."""
    policy = merge_policy(flags, environment)
    worker = worker or Worker.fork()
    try:
        measured, checksum = measure(data, policy, worker, environment)
    finally:
        worker.stop()
    confidence = np.exp(rows.column(measured, "mean_logprob"))
    ended = np.array([row.finish_reason == "stop" for row in measured])
    score = np.where(ended, -confidence, np.inf)  # what is cut or loops is handed off whatever its score
    told = report(score, 1 - confidence, measured, with_cloud=with_cloud)
    return {
        "rows": len(measured),
        "split": data.split,
        "model": policy.local.model,
        "weights": checksum,
        "score": "mean log-probability",
        **told,
    }


def as_text(told: dict[str, Any]) -> str:
    """The report for a reader: a figure a line, with its interval."""
    lines = [f"{told['rows']} questions (split {told['split']}), {told['model']}, score: {told['score']}", ""]
    lines += [_line(name, figure) for name, figure in told["metrics"].items()]
    for name, figures in told["baselines"].items():
        lines.append("")
        lines += [_line(f"{name} {figure}", value) for figure, value in figures.items()]
    for task, figures in told["by_task"].items():
        lines += ["", f"{task}: {figures['rows']} questions"]
        lines += [_line(f"  {name}", value) for name, value in figures.items() if name != "rows"]
    return "\n".join(lines)


def _line(name: str, figure: dict[str, float | None]) -> str:
    value, low, high = (_shown(figure[key]) for key in ("value", "low", "high"))
    return f"{name:<24} {value}  ({low} to {high})"


def _shown(value: float | None) -> str:
    return "    -" if value is None else f"{value:5.3f}"
