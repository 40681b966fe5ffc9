"""`hybrid pipe --dry-run`: records, tokens, handoffs and cost, without loading or sending anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hybrid_cli.cloud.payload import Call
from hybrid_cli.cloud.prices import Used, cost
from hybrid_cli.egress.budget import left_in_words, worst_cost
from hybrid_cli.egress.permission import permission_for
from hybrid_cli.egress.prompt_rules import RequestFacts, under_rules
from hybrid_cli.egress.request import leaving
from hybrid_cli.exit_status import Failure
from hybrid_cli.gate.criterion import criterion_of
from hybrid_cli.ledger.database import usd
from hybrid_cli.pipe.pending import PendingRecord
from hybrid_cli.pipe.record_cascade import Instruction
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.profile.policy import Policy
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Store


@dataclass
class _Sum:
    """Records with the same route."""

    records: int = 0
    tokens: int = 0
    """In their prompts."""
    usd_at_most: float | None = 0.0
    """The budget they need in the worst case; None if a price is unknown."""

    def add(self, facts: RequestFacts, policy: Policy) -> None:
        self.records += 1
        self.tokens += facts.tokens()
        if self.usd_at_most is not None:
            worst = _worst(facts.request, policy)
            self.usd_at_most = None if worst is None else self.usd_at_most + worst


def estimate(
    found: Iterable[PendingRecord], instruction: Instruction, policy: Policy, environment: Environment
) -> dict[str, Any]:
    """Read all records and return the plan. A token counts as four bytes; USD at most is the reservation."""
    stay, leave, gated = _Sum(), _Sum(), _Sum()
    failing = done_before = 0
    for arrival in found:
        record = arrival.record
        if record is None:
            done_before += 1
            continue
        if record.is_blank:
            continue
        try:
            facts = RequestFacts(instruction.about(record), instruction.tags)
            own, ruling = under_rules(policy, facts)
        except Failure:
            failing += 1
            continue
        denied = permission_for(facts.request, own, environment).denied
        if denied or (ruling and ruling.then == "local"):
            stay.records += 1
            stay.tokens += facts.tokens()
        elif own.forced_by is not None or (ruling and ruling.then == "force"):
            leave.add(facts, own)
        else:
            gated.add(facts, own)
    share, why = _share(policy, environment) if gated.records else (0.0, "")
    all_ = stay.records + leave.records + gated.records
    plan = {
        "records": all_ + failing,
        "done_before": done_before,
        "failing": failing,
        "tokens": stay.tokens + leave.tokens + gated.tokens,
        "model": "not used" if policy.mode == "force" else policy.local.model,
        "cloud": "none"
        if policy.cloud is None
        else f"{policy.cloud.model} at {origin_of(policy.cloud.base_url)}",
        "mode": f"{policy.mode} (set by {policy.decided_by})",
    }
    example = instruction.examples()[0]
    denied = permission_for(example, policy, environment).denied
    if denied is not None:
        plan["handoff"] = denied
    most = leave.records + gated.records
    expected = None if share is None else leave.records + gated.records * share
    plan["handed_off"] = "unknown" if expected is None else _percent(expected, all_)
    if why:
        plan["expected_by"] = why
    plan["handed_off_at_most"] = _percent(most, all_)
    if policy.cloud is not None and most:
        plan |= _money(policy, leave, gated, share)
        plan["left"] = left_in_words(policy, environment)
    return plan


def _percent(part: float, of: int) -> str:
    return f"{part / of:.0%} ({part:.0f} records)" if of else "0 records"


def _share(policy: Policy, environment: Environment) -> tuple[float | None, str]:
    """Return the share of records the gate should hand off, and where that figure comes from.

    Raises Failure: WEIGHTS if the model is missing, USAGE if the target needs a calibration.
    """
    weights = Store(environment).locate(policy.local.model)
    calibration = criterion_of(policy, weights.sha256, environment).calibration
    if calibration is None:
        return None, "a threshold does not predict the share; to measure it: hybrid eval"
    named = f"the calibration for {calibration.target}={calibration.value:g} of {calibration.rows} questions"
    if calibration.handed_off is not None:
        return calibration.handed_off, named
    if calibration.target == "escalate_at_most":
        return calibration.value, named
    return None, f"{named} does not say; to fit it again: hybrid calibrate"


def _worst(request: Request, policy: Policy) -> float | None:
    """Return the USD reserved before `request` is sent."""
    if policy.cloud is None:
        return None
    schema = request.schema.data if request.schema is not None and request.schema.is_object else None
    longest = policy.local.sampling.max_tokens
    messages = leaving(request, policy.cloud)
    call = Call(
        policy.cloud, messages, longest, policy.cloud_temperature, request.tools, schema, request.stop
    )
    return worst_cost(call, len(call.content()))


def _money(policy: Policy, leave: _Sum, gated: _Sum, share: float | None) -> dict[str, str]:
    """Return USD: likely, if each answer is as long as allowed, and at most, as the limits count it."""
    if policy.cloud is None or leave.usd_at_most is None or gated.usd_at_most is None:
        return {"usd": "unknown; set cloud.prices"}
    most = {"usd_at_most": usd(leave.usd_at_most + gated.usd_at_most)}
    if share is None:
        return most
    tokens_out = (leave.records + share * gated.records) * policy.local.sampling.max_tokens
    likely = Used(round(leave.tokens + share * gated.tokens), round(tokens_out))
    return {"usd": usd(cost(policy.cloud, likely) or 0.0), **most}
