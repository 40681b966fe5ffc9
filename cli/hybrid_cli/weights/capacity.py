"""The machine's memory and free disk, and the best catalog model for both."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.system import cgroups
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.catalog import CatalogModel

_SLACK = 0.9
"""Share of a model's `memory` that is enough: a machine sold as 8 GB reports a little less."""


def memory() -> int:
    """The machine's memory in bytes, or the control group's limit if that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(total, cgroups.memory_limit() or total)


def free_disk(folder: Path) -> int:
    """Free bytes on the disk that holds `folder`, or will hold it."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def best(entries: dict[str, CatalogModel], stored: set[str], environment: Environment) -> tuple[str, str]:
    """The name of the most capable general model that fits into memory and onto the disk, and the reason.

    `stored` are the names that need no more disk. Raises Failure (WEIGHTS) if no model fits.
    """
    memory_gb, disk_gb = memory() / 1e9, free_disk(environment.data_folder) / 1e9
    candidates = [
        (name, entry) for name, entry in entries.items() if entry.good_for == "general" and entry.memory
    ]
    # The sort is stable: of two models that need the same memory the catalog lists the better one last.
    ranked = sorted(candidates, key=lambda pair: pair[1].memory or 0)
    fits_memory = [(name, entry) for name, entry in ranked if _SLACK * (entry.memory or 0) <= memory_gb]
    fits = [(name, entry) for name, entry in fits_memory if name in stored or entry.size / 1e9 < disk_gb]
    here = f"this machine has {memory_gb:.0f} GB of memory and {disk_gb:.0f} GB of free disk"
    if not fits:
        raise Failure(ExitStatus.WEIGHTS, f"{here}; no catalog model fits")
    name, entry = fits[-1]
    why = f"{here}; {name} needs {entry.memory:g} GB of memory and {entry.size / 1e9:.1f} GB of disk"
    position = ranked.index((name, entry))
    if position + 1 < len(ranked):
        larger, needs = ranked[position + 1]
        what = "memory" if (larger, needs) not in fits_memory else "disk"
        amount = f"{needs.memory:g}" if what == "memory" else f"{needs.size / 1e9:.1f}"
        why += f"; the next larger model, {larger}, needs {amount} GB of {what}"
    return name, why
