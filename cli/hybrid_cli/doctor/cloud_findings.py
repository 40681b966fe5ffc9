"""Findings about a handoff: cloud, key, consent, budgets and price."""

from __future__ import annotations

from collections.abc import Iterator

from hybrid_cli.cloud.keys import key_source, read_key
from hybrid_cli.cloud.prices import cost, worst_case
from hybrid_cli.doctor.finding import Finding, State, until_failure
from hybrid_cli.egress.budget import left_of_limits
from hybrid_cli.exit_status import Failure
from hybrid_cli.ledger.limits import in_unit
from hybrid_cli.privacy.consent import Consent
from hybrid_cli.profile.cloud_section import Server
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment


def cloud_findings(policy: Policy, environment: Environment, *, online: bool) -> Iterator[Finding]:
    """Check the clouds of `policy`. A problem fails if only the cloud could answer, else it warns."""
    if policy.mode == "forbid" or policy.cloud is None:
        why = "the mode is forbid" if policy.mode == "forbid" else "the profile sets no cloud"
        missing = policy.mode == "force" and policy.cloud is None
        yield Finding("cloud", "fail" if missing else "ok", f"not used: {why}")
        return
    bad: State = "fail" if policy.mode == "force" else "warn"
    servers: list[Server] = [policy.cloud, *policy.cloud.fallbacks]
    for server in servers:
        yield _cloud(server, online=online)
        yield _key(server, environment, bad, online=online)
        yield from until_failure("consent", _consent(server, environment, bad))
        bad = "warn"  # fallbacks are optional
    yield from until_failure("budget", _budgets(policy, environment))


def _cloud(server: Server, *, online: bool) -> Finding:
    origin = origin_of(server.base_url)
    if not online:
        return Finding("cloud", "ok", f"{server.model} at {origin}; to test the connection, pass --online")
    return _connect(origin)


def _connect(origin: str) -> Finding:
    """Open a connection, for https with a check of the certificate, and send nothing."""
    import socket
    import ssl
    from contextlib import ExitStack
    from urllib.parse import urlsplit
    from urllib.request import getproxies

    place = urlsplit(origin)
    secure = place.scheme == "https"
    proxy = getproxies().get("https") if secure else None
    if proxy:
        return Finding("cloud", "warn", f"{origin} is behind the proxy of HTTPS_PROXY; not tested")
    try:
        with ExitStack() as stack:
            address = (place.hostname or "", place.port or (443 if secure else 80))
            connection = stack.enter_context(socket.create_connection(address, timeout=10))
            if secure:
                context = ssl.create_default_context()
                stack.enter_context(context.wrap_socket(connection, server_hostname=place.hostname))
    except OSError as error:
        why = error.strerror or error
        return Finding(
            "cloud", "fail", f"cannot connect to {origin}: {why}; check the network and cloud.base_url"
        )
    return Finding("cloud", "ok", f"{origin} accepts connections")


def _key(server: Server, environment: Environment, bad: State, *, online: bool) -> Finding:
    key = server.key
    if key is None:
        return Finding("key", "ok", f"no API key configured for {server.model} (cloud.key)")
    if key.command is not None and not online:
        return Finding("key", "ok", f"{key_source(key)}; to run it, pass --online")
    try:
        read_key(key, environment)
    except Failure as failure:
        hint = f"; run: export {key.env}=..." if key.env is not None else ""
        return Finding("key", bad, f"{failure}{hint}")
    return Finding("key", "ok", f"read from {key_source(key)}")


def _consent(server: Server, environment: Environment, bad: State) -> Iterator[Finding]:
    origin = origin_of(server.base_url)
    if Consent(environment).covers(server.base_url, server.model):
        yield Finding("consent", "ok", f"given for {server.model} at {origin}")
    else:
        yield Finding("consent", bad, f"no consent for {origin}; run: hybrid consent grant {origin}")


def _budgets(policy: Policy, environment: Environment) -> Iterator[Finding]:
    remainders = left_of_limits(policy, environment)
    if not remainders:
        yield Finding("budget", "warn", "no limit; to set one, use limits.usd_per_day")
    for left in remainders:
        limit = left.limit
        says = f"{limit.key}: {left} of {in_unit(limit.at_most, limit.unit)} left"
        hint = "" if left.amount > 0 else f"; set by {limit.layer}; to see what was spent, run: hybrid usage"
        yield Finding("budget", "ok" if left.amount > 0 else "warn", says + hint)
    dollars = next((one.limit for one in remainders if one.limit.unit == "usd"), None)
    if dollars and policy.cloud is not None and cost(policy.cloud, worst_case(0, 1, ())) is None:
        says = f"no price for {policy.cloud.model}, which {dollars.key} needs; set cloud.prices"
        yield Finding("price", "fail" if policy.mode == "force" else "warn", says)
