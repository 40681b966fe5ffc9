"""The gate's verdict on results, and its confidence."""

from __future__ import annotations

import math

import pytest

from hybrid_cli.exit_status import ExitStatus
from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.gate.features import answer_signals
from hybrid_cli.gate.verdict import LocalResult, StageScore, judge


@pytest.mark.parametrize(
    ("result", "reason", "stage", "code"),
    [
        (LocalResult("yes", "stop", [-0.1]), "none", "end", None),
        (LocalResult("yes", "stop", [-1.0]), "unsure", "end", None),
        (LocalResult("yes", "stop", [-0.1, None]), "unsure", "end", None),
        (LocalResult("yes", "stop", []), "unsure", "end", None),
        (LocalResult(" \n", "stop", [-0.1]), "check_failed", "checks", ExitStatus.CHECK),
        (LocalResult("yes", "length", [-0.1]), "check_failed", "checks", ExitStatus.CHECK),
        (LocalResult("yes", "loop", [-0.1]), "check_failed", "checks", ExitStatus.CHECK),
        (LocalResult("", "overflow"), "context", "fit", ExitStatus.DENIED),
    ],
)
def test_the_gate_judges_results(
    result: LocalResult, reason: str, stage: str, code: ExitStatus | None
) -> None:
    verdict = judge(result, Criterion(0.5))
    assert (verdict.reason, verdict.stage) == (reason, stage)
    assert (verdict.failure.status if verdict.failure else None) == code


def test_a_missing_signal_is_never_confident() -> None:
    def confidence(logprobs: list[float | None]) -> float | None:
        return Criterion(0.5).confidence(answer_signals(logprobs, 3, None))

    assert confidence([]) is None
    assert confidence([0.0, None, 0.0]) is None
    assert confidence([math.log(0.25), math.log(1.0)]) == pytest.approx(0.5)
    assert judge(LocalResult("yes", "stop", [None]), Criterion(0.0)).reason == "unsure"


@pytest.mark.parametrize(
    ("score", "threshold", "told"),
    [
        (0.7041, 0.7047, "0.704, below the threshold 0.705"),
        (0.8, 0.7, "0.80, at least the threshold 0.70"),
        (0.7, 0.7, "0.70, at least the threshold 0.70"),
    ],
)
def test_a_score_and_its_threshold_are_told_apart(score: float, threshold: float, told: str) -> None:
    assert StageScore("tokens", 8, score, threshold).describe() == f"confidence after 8 tokens {told}"
