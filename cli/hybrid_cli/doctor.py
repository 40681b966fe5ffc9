"""What works on this machine: one finding a subject, each ok, warn or fail, with what to do."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from hybrid_cli.cloud.keys import key_source
from hybrid_cli.environment import Environment
from hybrid_cli.exit_status import Failure
from hybrid_cli.guard.forbid import best_enforcement
from hybrid_cli.handoff.budget import limits_of
from hybrid_cli.ledger.store import Ledger, in_unit
from hybrid_cli.local.threads import usable_cores
from hybrid_cli.privacy.consent import Consent
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.profile.policy import Policy
from hybrid_cli.weights.machine import free_disk, memory
from hybrid_cli.weights.store import Store


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    subject: str
    state: Literal["ok", "warn", "fail"]
    says: str


def examine(policy: Policy, environment: Environment, *, online: bool) -> Iterator[Finding]:
    """Every finding, as it is made. Only `online` opens a connection, and then sends nothing."""
    yield Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")
    yield Finding("llama.cpp", "ok", f"llama-cpp-python {version('llama-cpp-python')}")
    yield Finding(
        "threads", "ok", f"{usable_cores()} cores by affinity and quota; fewer while others use them"
    )
    yield Finding("memory", "ok", f"{memory() / 1e9:.1f} GB")
    free = free_disk(environment.data_folder) / 1e9
    yield Finding("disk", "ok" if free > 1 else "warn", f"{free:.1f} GB free at {environment.data_folder}")
    yield _tried("weights", lambda: str(Store(environment).locate(policy.local.model).path))
    level = best_enforcement()
    told = level if level == "seccomp" else f"{level}; forbid is enforced in full on Linux only"
    yield Finding("guard", "ok" if level == "seccomp" else "warn", told)
    layers = sorted({value.layer for value in policy.values.values()})
    yield Finding(
        "profile",
        "ok",
        f"{policy.profile}, mode {policy.mode} set by {policy.decided_by}; {', '.join(layers)}",
    )
    yield from _cloud(policy, environment, online=online)
    yield _completions()


def _tried(subject: str, attempt: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, "ok", attempt())
    except Failure as failure:
        return Finding(subject, "fail", str(failure))


def _cloud(policy: Policy, environment: Environment, *, online: bool) -> Iterator[Finding]:
    cloud = policy.cloud
    if policy.mode == "forbid" or cloud is None:
        yield Finding("cloud", "ok", "none is used")
        return
    origin = origin_of(cloud.base_url)
    if online:
        yield _reached(origin)
    else:
        yield Finding("cloud", "ok", f"{cloud.model} at {origin}; not tried without --online")
    key = cloud.key
    missing = key is not None and (
        (key.env is not None and not environment.variables.get(key.env))
        or (key.file is not None and not Path(key.file).is_file())
    )
    yield Finding("key", "warn" if missing else "ok", f"{key_source(key)}{' gives none' if missing else ''}")
    consented = Consent(environment).covers(cloud.base_url, cloud.model)
    hint = f"given for {origin}" if consented else f"none; to give it: hybrid consent grant {origin}"
    yield Finding("consent", "ok" if consented else "warn", hint)
    ledger = Ledger(environment.state_folder)
    for limit in limits_of(policy):
        left = ledger.left(limit, environment.run)
        yield Finding(
            "budget", "ok" if left > 0 else "warn", f"{limit.key}: {in_unit(left, limit.unit)} left"
        )


def _reached(origin: str) -> Finding:
    """Whether the origin takes a connection, for https with a valid certificate. Nothing is sent in it."""
    import socket
    import ssl
    from contextlib import ExitStack
    from urllib.parse import urlsplit

    place = urlsplit(origin)
    secure = place.scheme == "https"
    try:
        with ExitStack() as stack:
            address = (place.hostname or "", place.port or (443 if secure else 80))
            connection = stack.enter_context(socket.create_connection(address, timeout=10))
            if secure:
                context = ssl.create_default_context()
                stack.enter_context(context.wrap_socket(connection, server_hostname=place.hostname))
    except OSError as error:
        return Finding("cloud", "fail", f"{origin} cannot be reached: {error.strerror or error}")
    return Finding("cloud", "ok", f"{origin} takes connections")


def _completions() -> Finding:
    share = Path(sys.prefix) / "share"
    found = (share / "bash-completion" / "completions" / "hybrid").is_file()
    hint = f"installed in {share}" if found else "not installed; hybrid completion SHELL prints them"
    return Finding("completions", "ok" if found else "warn", hint)
