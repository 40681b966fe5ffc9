"""What a pipe would take and cost, by its records, the profile's target and the cloud's prices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hybrid_cli.cloud.payload import Call
from hybrid_cli.cloud.prices import Used, cost
from hybrid_cli.egress import budget, permission
from hybrid_cli.egress import request as wire
from hybrid_cli.egress.prompt_rules import RequestFacts, under_rules
from hybrid_cli.exit_status import Failure
from hybrid_cli.gate.criterion import criterion_of
from hybrid_cli.ledger.database import Ledger, in_unit, usd
from hybrid_cli.pipe.pending import Arrival
from hybrid_cli.pipe.record_cascade import Asked
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.profile.policy import Policy
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Store


@dataclass
class _Sum:
    """Records of one fate."""

    records: int = 0
    tokens: int = 0
    """Of their prompts."""
    usd_at_most: float | None = 0.0
    """What a budget would have to hold for them; None where no price is known."""

    def add(self, facts: RequestFacts, policy: Policy) -> None:
        self.records += 1
        self.tokens += facts.tokens()
        if self.usd_at_most is not None:
            worst = _worst(facts.request, policy)
            self.usd_at_most = None if worst is None else self.usd_at_most + worst


def estimate(
    found: Iterable[Arrival], asked: Asked, policy: Policy, environment: Environment
) -> dict[str, Any]:
    """Reads all records; nothing is loaded or sent. Tokens are by four bytes each, USD at most as reserved."""
    stay, leave, judged = _Sum(), _Sum(), _Sum()
    failing = done_before = 0
    for arrival in found:
        record = arrival.record
        if record is None:
            done_before += 1
            continue
        if record.is_blank:
            continue
        try:
            facts = RequestFacts(asked.of(record), asked.tags)
            own, ruling = under_rules(policy, facts)
        except Failure:
            failing += 1
            continue
        if permission.denial(own, environment, facts.request) or (ruling and ruling.then == "local"):
            stay.records += 1
            stay.tokens += facts.tokens()
        elif own.forced_by is not None or (ruling and ruling.then == "force"):
            leave.add(facts, own)
        else:
            judged.add(facts, own)
    share, why = _share(policy, environment) if judged.records else (0.0, "")
    all_ = stay.records + leave.records + judged.records
    plan = {
        "records": all_ + failing,
        "done_before": done_before,
        "failing": failing,
        "tokens": stay.tokens + leave.tokens + judged.tokens,
        "model": "not used" if policy.mode == "force" else policy.local.model,
        "cloud": "none"
        if policy.cloud is None
        else f"{policy.cloud.model} at {origin_of(policy.cloud.base_url)}",
        "mode": f"{policy.mode} (set by {policy.decided_by})",
    }
    example = asked.examples()[0]
    denied = permission.denial(policy, environment, example)
    if denied is not None:
        plan["handoff"] = denied
    most = leave.records + judged.records
    expected = None if share is None else leave.records + judged.records * share
    plan["handed_off"] = "not known" if expected is None else _percent(expected, all_)
    if why:
        plan["expected_by"] = why
    plan["handed_off_at_most"] = _percent(most, all_)
    if policy.cloud is not None and most:
        plan |= _money(policy, leave, judged, share)
        ledger = Ledger(environment.state_folder)
        left = [
            f"{limit.key} {in_unit(ledger.left(limit, environment.run), limit.unit)}"
            for limit in budget.limits_of(policy)
        ]
        plan["left"] = ", ".join(left) or "no limit is set"
    return plan


def _percent(part: float, of: int) -> str:
    return f"{part / of:.0%} ({part:.0f} records)" if of else "0 records"


def _share(policy: Policy, environment: Environment) -> tuple[float | None, str]:
    """The share of records that the gate is expected to hand off, and by what that is known.

    Raises Failure: WEIGHTS where the model is not here, USAGE where the target needs a calibration.
    """
    weights = Store(environment).locate(policy.local.model)
    calibration = criterion_of(policy, weights.sha256, environment).calibration
    if calibration is None:
        return None, "a threshold says nothing of the share; hybrid eval measures it"
    named = f"the calibration for {calibration.target}={calibration.value:g} of {calibration.rows} questions"
    if calibration.handed_off is not None:
        return calibration.handed_off, named
    if calibration.target == "escalate_at_most":
        return calibration.value, named
    return None, f"{named} does not say; hybrid calibrate again"


def _worst(request: Request, policy: Policy) -> float | None:
    """USD that is reserved before `request` is sent, as it stands."""
    if policy.cloud is None:
        return None
    schema = request.schema.data if request.schema is not None and request.schema.is_object else None
    longest = policy.local.sampling.max_tokens
    messages = wire.leaving(request, policy.cloud)
    call = Call(
        policy.cloud, messages, longest, policy.cloud_temperature, request.tools, schema, request.stop
    )
    return budget.worst_cost(call, len(call.content()))


def _money(policy: Policy, leave: _Sum, judged: _Sum, share: float | None) -> dict[str, str]:
    """USD: likely, if each answer is as long as it may be, and at most, as the limits count it."""
    if policy.cloud is None or leave.usd_at_most is None or judged.usd_at_most is None:
        return {"usd": "not known; cloud.prices sets the price"}
    most = {"usd_at_most": usd(leave.usd_at_most + judged.usd_at_most)}
    if share is None:
        return most
    tokens_out = (leave.records + share * judged.records) * policy.local.sampling.max_tokens
    likely = Used(round(leave.tokens + share * judged.tokens), round(tokens_out))
    return {"usd": usd(cost(policy.cloud, likely) or 0.0), **most}
