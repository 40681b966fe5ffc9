"""Rows and calibrations made by a generator, so that the truth behind them is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid_cli.evaluate.rows import Row
from hybrid_cli.gate.calibration import Calibration, Promise
from hybrid_cli.gate.features import answer_signals
from hybrid_cli.gate.local_score import FORMS, AnswerForm, FormScore, LocalScore
from hybrid_cli.gate.prompt_kinds import prompt_kinds
from hybrid_cli.local.protocol import TokenSignal

FIRST = TokenSignal(-0.1, 0.8, 0.3, "first")
KINDS = len(prompt_kinds().kinds)
WRONG_BY_KIND = tuple(np.linspace(0.1, 0.9, KINDS))
"""The share of wrong answers of each kind in `made_rows`."""
MEANS: dict[AnswerForm, float] = {
    "choice": -0.05,
    "json": -0.2,
    "token": -0.3,
    "short": -0.5,
    "middle": -0.8,
    "long": -1.2,
}
"""The mean log-probability of right answers of each form in `made_rows`."""


def one_kind(kind: int, share: float = 1.0) -> list[float]:
    """Return the shares of a prompt of one kind; the other kinds have the rest."""
    rest = (1 - share) / (KINDS - 1)
    return [share if other == kind else rest for other in range(KINDS)]


def made_row(key: str, *, wrong: bool, mean: float = -0.5, **changes: Any) -> Row:
    """Return a row of ten tokens, usable unless `changes` say otherwise."""
    values: dict[str, Any] = {
        "task": "a",
        "group": changes.get("task", "a"),
        "form": "short",
        "kinds": one_kind(0),
        "signals": answer_signals([mean] * 10, 10, FIRST),
        "running": [mean, None, None],
        "finish_reason": "stop",
        "tokens_in": 10,
        "tokens_out": 10,
        "doubted": False,
        "cloud_right": None,
    }
    return Row(key=key, local_right=not wrong, **{**values, **changes})


def made_rows(
    generator: np.random.Generator,
    count: int,
    task: str = "a",
    *,
    wrong_by_kind: Sequence[float] = WRONG_BY_KIND,
    gap: float = 0.3,
    forms: Sequence[AnswerForm] = FORMS,
) -> list[Row]:
    """Return rows of random kinds and forms. Wrong answers have a mean log-probability that is lower by `gap`."""
    rows = []
    for number in range(count):
        kind, form = int(generator.integers(KINDS)), forms[int(generator.integers(len(forms)))]
        wrong = bool(generator.random() < wrong_by_kind[kind])
        mean = MEANS[form] - gap * wrong + 0.3 * float(generator.normal())
        rows.append(
            made_row(
                f"{task}{number}",
                wrong=wrong,
                mean=mean,
                task=task,
                form=form,
                kinds=one_kind(kind, 0.95),
                cloud_right=bool(generator.random() < 0.9),
            )
        )
    return rows


def made_score(*, wrong: float = 0.4, slope: float = -1.0, bias: float = 0.0) -> LocalScore:
    """Return a score with the same shares for all kinds and forms."""
    form = FormScore([wrong] * KINDS, -0.5, 0.3, slope)
    return LocalScore(wrong, dict.fromkeys(FORMS, form), 1.0, bias)


def made_calibration(weights: str = "0" * 64, *promises: Promise, **changes: Any) -> Calibration:
    """Return a calibration for `weights`; without `promises` it keeps every scored answer, whatever the target."""
    kept = promises or (
        Promise("wrong_at_most", 0.01, 1.0, 0.0),
        Promise("escalate_at_most", 0.01, 1.0, 0.0),
    )
    values: dict[str, Any] = {"model": "made", "size": 1, "rows": 300, "score": made_score()}
    return Calibration(weights=weights, promises=list(kept), **{**values, **changes})
