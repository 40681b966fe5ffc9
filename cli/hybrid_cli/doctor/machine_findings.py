"""Threads, disk and folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hybrid_cli.doctor.finding import Finding, told
from hybrid_cli.local.threads import chosen, usable_cores
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.capacity import free_disk

_SCARCE = 1e9
"""Bytes: less is hardly enough for a model."""


def machine_findings(policy: Policy | None, environment: Environment) -> Iterator[Finding]:
    """What the machine gives, and where things may be written."""
    yield _threads(policy)
    yield from told("disk", _disk(environment))
    yield from told("folders", _folders(environment))


def _threads(policy: Policy | None) -> Finding:
    fixed = None if policy is None or policy.local.threads == "auto" else policy.local.threads
    count, why = chosen(fixed)
    says, cores = f"{count}: {why}", usable_cores()
    if fixed is not None and fixed > cores:
        return Finding("threads", "warn", f"{says}; only {cores} may run, so there are no more")
    if count < cores and fixed is None:
        return Finding("threads", "warn", f"{says}; answers take longer until they end")
    return Finding("threads", "ok", says)


def _disk(environment: Environment) -> Iterator[Finding]:
    free = free_disk(environment.data_folder)
    says = f"{free / 1e9:.1f} GB free at {environment.data_folder}"
    if free < _SCARCE:
        yield Finding("disk", "warn", f"{says}; hybrid models prune frees what no model needs")
    else:
        yield Finding("disk", "ok", says)


def _folders(environment: Environment) -> Iterator[Finding]:
    folders = {
        "config": environment.config_folder,
        "data": environment.data_folder,
        "state": environment.state_folder,
        "cache": environment.cache_folder,
    }
    bad = [name for name, folder in folders.items() if not _can_be_written(folder)]
    if bad:
        named = ", ".join(f"{name} ({folders[name]})" for name in bad)
        # without a ledger nothing can be handed off; what else is missing is only not kept
        state = "fail" if "state" in bad else "warn"
        yield Finding("folders", state, f"cannot be written: {named}; HYBRID_HOME moves them all")  # type: ignore[arg-type]
    else:
        yield Finding("folders", "ok", ", ".join(f"{name} {folder}" for name, folder in folders.items()))


def _can_be_written(folder: Path) -> bool:
    while not os.path.lexists(folder):
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
