"""Findings about threads, disk and folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hybrid_cli.doctor.finding import Finding, State, until_failure
from hybrid_cli.local.threads import automatic_threads, usable_cores
from hybrid_cli.profile.policy import Policy
from hybrid_cli.system.mounts import network_file_system
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.capacity import free_disk

_MIN_FREE_DISK = 1e9
"""In bytes; most models need more."""


def machine_findings(policy: Policy | None, environment: Environment) -> Iterator[Finding]:
    """Check the threads for the model, free disk space, and whether hybrid's folders are writable."""
    yield _threads(policy)
    yield from until_failure("disk", _disk(environment))
    yield from until_failure("folders", _folders(environment))


def _threads(policy: Policy | None) -> Finding:
    cores = usable_cores()
    if policy is None or policy.local.threads == "auto":
        threads, says = automatic_threads()
        return Finding("threads", "warn" if threads < cores else "ok", says)
    fixed = policy.local.threads
    if fixed > cores:
        return Finding(
            "threads", "warn", f"using {cores}; local.threads is {fixed}, but only {cores} cores are usable"
        )
    return Finding("threads", "ok", f"using {fixed}, as set by local.threads")


def _disk(environment: Environment) -> Iterator[Finding]:
    free = free_disk(environment.data_folder)
    says = f"{free / 1e9:.1f} GB free at {environment.data_folder}"
    if free < _MIN_FREE_DISK:
        yield Finding("disk", "warn", f"{says}; to free some, run: hybrid models prune")
    else:
        yield Finding("disk", "ok", says)


def _folders(environment: Environment) -> Iterator[Finding]:
    folders = {
        "config": environment.config_folder,
        "data": environment.data_folder,
        "state": environment.state_folder,
        "cache": environment.cache_folder,
    }
    bad = [name for name, folder in folders.items() if not _is_writable(folder)]
    if bad:
        named = ", ".join(f"{name} ({folders[name]})" for name in bad)
        # without a ledger, hybrid cannot hand off; the other folders are optional
        state: State = "fail" if "state" in bad else "warn"
        yield Finding("folders", state, f"not writable: {named}; to use another folder, set HYBRID_HOME")
    else:
        yield Finding("folders", "ok", ", ".join(f"{name} {folder}" for name, folder in folders.items()))
    kind = network_file_system(environment.state_folder)
    if kind is not None:
        yield Finding(
            "folders",
            "warn",
            f"{environment.state_folder} is on a network file system ({kind}), whose locks may not hold between"
            " machines, so that budgets may be exceeded; set HYBRID_HOME to a folder on a local disk",
        )


def _is_writable(folder: Path) -> bool:
    while not os.path.lexists(folder):
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
