"""Each stage of the gate on one local answer: its confidence and its threshold."""

from __future__ import annotations

import math

from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.gate.features import CHECKPOINTS, running_mean
from hybrid_cli.gate.verdict import LocalResult, StageScore, signals_of


def stage_scores(result: LocalResult, criterion: Criterion) -> list[StageScore]:
    """Return the checkpoints that the answer reached, and its end if it has one, in order."""
    floors = criterion.early
    scores = []
    for place, tokens in enumerate(CHECKPOINTS):
        if len(result.logprobs) >= tokens:
            floor = floors[place] if place < len(floors) else None
            score = _chance(running_mean(result.logprobs, tokens))
            scores.append(StageScore("tokens", tokens, score, _chance(floor)))
    if result.finish_reason and result.finish_reason != "overflow":
        confidence = criterion.confidence(signals_of(result))
        scores.append(StageScore("end", result.tokens_out, confidence, criterion.threshold))
    return scores


def _chance(logprob: float | None) -> float | None:
    return None if logprob is None else math.exp(logprob)
