"""The one way out. Nothing else in the program sends a prompt to a cloud.

The order is always the same: policy, consent, privacy scan, budget reservation, ledger row, send, settle.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hybrid_cli.cloud import sdk
from hybrid_cli.cloud.client import complete, uses_tls
from hybrid_cli.cloud.faults import CloudFault
from hybrid_cli.cloud.keys import read_key
from hybrid_cli.cloud.payload import Call
from hybrid_cli.cloud.streams import Reply
from hybrid_cli.environment import SILENCE_SECONDS, Environment, cut
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.handoff.answer import Request
from hybrid_cli.handoff.budget import Account
from hybrid_cli.handoff.traffic import Traffic
from hybrid_cli.ledger.store import Settlement, usd_bound
from hybrid_cli.privacy.consent import Consent
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.profile.policy import Policy
from hybrid_cli.profile.schema import Cloud, Server

if TYPE_CHECKING:  # late, as most runs send nothing
    from hybrid_cli.privacy.redact import Restorer, Vault
    from hybrid_cli.privacy.screen import Screened

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


def denial(policy: Policy, environment: Environment, request: Request) -> str | None:
    """Why `request` may not be sent under `policy`, in words for the user; None where it may."""
    if policy.mode == "forbid":
        return f"escalation is forbidden by {policy.decided_by}"
    if policy.cloud is None:
        return f"no cloud is set in profile `{policy.profile}`"
    for tool in request.tools:
        if tool not in policy.cloud.tools:
            return f"the cloud of profile `{policy.profile}` does not offer {tool} (cloud.tools)"
        if policy.limits.tools is not None and tool not in policy.limits.tools:
            return f"{policy.values['limits.tools'].layer} does not allow {tool}"
    if not has_consent(policy.cloud, environment) and not environment.can_ask():
        origin = origin_of(policy.cloud.base_url)
        return f"no consent to send to {origin} (to give it: hybrid consent grant {origin})"
    return None


def must_ask(policy: Policy, environment: Environment) -> bool:
    """Whether a handoff waits for a yes: the mode is `ask`, or there is no consent to this cloud yet."""
    return policy.cloud is not None and (policy.mode == "ask" or not has_consent(policy.cloud, environment))


def ask(
    requests: Sequence[Request], policy: Policy, words: str, environment: Environment, traffic: Traffic
) -> str | None:
    """Put the handoff of `requests` to the user where `must_ask` says so.

    One question at a time. A yes to a new cloud is recorded for its origin and model, and a no holds for
    this process. The denial in words, or None to go on.
    """
    with traffic.asking:
        return _ask(requests, policy, words, environment, traffic)


def _ask(
    requests: Sequence[Request], policy: Policy, words: str, environment: Environment, traffic: Traffic
) -> str | None:
    cloud = policy.cloud
    if cloud is None or not must_ask(policy, environment):
        return None
    known = has_consent(cloud, environment)
    if not known and (cloud.base_url, cloud.model) in traffic.refused:
        return "you did not agree"
    size = sum(len(message["content"]) for request in requests for message in leaving(request, cloud))
    price = "" if cloud.prices is None else f", ${cloud.prices.input}/${cloud.prices.output} a million tokens"
    first = "" if known else " (and later prompts, when this happens)"
    where = f"{origin_of(cloud.base_url)}, model `{cut(cloud.model)}`{price}"
    if not environment.confirm(f"{words}: send {size} characters{first} to {where}?"):
        if not known:
            traffic.refused.add((cloud.base_url, cloud.model))
        return (
            f"{policy.decided_by} asks before each handoff, and nobody agreed"
            if known
            else "you did not agree"
        )
    if not known:
        Consent(environment).grant(cloud.base_url, cloud.model)
    return None


def has_consent(server: Server, environment: Environment) -> bool:
    """Whether the user agreed to send to this model at this origin."""
    return Consent(environment).covers(server.base_url, server.model)


def prepare(policy: Policy, environment: Environment) -> None:
    """Get ready to send, beside other work: a handoff has become likely. Nothing is sent."""
    if policy.cloud is not None:
        sdk.prefetch(environment.variables, needs_trust=uses_tls(policy.cloud))


def withhold_keys(policy: Policy, environment: Environment) -> None:
    """Take the clouds' keys out of the variables, before any other command is run."""
    servers = [] if policy.cloud is None else [policy.cloud, *policy.cloud.fallbacks]
    environment.withhold([one.key.env for one in servers if one.key is not None and one.key.env is not None])


def leaving(request: Request, server: Server) -> list[dict[str, str]]:
    """The messages that would leave: for a tool only what it is asked for, unless the profile says more."""
    if request.tools and server.tool_context == "arguments":
        return request.arguments()
    return request.messages()


def call_to(
    server: Server,
    request: Request,
    policy: Policy,
    screened: Screened,
    environment: Environment,
    key: str | None,
) -> Call:
    """The request as it would be sent to `server`. Raises Failure (DENIED) for a secret in its schema."""
    guided = _may_guide(request, policy, screened, environment, key)
    return Call(
        server,
        screened.messages,
        policy.local.sampling.max_tokens,
        policy.cloud_temperature,
        request.tools,
        request.schema.data if guided and request.schema is not None and request.schema.is_object else None,
        request.stop if guided else (),
    )


def _may_guide(
    request: Request, policy: Policy, screened: Screened, environment: Environment, key: str | None
) -> bool:
    """Whether schema and stop texts go along: only as they are, and not where a placeholder had to fit them.

    Nothing is lost without them but tokens: the answer is cut and validated here in any case.
    """
    if request.tools or screened.vault.counts:
        return False
    from hybrid_cli.privacy.screen import screen

    schema = [] if request.schema is None else [("--schema", request.schema.text)]
    guides = [
        {"role": role, "content": text} for role, text in [*schema, *(("--stop", s) for s in request.stop)]
    ]
    return not screen(guides, policy.privacy, environment.variables, key).vault.counts


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
    servers, skipped = _servers(policy.cloud, request, environment)
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


def _servers(cloud: Cloud, request: Request, environment: Environment) -> tuple[list[Server], list[str]]:
    """The cloud with those of its fallbacks that may be tried, and why not the others."""
    servers: list[Server] = [cloud]
    skipped = []
    for server in cloud.fallbacks:
        why = why_skipped(server, request, environment)
        if why is None:
            servers.append(server)
        else:
            skipped.append(f"{server.model} at {origin_of(server.base_url)} ({why})")
    return servers, skipped


def why_skipped(server: Server, request: Request, environment: Environment) -> str | None:
    """Why a fallback would be passed over; None where it would be tried."""
    if not has_consent(server, environment):
        return "no consent"
    return None if set(request.tools) <= set(server.tools) else "without the tools"


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
