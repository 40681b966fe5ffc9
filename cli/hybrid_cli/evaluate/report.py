"""What an evaluation says: figures with their intervals, and the baselines always beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_cli.evaluate import metrics, rows
from hybrid_cli.evaluate.metrics import Curve, Numbers, estimate, estimates
from hybrid_cli.evaluate.rows import Row


@dataclass(frozen=True)
class Scores:
    """What the gate says of each row, by fits that did not see it."""

    handoff: Numbers
    """How much it should be handed off."""
    wrong: Numbers
    """The chance that the local answer is wrong; infinity where none can be told."""
    confidence: Numbers
    """What it would be without a fit: exp(mean log-probability)."""

    def part(self, chosen: Any) -> Scores:
        return Scores(self.handoff[chosen], self.wrong[chosen], self.confidence[chosen])


SHARES = (10, 20, 30, 50)
"""Percent handed off at which the hybrid's accuracy is told."""
_PARTS = (50, 80)
"""Percent of the gap that is to be won."""


def report(scores: Scores, measured: list[Row], *, with_cloud: bool) -> dict[str, Any]:
    """`metrics`, `baselines` and `by_task`, each figure as {value, low, high} (95 % bootstrap).

    Without a cloud only what the local side shows is told.
    """
    local = rows.right(measured)
    cloud = rows.cloud_right(measured) if with_cloud else None
    figures = _figures(scores, local, cloud)
    return {
        "metrics": figures,
        "baselines": {
            name: _ranked(other, local, cloud) for name, other in baselines(measured, local, cloud)
        },
        "by_task": {
            task: {
                "rows": int(chosen.sum()),
                **(
                    figures  # of a single task they are the same, and take a while
                    if chosen.all()
                    else _figures(scores.part(chosen), local[chosen], _part(cloud, chosen))
                ),
            }
            for task, chosen in _tasks(measured)
        },
    }


def baselines(measured: list[Row], local: Numbers, cloud: Numbers | None) -> Iterator[tuple[str, Numbers]]:
    """The scores that a gate has to beat, and the one that nothing can."""
    yield "random", np.random.default_rng(0).random(len(measured))
    yield "prompt_length", rows.column(measured, "log_prompt_tokens")
    yield "mean_logprob", -rows.column(measured, "mean_logprob")
    yield "oracle", (1.0 if cloud is None else cloud) - local


def _figures(scores: Scores, local: Numbers, cloud: Numbers | None) -> dict[str, Any]:
    figures = {
        "accuracy_local": _told(estimate(np.mean, local)),
        "auroc": _told(estimate(metrics.auroc, scores.wrong, 1 - local)),
        "ece_before": _told(estimate(metrics.ece, 1 - scores.confidence, 1 - local)),
        "ece": _told(estimate(metrics.ece, np.minimum(scores.wrong, 1.0), 1 - local)),
    }
    return figures if cloud is None else figures | _with_cloud(scores.handoff, local, cloud)


def _with_cloud(score: Numbers, local: Numbers, cloud: Numbers) -> dict[str, Any]:
    names = ["apgr", "napgr", *(f"cpt{part}" for part in _PARTS), *(f"accuracy_hybrid_{s}" for s in SHARES)]

    def of_curve(score: Numbers, local: Numbers, cloud: Numbers) -> list[float]:
        curve = Curve.of(score, local, cloud)
        parts = [curve.cpt(part / 100) for part in _PARTS]
        return [*_areas(curve, local, cloud), *parts, *(curve.accuracy(share / 100) for share in SHARES)]

    told = estimates(of_curve, score, local, cloud)
    figures = {"accuracy_cloud": estimate(np.mean, cloud), **dict(zip(names, told, strict=True))}
    return {name: _told(figure) for name, figure in figures.items()}


def _ranked(score: Numbers, local: Numbers, cloud: Numbers | None) -> dict[str, Any]:
    figures = {"auroc": estimate(metrics.auroc, score, 1 - local)}
    if cloud is not None:
        figures["apgr"], figures["napgr"] = estimates(
            lambda score, local, cloud: _areas(Curve.of(score, local, cloud), local, cloud),
            score,
            local,
            cloud,
        )
    return {name: _told(figure) for name, figure in figures.items()}


def _areas(curve: Curve, local: Numbers, cloud: Numbers) -> tuple[float, float]:
    """APGR and normalised APGR."""
    return curve.apgr, curve.napgr(Curve.of(cloud - local, local, cloud))


def _tasks(measured: list[Row]) -> Iterator[tuple[str, Any]]:
    names = np.array([row.task for row in measured])
    for task in sorted(set(names)):
        yield str(task), names == task


def _part(column: Numbers | None, chosen: Any) -> Numbers | None:
    return None if column is None else column[chosen]


def _told(figure: metrics.Estimate) -> dict[str, float | None]:
    """As JSON: what is not defined is null, since JSON has no NaN."""
    values = {"value": figure.value, "low": figure.low, "high": figure.high}
    return {name: round(float(v), 4) if np.isfinite(v) else None for name, v in values.items()}
