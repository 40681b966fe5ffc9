"""Whether a request may leave: policy, consent, tools and fallbacks, and the question to the user."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_cli.cloud import sdk
from hybrid_cli.cloud.client import uses_tls
from hybrid_cli.egress.backpressure import Traffic
from hybrid_cli.egress.request import leaving
from hybrid_cli.privacy.consent import Consent
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.profile.policy import Policy
from hybrid_cli.profile.schema import Cloud, Server
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment, cut


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


def usable_servers(
    cloud: Cloud, request: Request, environment: Environment
) -> tuple[list[Server], list[str]]:
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


def prepare(policy: Policy, environment: Environment) -> None:
    """Get ready to send, beside other work: a handoff has become likely. Nothing is sent."""
    if policy.cloud is not None:
        sdk.prefetch(environment.variables, needs_trust=uses_tls(policy.cloud))


def withhold_keys(policy: Policy, environment: Environment) -> None:
    """Take the clouds' keys out of the variables, before any other command is run."""
    servers = [] if policy.cloud is None else [policy.cloud, *policy.cloud.fallbacks]
    environment.withhold([one.key.env for one in servers if one.key is not None and one.key.env is not None])
