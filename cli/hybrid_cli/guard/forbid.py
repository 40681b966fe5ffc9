"""Keeping a process from the network: no secrets in reach, no socket to be had, and how sure that is."""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Literal, get_args

from hybrid_cli.guard.seccomp import install_filter

Enforcement = Literal["seccomp", "namespace", "audit-hook", "none"]
"""What holds the process, the strongest first; `none` where nothing was asked for."""

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)


def forbid_network(variables: MutableMapping[str, str]) -> Enforcement:
    """Drop secrets from `variables`, then sockets from the process, for good; the level reached."""
    for name in [name for name in variables if is_secret_name(name)]:
        del variables[name]
    wipe_start_environment()
    return forbid_sockets()


def wipe_start_environment() -> None:
    """Overwrite the variables as the kernel handed them to the process: that block outlives their removal.

    What is in `os.environ` stays set. The block's place is in proc(5), `stat`, as env_start and env_end;
    elsewhere than on Linux nothing is done.
    """
    try:
        fields = Path("/proc/self/stat").read_bytes().rsplit(b")", 1)[1].split()
    except OSError:
        return
    import ctypes

    start, end = int(fields[47]), int(fields[48])  # counted from `state`, the first behind the name
    kept = dict(os.environ)
    os.environ.clear()
    ctypes.memset(start, 0, end - start)
    os.environ.update(kept)


def is_secret_name(name: str) -> bool:
    """Whether a variable of that name is likely to hold a secret."""
    return _SECRET_NAME.search(name) is not None


def forbid_sockets() -> Enforcement:
    """Put the process under the best guard that this system has, for good; which one that is."""
    if install_filter():
        return "seccomp"
    from hybrid_cli.guard.fallback import enter_empty_namespace, refuse_in_python

    isolated = enter_empty_namespace()
    refuse_in_python()
    return "namespace" if isolated else "audit-hook"


def best_enforcement() -> Enforcement:
    """The level that `forbid` reaches on this system: tried in a child, so that this process stays free."""
    levels: tuple[Enforcement, ...] = get_args(Enforcement)
    pid = os.fork()
    if pid == 0:
        os._exit(levels.index(forbid_sockets()))
    return levels[os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]
