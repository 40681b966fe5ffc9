"""The machine's memory and free disk, and the best catalog model for both."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.system import cgroups
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.catalog import RECOMMENDED, SMALL, CatalogModel
from hybrid_cli.weights.speed import ENOUGH, tokens_per_second

_SLACK = 0.9
"""Share of a model's `memory` that is enough: a machine sold as 8 GB reports a little less."""


def memory() -> int:
    """The machine's memory in bytes, or the limit of the control group or of Slurm's job if that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(total, cgroups.memory_limit() or total, cgroups.slurm_limit(os.environ) or total)


def free_disk(folder: Path) -> int:
    """Free bytes on the disk that holds `folder`, or will hold it."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def recommended(
    entries: dict[str, CatalogModel], stored: set[str], environment: Environment
) -> tuple[str, str]:
    """The name of the model that `hybrid pull` takes on this machine, and the reason."""
    entry = entries[RECOMMENDED]
    needs = f"it needs {entry.memory:g} GB of memory and {entry.size / 1e9:.1f} GB of disk"
    other = "to take another: --small, --best or a name of `hybrid models ls --all`"
    if obstacle(entry, environment, None, is_stored=RECOMMENDED in stored) is None:
        return RECOMMENDED, f"taking {RECOMMENDED}, the recommended model: {needs}; {other}"
    here = _machine(environment)
    return SMALL, f"taking {SMALL}: {here}, and {RECOMMENDED} does not fit: {needs}; {other}"


def best(
    entries: dict[str, CatalogModel], stored: set[str], environment: Environment, bandwidth: float | None
) -> tuple[str, str]:
    """The name of the most capable general model for this machine, and the reason.

    It fits into memory and, unless it is in `stored`, onto the disk, and writes at least ENOUGH tokens per second
    where the memory's `bandwidth` is given. Raises Failure (WEIGHTS) if no model fits.
    """
    # The sort is stable: of two models that need the same memory the catalog lists the better one last.
    ranked = sorted(
        ((name, entry) for name, entry in entries.items() if entry.good_for == "general" and entry.memory),
        key=lambda pair: pair[1].memory or 0,
    )
    here = _machine(environment)
    problems = {
        name: obstacle(entry, environment, bandwidth, is_stored=name in stored) for name, entry in ranked
    }
    fitting = [pair for pair in ranked if problems[pair[0]] is None]
    if not fitting:  # of models that are all too slow, the smallest is the least slow
        fitting = [
            pair for pair in ranked if not obstacle(pair[1], environment, None, is_stored=pair[0] in stored)
        ][:1]
    if not fitting:
        raise Failure(ExitStatus.WEIGHTS, f"{here}; no catalog model fits")
    name, entry = fitting[-1]
    larger = next((other for other, _ in ranked[ranked.index((name, entry)) + 1 :]), None)
    passed = f"; the next larger model, {larger}, {problems[larger]}" if larger else ""
    pace = (
        "" if bandwidth is None else f" and writes about {tokens_per_second(entry, bandwidth):.0f} tokens/s"
    )
    needs = f"{name} needs {entry.memory:g} GB of memory and {entry.size / 1e9:.1f} GB of disk{pace}"
    return name, f"{here}; {needs}{passed}"


def obstacle(
    entry: CatalogModel, environment: Environment, bandwidth: float | None, *, is_stored: bool
) -> str | None:
    """Why a model is not for this machine; None if it is."""
    if _SLACK * (entry.memory or 0) > memory() / 1e9:
        return f"needs {entry.memory:g} GB of memory"
    if not is_stored and entry.size >= free_disk(environment.data_folder):
        return f"needs {entry.size / 1e9:.1f} GB of disk"
    if bandwidth is not None and (pace := tokens_per_second(entry, bandwidth)) < ENOUGH:
        return f"would write about {pace:.1f} tokens/s here; to take it anyway: --patient"
    return None


def fit(entry: CatalogModel, environment: Environment, bandwidth: float, *, is_stored: bool) -> str:
    """What a model does on this machine, in a few words: its tokens per second, or what it lacks."""
    problem = obstacle(entry, environment, None, is_stored=is_stored)
    return problem or f"about {tokens_per_second(entry, bandwidth):.0f} tokens/s"


def _machine(environment: Environment) -> str:
    disk = free_disk(environment.data_folder)
    return f"this machine has {memory() / 1e9:.0f} GB of memory and {disk / 1e9:.0f} GB of free disk"
