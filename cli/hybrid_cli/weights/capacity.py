"""What this machine can hold: memory, disk, and the best model for both."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from hybrid_cli import cgroups
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.catalog import Entry

_SLACK = 0.9
"""A machine sold as 8 GB reports a little less."""


def memory() -> int:
    """The machine's memory in bytes, or the control group's limit if that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(total, cgroups.memory_limit() or total)


def free_disk(folder: Path) -> int:
    """The bytes that are free where `folder` is or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def best(entries: dict[str, Entry], stored: set[str], environment: Environment) -> tuple[str, str]:
    """The most able general model that memory and disk hold, and why.

    `stored` are the names that need no disk any more. Raises Failure (WEIGHTS) where none fits.
    """
    memory_gb, disk_gb = memory() / 1e9, free_disk(environment.data_folder) / 1e9
    candidates = [
        (name, entry) for name, entry in entries.items() if entry.good_for == "general" and entry.memory
    ]
    ranked = sorted(
        candidates, key=lambda pair: pair[1].memory or 0
    )  # of equals the later entry is the better
    fits_memory = [(name, entry) for name, entry in ranked if _SLACK * (entry.memory or 0) <= memory_gb]
    fits = [(name, entry) for name, entry in fits_memory if name in stored or entry.size / 1e9 < disk_gb]
    here = f"this machine has {memory_gb:.0f} GB of memory and {disk_gb:.0f} GB of free disk"
    if not fits:
        raise Failure(ExitStatus.WEIGHTS, f"{here}; no model of the catalog fits")
    name, entry = fits[-1]
    why = f"{here}; {name} asks for {entry.memory:g} and {entry.size / 1e9:.1f}"
    position = ranked.index((name, entry))
    if position + 1 < len(ranked):
        better, needs = ranked[position + 1]
        what = "memory" if (better, needs) not in fits_memory else "disk"
        much = f"{needs.memory:g}" if what == "memory" else f"{needs.size / 1e9:.1f}"
        why += f", and the next larger, {better}, asks for {much} GB of {what}"
    return name, why
