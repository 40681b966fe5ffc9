"""Money: a policy's limits, what is left of them, and each request's row in the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from hybrid_cli.cloud.faults import CloudFault
from hybrid_cli.cloud.payload import Call
from hybrid_cli.cloud.prices import Used, cost, estimate, image_tokens, is_guess, worst_case
from hybrid_cli.cloud.streams import Reply
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ledger.database import Ledger, LedgerEntry, Settlement
from hybrid_cli.ledger.limits import Limit, Period, Unit, in_unit
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment

_KEYS: tuple[tuple[str, Unit, Period], ...] = (
    ("usd_per_run", "usd", "run"),
    ("usd_per_day", "usd", "day"),
    ("usd_per_month", "usd", "month"),
    ("calls_per_run", "calls", "run"),
    ("calls_per_day", "calls", "day"),
    ("calls_per_month", "calls", "month"),
)


def limits_of(policy: Policy) -> list[Limit]:
    """Return every limit on spending that `policy` sets."""
    return [*_limits_in(policy, "limits", None), *_limits_in(policy, "limits.of_profile", policy.profile)]


def _limits_in(policy: Policy, section: str, profile: str | None) -> Iterator[Limit]:
    for name, unit, period in _KEYS:
        found = policy.values.get(f"{section}.{name}")
        if found is not None and found.value is not None:
            yield Limit(f"{section}.{name}", found.layer, unit, period, found.value, profile)


@dataclass(frozen=True)
class Remainder:
    """What is left of one limit."""

    limit: Limit
    amount: float

    def __str__(self) -> str:
        return in_unit(self.amount, self.limit.unit)


def left_of_limits(policy: Policy, environment: Environment) -> list[Remainder]:
    """Return what is left of every limit that `policy` sets."""
    ledger = Ledger(environment.state_folder)
    return [Remainder(limit, ledger.left(limit, environment.run_id)) for limit in limits_of(policy)]


def left_in_words(policy: Policy, environment: Environment) -> str:
    """Return what is left of every limit, for one line of a plan."""
    left = [f"{one.limit.key} {one}" for one in left_of_limits(policy, environment)]
    return ", ".join(left) or "no limit is set"


@dataclass
class Account:
    """The ledger and the limits for one request."""

    policy: Policy
    reason: str
    redactions: Mapping[str, int]
    environment: Environment

    def __post_init__(self) -> None:
        self._ledger = Ledger(self.environment.state_folder)
        self._limits = limits_of(self.policy)

    def reserve(self, call: Call) -> tuple[int, float | None]:
        """Reserve the worst case of `call`, and return its row and that worst case in USD (None: unknown).

        Raises Failure (LIMIT) if that is too much.
        """
        import hashlib

        content, readable = call.content(), call.readable()
        worst = self._worst(call, len(readable))
        entry = LedgerEntry(
            run=self.environment.run_id,
            profile=self.policy.profile,
            decided_by=self.policy.decided_by,
            reason=self.reason,
            origin=origin_of(call.server.base_url),
            model=call.server.model,
            tools=",".join(call.tools),
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            redactions=json.dumps(self.redactions),
            reserved=worst,
            images=json.dumps([image.as_record() for image in call.images]),
            prompt=readable.decode() if self.policy.log.prompts else None,
        )
        with self.environment.waiting("waiting for the ledger"):
            return self._ledger.reserve(entry, self._limits), worst

    def refusal(self, call: Call) -> str | None:
        """Return why `reserve` would refuse `call` now, for the user; None if it would not."""
        try:
            worst = self._worst(call, len(call.readable()))
            self._ledger.check(self.environment.run_id, worst, self._limits)
        except Failure as failure:
            if failure.status is not ExitStatus.LIMIT:
                raise
            return str(failure)
        return None

    def _worst(self, call: Call, size: int) -> float | None:
        """Return the worst case of `call` in USD. Raises Failure (LIMIT) if a limit needs an unknown price."""
        worst = worst_cost(call, size)
        dollar_limit = next((limit for limit in self._limits if limit.unit == "usd"), None)
        if worst is None and dollar_limit is not None:
            raise Failure(
                ExitStatus.LIMIT,
                f"the price of {call.server.model} is unknown, and {dollar_limit.layer} sets"
                f" {dollar_limit.key}; set cloud.prices",
            )
        return worst

    def settle(self, row: int, call: Call, reply: Reply) -> Settlement:
        """Settle a whole reply by the usage the server reports, or else by an estimate."""
        used = used_by(call, reply)
        settlement = Settlement(
            "answered",
            cost=cost(call.server, used),
            estimated=used.estimated or is_guess(call.server, used),
            tokens_in=used.tokens_in,
            tokens_cached=used.cached,
            tokens_out=used.tokens_out,
            tokens_reasoning=used.reasoning,
            answer=reply.text if self.policy.log.prompts else None,
        )
        self._write(row, settlement)
        return settlement

    def close(self, row: int, fault: CloudFault | None) -> None:
        """End a row without an answer: nothing to pay, or the reservation if the outcome is unknown."""
        outcome: Literal["refused", "unknown"] = "unknown" if fault is None else fault.outcome
        self._write(row, Settlement(outcome, cost=0.0 if outcome == "refused" else None))

    def _write(self, row: int, settlement: Settlement) -> None:
        """Settle in the ledger. If the ledger fails now, the answer or the fault is still reported."""
        try:
            self._ledger.settle(row, settlement)
        except Failure as failure:
            self.environment.note(f"{failure}; the reservation for this request remains")


_OVERSHOOT = 4
"""Servers count tokens differently: a reply may claim this many times what was reserved."""
_MOST_ADDED = 50_000
"""Tokens that a server may add to the input: a system prompt of its own, or the results of tools."""


def worst_cost(call: Call, size: int) -> float | None:
    """Return USD for the worst case of `call`; None if the price is unknown.

    `size`: the bytes of its payload without the images, which count by themselves.
    """
    tiers = {None, call.server.extra.service_tier}  # a cheaper tier may be full
    seen = image_tokens(call.server.model, len(call.images))
    worst = [worst_case(size, call.max_tokens, call.tools, tier) for tier in tiers]
    costs = [cost(call.server, replace(one, tokens_in=one.tokens_in + seen)) for one in worst]
    return max((one for one in costs if one is not None), default=None)


def used_by(call: Call, reply: Reply) -> Used:
    """Return the tokens and tools of `reply`; an estimate if the server reports nothing plausible."""
    tokens_in, tokens_out = reply.tokens_in, reply.tokens_out
    tier = reply.tier or call.server.extra.service_tier
    if not tokens_in or tokens_out is None or (reply.text and not tokens_out) or _is_too_much(call, reply):
        likely = estimate(len(call.readable()), reply.text, reply.tools)
        seen = image_tokens(call.server.model, len(call.images))
        return replace(likely, tokens_in=likely.tokens_in + seen, tier=tier)
    return Used(tokens_in, tokens_out, reply.cached, reply.reasoning, reply.tools, tier=tier)


def _is_too_much(call: Call, reply: Reply) -> bool:
    """Whether a count in `reply` is so far over what was sent that it cannot be true: it would use up the budget."""
    worst = worst_case(len(call.readable()), call.max_tokens, call.tools)
    most_in = worst.tokens_in + image_tokens(call.server.model, len(call.images))
    return (reply.tokens_out or 0) > _OVERSHOOT * call.max_tokens or (
        reply.tokens_in or 0
    ) > _OVERSHOOT * most_in + _MOST_ADDED
