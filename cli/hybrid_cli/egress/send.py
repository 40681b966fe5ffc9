"""The one way out. Nothing else in the program sends a prompt to a cloud.

The order is always the same: policy, consent, privacy scan, budget reservation, ledger row, send, settle.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from msgspec import structs

from hybrid_cli.cloud.client import complete
from hybrid_cli.cloud.dialects import REMEDIES, Dialect, after_refusal
from hybrid_cli.cloud.faults import CloudFault
from hybrid_cli.cloud.keys import read_key
from hybrid_cli.cloud.payload import Call
from hybrid_cli.cloud.streams import Reply
from hybrid_cli.egress.backpressure import Backpressure
from hybrid_cli.egress.budget import Account
from hybrid_cli.egress.learned_dialects import LearnedDialects
from hybrid_cli.egress.permission import Permission, permission_for
from hybrid_cli.egress.reply_check import check_reply, note_cut_prompt, show_lost_text, show_server_message
from hybrid_cli.egress.request import scanned_call
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ledger.amounts import sum_of, usd_bound
from hybrid_cli.ledger.database import Settlement
from hybrid_cli.local.thinking import cloud_splitter
from hybrid_cli.local.unopened_thinking import without_unopened_thinking
from hybrid_cli.profile.cloud_section import Server
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.profile.policy import Policy
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import SILENCE_SECONDS, Environment
from hybrid_cli.ui.stopwatch import Stopwatch

if TYPE_CHECKING:  # late, as most runs send nothing
    from hybrid_cli.privacy.redact import Restorer, Vault

_LONGER = 4
"""How many times the limit a request gets whose answer was cut."""
_RETRIES_OF_BROKEN_ANSWERS = 1
"""Each of them is charged again, and an answer that broke twice will probably break again."""
_MAX_WAIT = 60.0
"""Seconds to wait before a request is sent again, if there is no deadline."""


@dataclass(frozen=True)
class Handoff:
    """A request to hand off, and why."""

    request: Request
    policy: Policy
    reason: str
    """One word, for the ledger."""
    explanation: str
    """For the user."""
    lost_costs: list[float | None] = field(default_factory=list)
    """USD of requests without a usable answer, at most; None if a price is unknown. `send` adds to it."""


@dataclass(frozen=True)
class Sent:
    """A cloud's whole answer with the redacted values restored, and its settlement."""

    reply: Reply
    settlement: Settlement
    row: int
    """In the ledger."""


def send(
    handoff: Handoff,
    environment: Environment,
    on_text: Callable[[str], None],
    *,
    is_shown: bool,
    stopwatch: Stopwatch,
    backpressure: Backpressure,
) -> Sent:
    """Hand the request off, to the first cloud of the profile that answers.

    With `is_shown` the user sees the text passed to `on_text` at once, so that no other answer can replace it.
    Raises Failure: DENIED, LIMIT, KEY, CLOUD, or CHECK for an incomplete answer.
    """
    permission = permission_for(handoff.request, handoff.policy, environment)
    if permission.denied is not None or not permission.has_consent:
        raise Failure(ExitStatus.DENIED, permission.denied or "no consent to send there")
    servers = _servers(handoff.policy, permission)
    for number, server in enumerate(servers, 1):
        attempts = _Attempts.prepare(server, handoff, environment, stopwatch, backpressure)
        try:
            sent = attempts.run(handoff.explanation, on_text, is_shown=is_shown)
        except CloudFault as fault:
            if fault.status not in (ExitStatus.CLOUD, ExitStatus.LIMIT) or attempts.has_begun(is_shown):
                raise
            if number == len(servers):
                _note_skipped(permission, environment)
                raise
            environment.note(f"{fault}; trying {servers[number].model}")
        except Failure:  # a limit, or the deadline
            if attempts.fault is not None:
                environment.note(str(attempts.fault))
            raise
        else:
            if sent.reply.finish_reason == "length" and not attempts.has_begun(is_shown):
                sent = attempts.ask_again(sent, on_text, is_shown=is_shown)
            return _checked(sent, handoff, environment)
    raise AssertionError("the last cloud answers or raises")


def _checked(sent: Sent, handoff: Handoff, environment: Environment) -> Sent:
    """Return `sent` with the cost of all requests. Raises Failure (CHECK) if it is no whole answer."""
    try:
        check_reply(sent.reply, handoff.request, environment)
    except Failure:
        handoff.lost_costs.append(sent.settlement.cost)
        raise
    return _with_cost_of(handoff.lost_costs, sent)


