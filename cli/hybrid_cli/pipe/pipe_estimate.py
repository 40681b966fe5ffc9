"""Estimate a run for `hybrid pipe --dry-run`: records, tokens, handoffs and cost. Loads and sends nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hybrid_cli.cloud.payload import Call
from hybrid_cli.cloud.prices import Used, cost
from hybrid_cli.egress.answer_limit import answer_limit
from hybrid_cli.egress.budget import left_in_words, worst_cost
from hybrid_cli.egress.permission import permission_for
from hybrid_cli.egress.prompt_rules import RequestFacts, under_rules
from hybrid_cli.egress.request import outgoing_messages
from hybrid_cli.exit_status import Failure
from hybrid_cli.gate.criterion import criterion_of
from hybrid_cli.ledger.amounts import usd
from hybrid_cli.pipe.pending import PendingRecord
from hybrid_cli.pipe.record_cascade import Instruction
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.profile.policy import Policy
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Store


@dataclass
class _Group:
    """Records that take the same route."""

    records: int = 0
    tokens: int = 0
    """In their prompts."""
    usd_at_most: float | None = 0.0
    """The budget they need in the worst case; None if a price is unknown."""

    def add(self, facts: RequestFacts) -> None:
        self.records += 1
        self.tokens += facts.tokens()

    def add_handoff(self, facts: RequestFacts, policy: Policy, longest: int) -> None:
        self.add(facts)
        if self.usd_at_most is not None:
            worst = _worst_cost(facts.request, policy, longest)
            self.usd_at_most = None if worst is None else self.usd_at_most + worst


@dataclass
class _Groups:
    """The input's records by route."""

    local: _Group = field(default_factory=_Group)
    """No handoff: denied, or kept by a rule."""
    cloud: _Group = field(default_factory=_Group)
    """A handoff without a local answer."""
    gated: _Group = field(default_factory=_Group)
    """The gate decides."""
    failing: int = 0
    answered_before: int = 0

    @property
    def records(self) -> int:
        return self.local.records + self.cloud.records + self.gated.records

    @property
    def tokens(self) -> int:
        return self.local.tokens + self.cloud.tokens + self.gated.tokens


def estimate(
    records: Iterable[PendingRecord], instruction: Instruction, policy: Policy, environment: Environment
) -> dict[str, Any]:
    """Read all records and return the plan of the run.

    Counts four bytes of a prompt as a token. `usd_at_most` is what hybrid would reserve from the budget.
    """
    groups = _grouped(records, instruction, policy, environment)
    share, source = _handoff_share(policy, environment) if groups.gated.records else (0.0, "")
    cloud = policy.cloud
    plan = {
        "records": groups.records + groups.failing,
        "done_before": groups.answered_before,
        "failing": groups.failing,
        "tokens": groups.tokens,
        "model": "not used" if policy.mode == "force" else policy.local.model,
        "cloud": "none" if cloud is None else f"{cloud.model} at {origin_of(cloud.base_url)}",
        "mode": f"{policy.mode} (set by {policy.decided_by})",
    }
    denied = permission_for(instruction.examples()[0], policy, environment).denied
    if denied is not None:
        plan["handoff"] = denied
    at_most = groups.cloud.records + groups.gated.records
    expected = None if share is None else groups.cloud.records + groups.gated.records * share
    plan["handed_off"] = "unknown" if expected is None else _percent(expected, groups.records)
    if source:
        plan["expected_by"] = source
    plan["handed_off_at_most"] = _percent(at_most, groups.records)
    if cloud is not None and at_most:
        plan |= _costs(policy, groups.cloud, groups.gated, share)
        plan["left"] = left_in_words(policy, environment)
    return plan


def _grouped(
    records: Iterable[PendingRecord], instruction: Instruction, policy: Policy, environment: Environment
) -> _Groups:
    """Sort all records by their route."""
    groups = _Groups()
    longest = 0 if policy.cloud is None else answer_limit(policy.cloud, policy, environment)
    for pending in records:
        record = pending.record
        if record is None:
            groups.answered_before += 1
            continue
        if record.is_blank:
            continue
        try:
            facts = RequestFacts(instruction.request_for(record), instruction.tags)
            record_policy, ruling = under_rules(policy, facts)
        except Failure:
            groups.failing += 1
            continue
        denied = permission_for(facts.request, record_policy, environment).denied
        if denied or (ruling and ruling.then == "local"):
            groups.local.add(facts)
        elif record_policy.forced_by is not None or (ruling and ruling.then == "force"):
            groups.cloud.add_handoff(facts, record_policy, longest)
        else:
            groups.gated.add_handoff(facts, record_policy, longest)
    return groups


def _percent(part: float, of: int) -> str:
    return f"{part / of:.0%} ({part:.0f} records)" if of else "0 records"


def _handoff_share(policy: Policy, environment: Environment) -> tuple[float | None, str]:
    """Return the share of records the gate should hand off, and where that figure comes from.

    Raises Failure: WEIGHTS if the model is missing, USAGE if the target needs a calibration.
    """
    weights = Store(environment).verified(policy.local.model)
    criterion = criterion_of(policy, weights, environment)
    promise, calibration = criterion.promise, criterion.calibration
    if promise is None or calibration is None:
        return None, "a plain threshold does not predict the share; to measure it, run: hybrid eval"
    if not calibration.rows:
        return None, "the model has no calibration; to measure the share, run: hybrid calibrate"
    return promise.handed_off, (
        f"the calibration for {promise.target}={promise.value:g} on {calibration.rows} questions"
    )


def _worst_cost(request: Request, policy: Policy, longest: int) -> float | None:
    """Return the USD that hybrid would reserve for `request`, whose answer has at most `longest` tokens.

    None if a price is unknown.
    """
    if policy.cloud is None:
        return None
    schema = request.schema.data if request.schema is not None else None
    messages = outgoing_messages(request, policy.cloud)
    call = Call(
        policy.cloud, messages, longest, policy.cloud_temperature, request.tools, schema, request.stop
    )
    return worst_cost(call, len(call.content()))


def _costs(policy: Policy, cloud: _Group, gated: _Group, share: float | None) -> dict[str, str]:
    """Return the likely cost, if each answer is as long as a local one may be, and the most that hybrid would reserve."""
    if policy.cloud is None or cloud.usd_at_most is None or gated.usd_at_most is None:
        return {"usd": "unknown; set cloud.prices"}
    at_most = {"usd_at_most": usd(cloud.usd_at_most + gated.usd_at_most)}
    if share is None:
        return at_most
    tokens_out = (cloud.records + share * gated.records) * policy.local.sampling.max_tokens
    likely = Used(round(cloud.tokens + share * gated.tokens), round(tokens_out))
    return {"usd": usd(cost(policy.cloud, likely) or 0.0), **at_most}
