"""The estimate before an evaluation: answers, time, requests and money."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hybrid_cli.cloud import prices
from hybrid_cli.cloud.payload import Call
from hybrid_cli.egress.answer_limit import answer_limit
from hybrid_cli.egress.budget import left_of_limits, worst_cost
from hybrid_cli.evaluate.local_answers import request_for
from hybrid_cli.evaluate.questions import LabelledQuestion
from hybrid_cli.evaluate.rows import SavedRows, key_of
from hybrid_cli.ledger.amounts import usd
from hybrid_cli.ledger.limits import Limit
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.progress import duration


@dataclass(frozen=True)
class EvalEstimate:
    """None means unknown."""

    questions: int
    to_answer: int
    seconds: float
    """For the local answers, by the speed of earlier ones in the rows; without any, by the size of the weights."""
    to_send: int
    destination: str | None
    usd: float | None
    """The likely cost, by the length of the cloud's earlier answers in the rows."""
    usd_at_most: float | None
    left: dict[str, str]
    """The rest of each limit."""
    short: list[str]
    """Limits that may stop the evaluation."""

    def as_json(self) -> dict[str, Any]:
        return dict(vars(self))

    def lines(self, model: str) -> list[str]:
        """The estimate as text."""
        time = "" if not self.seconds else f", about {duration(self.seconds)}"
        lines = [f"{self.questions} questions, {self.to_answer} to be answered by {model}{time}"]
        if self.to_send:
            known = "price unknown" if self.usd_at_most is None else f"at most {usd(self.usd_at_most)}"
            about = "" if self.usd is None else f"about {usd(self.usd)}, "
            lines.append(f"{self.to_send} requests to {self.destination}: {about}{known}")
            lines += [
                f"{key} leaves {self.left[key]}; the evaluation may stop there (exit code 8); run it again to continue"
                for key in self.short
            ]
        return lines


def estimate(
    questions: Sequence[LabelledQuestion],
    unsent: Sequence[LabelledQuestion],
    policy: Policy,
    source: str,
    size: int,
    saved: SavedRows,
    environment: Environment,
) -> EvalEstimate:
    """The estimate for `questions`, of which `unsent` are still to be sent to the cloud.

    `size` is that of the weights, in bytes.
    """
    keys = {key_of(question, source) for question in questions}
    known = [saved.rows[key] for key in keys if key in saved.rows]
    times = [row.seconds for row in known if row.seconds is not None]
    to_answer = len(keys) - len(known)
    each = sum(times) / len(times) if times else _seconds_each(size)
    most, likely = _cost(unsent, policy, saved, environment)
    left = left_of_limits(policy, environment) if unsent else []
    cloud = policy.cloud
    return EvalEstimate(
        questions=len(questions),
        to_answer=to_answer,
        seconds=round(each * to_answer, 1),
        to_send=len(unsent),
        destination=None if cloud is None else f"{cloud.model} at {origin_of(cloud.base_url)}",
        usd=likely,
        usd_at_most=most,
        left={one.limit.key: str(one) for one in left},
        short=[one.limit.key for one in left if one.amount < _need(one.limit, len(unsent), most)],
    )


def _seconds_each(size: int) -> float:
    """A rough guess for one answer of the exam, by the bytes that each token reads: measured with 0.1 and 1.1 GB."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0.15 + 2.4e-9 * size / cores


def _need(limit: Limit, requests: int, most: float | None) -> float:
    return requests if limit.unit == "calls" else most or 0.0


def _cost(
    unsent: Sequence[LabelledQuestion], policy: Policy, saved: SavedRows, environment: Environment
) -> tuple[float | None, float | None]:
    """The highest and the likely cost in USD, by the mean length of the requests."""
    cloud = policy.cloud
    if cloud is None or not unsent:
        return 0.0, 0.0
    longest = answer_limit(cloud, policy, environment)
    calls = [Call(cloud, request_for(question).messages(), longest) for question in unsent]
    size = sum(len(call.content()) for call in calls) // len(calls)
    most = worst_cost(calls[0], size)
    lengths = [row.tokens_out for row in saved.cloud.values() if row.tokens_out is not None]
    if most is None or not lengths:
        return _times(most, len(calls)), None
    used = prices.Used(prices.estimate(size, "", ()).tokens_in, sum(lengths) // len(lengths))
    return _times(most, len(calls)), _times(prices.cost(cloud, used), len(calls))


def _times(amount: float | None, count: int) -> float | None:
    return None if amount is None else round(amount * count, 6)
