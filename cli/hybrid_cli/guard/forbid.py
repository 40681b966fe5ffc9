"""Keeping a process from the network: no secrets in reach, no socket to be had, and how sure that is."""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping
from typing import Literal, get_args

from hybrid_cli.guard.seccomp import install_filter

Enforcement = Literal["seccomp", "namespace", "audit-hook", "none"]
"""What holds the process, the strongest first; `none` where nothing was asked for."""

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)


def forbid_network(variables: MutableMapping[str, str]) -> Enforcement:
    """Drop secrets from `variables`, then sockets from the process, for good; the level reached."""
    for name in [name for name in variables if is_secret_name(name)]:
        del variables[name]
    return forbid_sockets()


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