def _with_cost_of(lost: list[float | None], sent: Sent) -> Sent:
    """Add the costs of requests that got no answer, but may have been charged."""
    if not lost:
        return sent
    total = sum_of([sent.settlement.cost, *lost])
    return replace(sent, settlement=replace(sent.settlement, cost=total, estimated=True))


def _servers(policy: Policy, permission: Permission) -> list[Server]:
    """Return the profile's cloud and the fallbacks that may be tried."""
    cloud: list[Server] = [policy.cloud] if policy.cloud is not None else []
    return cloud + [fallback.server for fallback in permission.fallbacks if fallback.skip_reason is None]


def _note_skipped(permission: Permission, environment: Environment) -> None:
    for fallback in permission.fallbacks:
        if fallback.skip_reason is not None:
            origin = origin_of(fallback.server.base_url)
            environment.note(f"not tried: {fallback.server.model} at {origin} ({fallback.skip_reason})")


@dataclass
class _Attempts:
    """One request to one server, sent until the server answers or hybrid gives up."""

    server: Server
    call: Call
    key: str | None
    vault: Vault
    account: Account
    environment: Environment
    stopwatch: Stopwatch
    backpressure: Backpressure
    lost_costs: list[float | None]
    """See `Handoff`."""
    wants_json: bool
    """Whether the answer must be JSON."""
    fault: CloudFault | None = None
    """The last attempt's."""
    _pieces: int = 0
    _tried: list[Dialect] = field(default_factory=list)
    """The dialects that the server refused."""

    @classmethod
    def prepare(
        cls,
        server: Server,
        handoff: Handoff,
        environment: Environment,
        stopwatch: Stopwatch,
        backpressure: Backpressure,
    ) -> _Attempts:
        """Scan the request and build the call. Raises Failure: DENIED for a secret, KEY without a key."""
        request, policy = handoff.request, handoff.policy
        key = read_key(server.key, environment) if server.key is not None else None
        call, vault = scanned_call(server, request, policy, environment, key)
        account = Account(policy, handoff.reason, vault.counts, environment)
        _note_redactions(vault, environment)
        wants_json = request.schema is not None
        costs = handoff.lost_costs
        return cls(server, call, key, vault, account, environment, stopwatch, backpressure, costs, wants_json)

    def has_begun(self, is_shown: bool) -> bool:
        """Return whether the user has seen a part of the answer."""
        return is_shown and self._pieces > 0

    def run(self, explanation: str, on_text: Callable[[str], None], *, is_shown: bool) -> Sent:
        """Send, and send again after transient faults, or in another dialect. Raises Failure."""
        origin = origin_of(self.server.base_url)
        # If one request after another fails, each is sent only once.
        last = 0 if self.backpressure.is_failing(origin) else self.server.retries
        attempt = 0
        while True:
            try:
                return self._attempt(origin, explanation, on_text)
            except CloudFault as fault:
                if self._learn(fault):
                    continue
                wait = _pause(fault, attempt)
                if fault.was_accepted:
                    last = min(last, _RETRIES_OF_BROKEN_ANSWERS)
                if (
                    not fault.transient
                    or attempt >= last
                    or self.has_begun(is_shown)
                    or wait > self._seconds_left()
                ):
                    raise
                refusal = self.account.refusal(self.call)
                if refusal is not None:
                    self.environment.note(f"not sent again: {refusal}")
                    raise
                self._note_retry(fault, wait)
            time.sleep(wait)
            attempt += 1

    def _note_retry(self, fault: CloudFault, wait: float) -> None:
        again = f"{fault}; sending again in {wait:.1f} s"
        if fault.was_accepted:
            self.environment.note(f"{again} (the server may charge both requests)")
        elif wait > SILENCE_SECONDS:
            self.environment.note(again)
        else:
            self.environment.detail(again)

    def _attempt(self, origin: str, explanation: str, on_text: Callable[[str], None]) -> Sent:
        """Reserve, send once and settle. Raises Failure."""
        self.backpressure.wait_for_turn(origin, self._seconds_left())
        with self.backpressure.reserved(lambda: self.account.reserve(self.call)) as (row, worst):
            if self.fault is None:
                price = self.call.image_note + (f", at most {usd_bound(worst)}" if worst else "")
                self.environment.note(f"handed off to {self.server.model}: {explanation}{price}")
            try:
                sent = self._send_once(row, on_text)
            except CloudFault as fault:
                self.fault = fault
                show_server_message(fault, self.call, self.key, self.environment)
                show_lost_text(fault.text, self.environment)
                if fault.outcome == "unknown":
                    self.lost_costs.append(worst)
                self.account.close(row, fault)
                self.backpressure.failed(origin, fault)
                raise
            except BaseException:
                self.account.close(row, None)
                raise
            self.backpressure.answered(origin, sent.reply.pause)
        if self.call.in_dialect not in self._tried and self._tried:
            LearnedDialects(self.environment).keep(self.server, self.call.in_dialect)
        return sent

    def _learn(self, fault: CloudFault) -> bool:
        """Change the call's dialect after a refusal. Returns whether there is another one to try."""
        before, field = self.call.in_dialect, fault.refused_field
        self._tried.append(before)
        if fault.most_tokens is not None and fault.most_tokens < self.call.token_limit:
            dialect = structs.replace(before, most_tokens=fault.most_tokens)
            what = f"gives at most {fault.most_tokens} tokens; asking for as many"
        elif field is not None:
            dialect = after_refusal(before, field)
            what = f"refuses `{field}`; asking {REMEDIES[field][0]}" if field in REMEDIES else ""
        else:
            return False
        if dialect in self._tried:
            return False
        self.environment.detail(f"{self.server.model} {what}")
        self.call = replace(self.call, dialect=dialect)
        return True

    def ask_again(self, cut: Sent, on_text: Callable[[str], None], *, is_shown: bool) -> Sent:
        """Return the answer with four times the limit, or `cut` if it cannot be had. Its cost includes that of `cut`."""
        limit = self.call.token_limit
        if limit in (self.account.policy.answer_tokens, self.call.in_dialect.most_tokens):
            return cut  # the user, or the server, wants this limit
        longer = replace(self, call=replace(self.call, max_tokens=_LONGER * limit), fault=None, _tried=[])
        try:
            sent = longer.run(
                f"again, because its answer was cut at {limit} tokens", on_text, is_shown=is_shown
            )
        except Failure as failure:
            if longer.has_begun(is_shown):
                raise
            self.environment.note(f"the answer was cut at {limit} tokens; asking for more failed: {failure}")
            return cut
        estimated = cut.settlement.estimated or sent.settlement.estimated
        total = sum_of([cut.settlement.cost, sent.settlement.cost])
        return replace(sent, settlement=replace(sent.settlement, cost=total, estimated=estimated))

    def _send_once(self, row: int, on_text: Callable[[str], None]) -> Sent:
        """Send once, and settle."""
        from hybrid_cli.privacy.redact import Restorer

        restorer = Restorer(self.vault, is_json=self.wants_json)
        splitter = cloud_splitter()
        restored: list[str] = []
        where = f"{self.server.model} at {origin_of(self.server.base_url)}"
        with self.environment.waiting(f"waiting for {where}") as waiting:

            def take(text: str) -> None:
                waiting.end()
                self._pieces += 1
                give(restorer.feed(splitter.feed(text).answer))

            def give(text: str) -> None:
                if text:
                    restored.append(text)
                    on_text(text)

            reply = complete(self.call, self.key, self.environment, take)
        settlement = self.account.settle(row, self.call, reply)
        give(restorer.feed(splitter.flush().answer) + restorer.finish())
        _note_unrestored(restorer, self.vault, self.environment)
        note_cut_prompt(self.call, reply, self.environment)
        text = self.call.unwrapped(without_unopened_thinking("".join(restored)))
        return Sent(replace(reply, text=text), settlement, row)

    def _seconds_left(self) -> float:
        """Return the seconds that a retry may wait."""
        seconds = self.account.policy.limits.seconds
        if seconds is None:
            return _MAX_WAIT
        return seconds - self.stopwatch.elapsed()


def _pause(fault: CloudFault, attempt: int) -> float:
    """Return the seconds until the next attempt: as the server asks, or doubling with jitter."""
    return fault.wait if fault.wait is not None else 0.5 * 2**attempt * (1 + os.urandom(1)[0] / 512)


def _note_redactions(vault: Vault, environment: Environment) -> None:
    if vault.counts:
        counted = ", ".join(f"{number} {kind}" for kind, number in sorted(vault.counts.items()))
        environment.note(f"redacted before sending: {counted}")


def _note_unrestored(restorer: Restorer, vault: Vault, environment: Environment) -> None:
    if restorer.invented:
        environment.note(f"the answer has {restorer.invented} placeholders that hybrid did not send")
    if restorer.lost:
        environment.note(_unused(restorer.lost, len(vault.placeholders())))


def _unused(lost: int, redacted: int) -> str:
    if redacted == 1:
        return "the answer does not use the redacted value"
    return f"the answer does not use {lost} of {redacted} redacted values"
