"""What a profile would do with the questions: how many answers it keeps, how many of them are wrong, and the cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import msgspec

from hybrid_cli.cloud import prices
from hybrid_cli.cloud.payload import Call
from hybrid_cli.evaluate.early_exit import given_up_at
from hybrid_cli.evaluate.local_answers import request_for
from hybrid_cli.evaluate.questions import LabelledQuestion
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.exit_status import Failure
from hybrid_cli.gate.criterion import Criterion, criterion_of
from hybrid_cli.ledger.amounts import usd
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Weights


@dataclass(frozen=True)
class EvalVerdict:
    """The outcome under the profile's own target. Shares are 0 to 1; None means unknown."""

    profile: str
    target: str
    kept: float
    wrong_of_kept: float | None
    cloud_wrong_of_kept: float | None
    """How often the cloud is wrong on the kept questions."""
    accuracy: float | None
    """Right answers with handoffs; None without the cloud's outcomes."""
    usd_per_1000: float | None
    """The estimated cost of the handoffs of 1,000 prompts."""
    compared: float | None = None
    """The share of answers that are compared with samples; None if the profile has none."""
    kept_without_samples: float | None = None
    problem: str | None = None
    """Why the target cannot be used with this model, or keeps nothing."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self, model: str) -> list[str]:
        """The verdict in sentences."""
        setting = f"{self.target} (profile {self.profile})"
        if self.problem is not None:
            lines = [f"{setting}: {self.problem}."]
        elif self.wrong_of_kept is None:
            lines = [f"With {setting}, hybrid keeps no answer of {model}."]
        else:
            cloud = (
                "" if self.cloud_wrong_of_kept is None else f" (the cloud: {self.cloud_wrong_of_kept:.0%})"
            )
            lines = [
                f"With {setting}, hybrid keeps {self.kept:.0%} of the answers of {model};"
                f" of these, {self.wrong_of_kept:.0%} are wrong{cloud}."
            ]
        if self.compared is not None and self.kept_without_samples is not None:
            lines.append(
                f"For that, {self.compared:.0%} of the answers are compared with samples; without them, hybrid would"
                f" keep {self.kept_without_samples:.0%}."
            )
        if self.accuracy is not None:
            lines.append(f"With handoffs, {self.accuracy:.0%} of all answers are right.")
        if self.usd_per_1000 is not None:
            lines.append(f"You would spend about {usd(self.usd_per_1000)} per 1,000 prompts.")
        return lines


def verdict_on(
    questions: Sequence[LabelledQuestion],
    measured: Sequence[Row],
    policy: Policy,
    weights: Weights,
    environment: Environment,
) -> EvalVerdict:
    """Return what the policy would do with the questions, whose rows are `measured`."""
    target = policy.escalation.target
    ((name, value),) = [
        (name, value) for name in target.__struct_fields__ if (value := getattr(target, name)) is not None
    ]
    text = f"{name}={value:g}"
    try:
        criterion = criterion_of(policy, weights, environment)
    except Failure as failure:
        return EvalVerdict(policy.profile, text, 0.0, None, None, None, None, problem=str(failure))
    pairs = list(zip(questions, measured, strict=True))
    rows: list[Row] = []
    off: list[tuple[LabelledQuestion, Row]] = []
    for question, row in pairs:
        if _keeps(criterion, question, row):
            rows.append(row)
        else:
            off.append((question, row))
    knows_cloud = all(row.cloud_right is not None for row in measured)
    right = [*(row.local_right for row in rows), *(bool(row.cloud_right) for _, row in off)]
    return EvalVerdict(
        profile=policy.profile,
        target=text,
        kept=round(len(rows) / len(pairs), 4),
        wrong_of_kept=_share_wrong([row.local_right for row in rows]),
        cloud_wrong_of_kept=_share_wrong([bool(row.cloud_right) for row in rows]) if knows_cloud else None,
        accuracy=round(sum(right) / len(right), 4) if knows_cloud else None,
        usd_per_1000=_usd_per_1000(off, len(pairs), policy),
        **_samples(criterion, pairs, policy, weights, environment),
        problem=criterion.keeps_nothing,
    )


def _samples(
    criterion: Criterion,
    pairs: Sequence[tuple[LabelledQuestion, Row]],
    policy: Policy,
    weights: Weights,
    environment: Environment,
) -> dict[str, float]:
    """Return how many answers are compared with samples, and how many would be kept without."""
    if not criterion.shifts:
        return {}
    escalation = msgspec.structs.replace(policy.escalation, samples=0)
    plain = criterion_of(replace(policy, escalation=escalation), weights, environment)
    compared = [_is_compared(criterion, question, row) for question, row in pairs]
    kept = [_keeps(plain, question, row) for question, row in pairs]
    return {
        "compared": round(sum(compared) / len(pairs), 4),
        "kept_without_samples": round(sum(kept) / len(pairs), 4),
    }


def _is_compared(criterion: Criterion, question: LabelledQuestion, row: Row) -> bool:
    return (
        row.is_usable
        and "agreement" in row.signals
        and criterion.for_request(request_for(question)).wants_sample(row.signals, [])
    )


def _keeps(criterion: Criterion, question: LabelledQuestion, row: Row) -> bool:
    if not row.is_usable or given_up_at(row, list(criterion.early)) is not None:
        return False
    confidence = criterion.for_request(request_for(question)).confidence(row.signals)
    return confidence is not None and criterion.keeps(confidence)


def _share_wrong(right: Sequence[bool]) -> float | None:
    return round(1 - sum(right) / len(right), 4) if right else None


def _usd_per_1000(
    off: Sequence[tuple[LabelledQuestion, Row]], questions: int, policy: Policy
) -> float | None:
    """The estimated cost, for answers of the cloud as long as the local ones; None if a price is unknown."""
    cloud = policy.cloud
    if cloud is None:
        return None
    total = 0.0
    for question, row in off:
        size = len(Call(cloud, request_for(question).messages(), row.tokens_out).content())
        cost = prices.cost(cloud, prices.Used(prices.estimate(size, "", ()).tokens_in, row.tokens_out))
        if cost is None:
            return None
        total += cost
    return round(1000 * total / questions, 6)
