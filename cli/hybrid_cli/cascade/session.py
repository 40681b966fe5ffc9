"""What every command that answers prompts needs first: the network guard and the engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybrid_cli.cascade.model_settings import model_settings
from hybrid_cli.egress.permission import withhold_keys
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.guard.forbid import Enforcement, forbid_network, wipe_start_environment
from hybrid_cli.local.connection import Connection
from hybrid_cli.local.protocol import SchedulerRequest
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.keep_alive import keep_seconds
from hybrid_cli.profile.policy import Policy
from hybrid_cli.system.runtime_folder import may_be_warm, runtime_folder
from hybrid_cli.system.work_tree import work_tree_of
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Store, Weights


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


def note_shorter_limit(policy: Policy, environment: Environment) -> None:
    """Say so if --timeout has no effect because a layer allows less time: the shortest limit holds."""
    limit = policy.values["limits.seconds"]
    if any(refused.startswith("--timeout: ") for refused in limit.refused):
        environment.note(f"--timeout has no effect: {limit.layer} sets limits.seconds to {limit.value:g}")


def choose_engine(policy: Policy, environment: Environment, worker: Worker | None) -> Connection | None:
    """Return the engine that is kept warm for the local model, started if the profile keeps it; else `worker`.

    Call it before `guard`, which refuses new connections. A worker that is not needed is stopped.
    """
    keep = keep_seconds(policy.local.keep_alive)
    folder = runtime_folder(environment.variables)
    if policy.mode == "force" or (keep == 0 and not may_be_warm(folder)):
        return worker
    warm = (
        None
        if work_tree_of(Path(folder), environment.variables)
        else _warm_engine(policy, environment, folder, keep)
    )
    if warm is not None and worker is not None:
        worker.stop()
    return warm or worker


def _warm_engine(
    policy: Policy, environment: Environment, folder: str, keep: float | None
) -> Connection | None:
    is_asked_for = policy.values["local.keep_alive"].layer == "--keep-alive"
    try:
        weights = Store(environment).verified(policy.local.model)
    except (Failure, OSError):  # the cascade reports it if it needs the model
        return None
    settings = warm_settings(weights, policy, environment)
    changes = keep != 0 or is_asked_for
    with environment.waiting("waiting for the process that keeps the model loaded"):
        return warm_engine(folder, weights.sha256, settings, keep, may_start=keep != 0, changes_keep=changes)


def warm_engine(
    folder: str,
    weights_id: str,
    settings: SchedulerRequest,
    keep: float | None,
    *,
    may_start: bool,
    changes_keep: bool,
) -> Connection | None:
    """Return the warm engine for these weights and settings, if it can be found or, with `may_start`, started.

    With `changes_keep` it stays for `keep` seconds without a caller; None for ever.
    """
    from hybrid_cli.local import warm  # late: most runs have no warm engine

    try:
        engine = warm.find(folder, weights_id, settings)
        if engine is None and may_start:
            engine = warm.start(folder, weights_id, settings)
        if engine is not None and changes_keep:
            warm.keep(engine, keep)
    except (Failure, OSError):
        return None
    return engine


def warm_settings(weights: Weights, policy: Policy, environment: Environment) -> SchedulerRequest:
    """Return what decides which warm engine answers."""
    return SchedulerRequest(**model_settings(policy, weights, environment), examples=[], jobs=None)


@contextmanager
def engine_of(policy: Policy, chosen: Connection | None) -> Iterator[Connection | None]:
    """Yield the chosen engine or a new worker, and stop it at the end; yield None under `force`."""
    if policy.mode == "force":
        if chosen is not None:
            chosen.stop()
        yield None
        return
    engine = chosen or Worker.start()
    try:
        yield engine
    finally:
        engine.stop()
