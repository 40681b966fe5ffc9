"""What every command that answers prompts needs first: the network guard and the engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hybrid_cli.egress.permission import withhold_keys
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.guard.forbid import Enforcement, forbid_network, wipe_start_environment
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment


def guard(policy: Policy, environment: Environment) -> Enforcement:
    """Hide the keys from child processes, and under `forbid` cut this process off the network.

    Return the level of enforcement reached. Raises Failure if the profile requires more.
    """
    withhold_keys(policy, environment)
    if policy.privacy.scanner:
        wipe_start_environment()
    if policy.mode != "forbid":
        return "none"
    enforcement = forbid_network(environment.variables)
    if policy.escalation.require_enforcement and enforcement != "seccomp":
        raise Failure(
            ExitStatus.FAILURE,
            f"{policy.values['escalation.require_enforcement'].layer} requires a guard that this system does"
            f" not have: the best is {enforcement}",
        )
    return enforcement


@contextmanager
def engine_of(policy: Policy, worker: Worker | None) -> Iterator[Worker | None]:
    """Yield the worker, and stop it at the end; yield None under `force`."""
    if policy.mode == "force":
        if worker is not None:
            worker.stop()
        yield None
        return
    worker = worker or Worker.fork()
    try:
        yield worker
    finally:
        worker.stop()
