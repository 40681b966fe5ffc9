"""The one way out. Nothing else in the program sends a prompt to a cloud.

The order is always the same: policy, consent, privacy scan, budget reservation, ledger row, send, settle.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hybrid_cli.cloud.client import complete
from hybrid_cli.cloud.faults import CloudFault
from hybrid_cli.cloud.keys import read_key
from hybrid_cli.cloud.payload import Call
from hybrid_cli.cloud.streams import Reply
from hybrid_cli.egress.backpressure import Traffic
from hybrid_cli.egress.budget import Account
from hybrid_cli.egress.permission import denial, has_consent, usable_servers
from hybrid_cli.egress.request import call_to, leaving
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ledger.database import Settlement, usd_bound
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.profile.policy import Policy
from hybrid_cli.profile.schema import Server
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import SILENCE_SECONDS, Environment, cut

if TYPE_CHECKING:  # late, as most runs send nothing
    from hybrid_cli.privacy.redact import Restorer, Vault

_LONGEST_WAIT = 60.0
"""Seconds to wait before a request is sent again, where no deadline says less."""


@dataclass(frozen=True)
class Cause:
    """Why something is sent: in a word for the ledger, and in words for the user."""

    reason: str
    words: str


@dataclass(frozen=True)
class Sent:
    """A whole answer of a cloud, its values restored, and what was settled for it."""

    reply: Reply
    settlement: Settlement
    row: int
    """In the ledger."""


def send(
    request: Request,
    policy: Policy,
    cause: Cause,
    environment: Environment,
    on_text: Callable[[str], None],
    *,
    is_shown: bool,
    traffic: Traffic,
) -> Sent:
    """Hand the request off, to the first cloud of the profile that answers.

    `is_shown`: what `on_text` gets is seen at once, so that no other answer can take its place.
    Raises Failure: DENIED, LIMIT, KEY, CLOUD, or CHECK for a reply that is no whole answer.
    """
    from hybrid_cli.privacy.screen import screen

    denied = denial(policy, environment, request)
    if denied is not None or policy.cloud is None or not has_consent(policy.cloud, environment):
        raise Failure(ExitStatus.DENIED, denied or "no consent to send there")
    servers, skipped = usable_servers(policy.cloud, request, environment)
    for number, server in enumerate(servers, 1):
        key = read_key(server.key, environment) if server.key is not None else None
        screened = screen(leaving(request, server), policy.privacy, environment.variables, key)
        account = Account(policy, cause.reason, screened.vault.counts, environment)
        handoff = _Handoff(
            server,
            call_to(server, request, policy, screened, environment, key),
            account,
            environment,
            traffic,
        )
        _tell_redactions(screened.vault, environment)
        try:
            sent = handoff.run(key, cause.words, screened.vault, on_text, is_shown=is_shown)
        except CloudFault as fault:
            if fault.status is not ExitStatus.CLOUD or handoff.has_begun(is_shown):
                raise
            if number == len(servers):
                for why in skipped:
                    environment.note(f"not tried: {why}")
                raise
            environment.note(f"{fault}; trying {servers[number].model}")
        except Failure:  # a limit, or the deadline
            if handoff.fault is not None:
                environment.note(str(handoff.fault))
            raise
        else:
            _check(sent.reply, request)
            return sent
    raise AssertionError("the last cloud answers or raises")


@dataclass
class _Handoff:
    """One request to one server, sent until it is answered or given up."""

    server: Server
    call: Call
    account: Account
    environment: Environment
    traffic: Traffic
    fault: CloudFault | None = None
    """What the last request brought."""
    _pieces: int = 0

    def has_begun(self, is_shown: bool) -> bool:
        """Whether the user has seen a part of the answer."""
        return is_shown and self._pieces > 0

    def run(
        self, key: str | None, words: str, vault: Vault, on_text: Callable[[str], None], *, is_shown: bool
    ) -> Sent:
        origin = origin_of(self.server.base_url)
        # Where one request after another fails, each has one try only.
        last = 0 if self.traffic.is_failing(origin) else self.server.retries
        for attempt in range(last + 1):
            self.traffic.turn(origin, self._left())
            with self.traffic.reserved(lambda: self.account.reserve(self.call)) as (row, worst):
                if attempt == 0:
                    price = "" if worst is None else f", at most {usd_bound(worst)}"
                    self.environment.note(f"handed off to {self.server.model}: {words}{price}")
                try:
                    sent = self._once(row, key, vault, on_text)
                except CloudFault as fault:
                    self.fault = fault
                    self.account.close(row, fault)
                    self.traffic.failed(origin, fault)
                    wait = _pause(fault, attempt)
                    if (
                        not fault.passing
                        or attempt == last
                        or self.has_begun(is_shown)
                        or wait > self._left()
                    ):
                        raise
                    tell = self.environment.note if wait > SILENCE_SECONDS else self.environment.detail
                    tell(f"{fault}; sending again in {wait:.1f} s")
                except BaseException:
                    self.account.close(row, None)
                    raise
                else:
                    self.traffic.answered(origin, sent.reply.pause)
                    return sent
            time.sleep(wait)
        raise AssertionError("the last attempt answers or raises")

    def _once(self, row: int, key: str | None, vault: Vault, on_text: Callable[[str], None]) -> Sent:
        """Send once, and settle."""
        from hybrid_cli.privacy.redact import Restorer

        restorer = Restorer(vault)
        restored: list[str] = []
        where = f"{self.server.model} at {origin_of(self.server.base_url)}"
        with self.environment.waiting(f"waiting for {where}") as arrived:

            def take(text: str) -> None:
                arrived()
                self._pieces += 1
                give(restorer.feed(text))

            def give(text: str) -> None:
                if text:
                    restored.append(text)
                    on_text(text)

            reply = complete(self.call, key, self.environment, take)
        settlement = self.account.settle(row, self.call, reply)
        give(restorer.finish())
        _tell_unrestored(restorer, vault, self.environment)
        return Sent(replace(reply, text="".join(restored)), settlement, row)

    def _left(self) -> float:
        """Seconds that may be waited."""
        seconds = self.account.policy.limits.seconds
        if seconds is None:
            return _LONGEST_WAIT
        return seconds - (self.environment.clock() - self.environment.started)


def _pause(fault: CloudFault, attempt: int) -> float:
    """Seconds until the next attempt: what the server asks for, or else doubling, with chance against crowds."""
    return fault.wait if fault.wait is not None else 0.5 * 2**attempt * (1 + os.urandom(1)[0] / 512)


def _tell_redactions(vault: Vault, environment: Environment) -> None:
    if vault.counts:
        counted = ", ".join(f"{number} {kind}" for kind, number in sorted(vault.counts.items()))
        environment.note(f"redacted before sending: {counted}")


def _tell_unrestored(restorer: Restorer, vault: Vault, environment: Environment) -> None:
    if restorer.invented:
        environment.note(f"the answer holds {restorer.invented} placeholders that stand for nothing")
    if restorer.lost:
        environment.note(
            f"{restorer.lost} of {len(vault.placeholders())} redacted values are not in the answer"
        )


def _check(reply: Reply, request: Request) -> None:
    if reply.finish_reason == "length":
        raise Failure(ExitStatus.CHECK, "the cloud's answer was cut; --max-tokens raises the limit")
    if reply.finish_reason == "content_filter":
        raise Failure(ExitStatus.CHECK, "the cloud's answer was withheld by its content filter")
    if reply.finish_reason != "stop":
        raise Failure(
            ExitStatus.CHECK,
            f"the cloud's answer is not whole: it ended with `{cut(reply.finish_reason, 40)}`",
        )
    if not reply.text.strip() and not reply.images:
        raise Failure(ExitStatus.CHECK, "the cloud's answer is empty")
    if "image_generation" in request.tools and not reply.images:
        raise Failure(ExitStatus.CHECK, f"the cloud made no image, but said: {cut(reply.text)}")
