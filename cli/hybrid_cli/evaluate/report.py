"""The figures of an evaluation with their intervals, always beside those of the baselines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_cli.evaluate import metrics, rows
from hybrid_cli.evaluate.metrics import Curve, Numbers, bootstrap, bootstrap_all
from hybrid_cli.evaluate.rows import Row


@dataclass(frozen=True)
class Scores:
    """The gate's scores of each row, by fits that did not see the row."""

    handoff: Numbers
    """Higher means that the prompt should rather be handed off."""
    wrong: Numbers
    """Probability that the local answer is wrong; infinity if unknown."""
    confidence: Numbers
    """The confidence without a fit: exp(mean log-probability)."""

    def part(self, chosen: Any) -> Scores:
        return Scores(self.handoff[chosen], self.wrong[chosen], self.confidence[chosen])


SHARES = (10, 20, 30, 50)
"""Percentages handed off for which the report has the accuracy."""
_PARTS = (50, 80)
"""Percentages of the gap for which the report has the call-performance threshold."""


def report(scores: Scores, measured: list[Row], *, with_cloud: bool) -> dict[str, Any]:
    """`metrics`, `baselines` and `by_task`, each figure as {value, low, high} (95 % bootstrap).

    Without the cloud's outcomes the report has only the figures of the local model.
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
                    figures  # a single task has the same figures, which take a while to compute
                    if chosen.all()
                    else _figures(scores.part(chosen), local[chosen], _part(cloud, chosen))
                ),
            }
            for task, chosen in _tasks(measured)
        },
    }


def baselines(measured: list[Row], local: Numbers, cloud: Numbers | None) -> Iterator[tuple[str, Numbers]]:
    """Scores that a gate should beat, and the oracle, which no gate can beat."""
    yield "random", np.random.default_rng(0).random(len(measured))
    yield "prompt_length", rows.column(measured, "log_prompt_tokens")
    yield "mean_logprob", -rows.column(measured, "mean_logprob")
    yield "oracle", (1.0 if cloud is None else cloud) - local


def _figures(scores: Scores, local: Numbers, cloud: Numbers | None) -> dict[str, Any]:
    figures = {
        "accuracy_local": _as_json(bootstrap(np.mean, local)),
        "auroc": _as_json(bootstrap(metrics.auroc, scores.wrong, 1 - local)),
        "ece_before": _as_json(bootstrap(metrics.ece, 1 - scores.confidence, 1 - local)),
        "ece": _as_json(bootstrap(metrics.ece, np.minimum(scores.wrong, 1.0), 1 - local)),
    }
    return figures if cloud is None else figures | _with_cloud(scores.handoff, local, cloud)


def _with_cloud(score: Numbers, local: Numbers, cloud: Numbers) -> dict[str, Any]:
    names = ["apgr", "napgr", *(f"cpt{part}" for part in _PARTS), *(f"accuracy_hybrid_{s}" for s in SHARES)]

    def of_curve(score: Numbers, local: Numbers, cloud: Numbers) -> list[float]:
        curve = Curve.of(score, local, cloud)
        parts = [curve.cpt(part / 100) for part in _PARTS]
        return [*_areas(curve, local, cloud), *parts, *(curve.accuracy(share / 100) for share in SHARES)]

    found = bootstrap_all(of_curve, score, local, cloud)
    figures = {"accuracy_cloud": bootstrap(np.mean, cloud), **dict(zip(names, found, strict=True))}
    return {name: _as_json(figure) for name, figure in figures.items()}


def _ranked(score: Numbers, local: Numbers, cloud: Numbers | None) -> dict[str, Any]:
    figures = {"auroc": bootstrap(metrics.auroc, score, 1 - local)}
    if cloud is not None:
        figures["apgr"], figures["napgr"] = bootstrap_all(
            lambda score, local, cloud: _areas(Curve.of(score, local, cloud), local, cloud),
            score,
            local,
            cloud,
        )
    return {name: _as_json(figure) for name, figure in figures.items()}


def _areas(curve: Curve, local: Numbers, cloud: Numbers) -> tuple[float, float]:
    """APGR and normalised APGR."""
    return curve.apgr, curve.napgr(Curve.of(cloud - local, local, cloud))


def _tasks(measured: list[Row]) -> Iterator[tuple[str, Any]]:
    names = np.array([row.task for row in measured])
    for task in sorted(set(names)):
        yield str(task), names == task


def _part(column: Numbers | None, chosen: Any) -> Numbers | None:
    return None if column is None else column[chosen]


def _as_json(figure: metrics.Interval) -> dict[str, float | None]:
    """`figure` for JSON, which has no NaN: undefined values are null."""
    values = {"value": figure.value, "low": figure.low, "high": figure.high}
    return {name: round(float(v), 4) if np.isfinite(v) else None for name, v in values.items()}
