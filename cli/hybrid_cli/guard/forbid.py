"""Take secrets and sockets from a process, and report how strong the guard is."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Literal, get_args

from hybrid_cli.guard.landlock import refuse_tracing
from hybrid_cli.guard.seccomp import install_filter
from hybrid_cli.system.secret_variables import is_secret_name

Enforcement = Literal["seccomp", "namespace", "seatbelt", "audit-hook", "none"]
"""The guard of a process, from strong to weak; `none` if no guard was requested."""


def forbid_network(variables: MutableMapping[str, str]) -> Enforcement:
    """Remove secrets from `variables` and sockets from the process, irrevocably; return the guard reached."""
    for name in [name for name in variables if is_secret_name(name)]:
        del variables[name]
    wipe_start_environment()
    refuse_tracing()
    return forbid_sockets()


def wipe_start_environment() -> None:
    """Overwrite the block of variables that the process started with; it survives changes of `os.environ`.

    Variables in `os.environ` stay set. On Linux, proc(5) gives the address of the block as env_start and
    env_end of `stat`; on other systems this does nothing.
    """
    try:
        fields = Path("/proc/self/stat").read_bytes().rsplit(b")", 1)[1].split()
    except OSError:
        return
    import ctypes

    start, end = int(fields[47]), int(fields[48])  # indexes counted from the field `state`
    kept = dict(os.environ)
    os.environ.clear()
    ctypes.memset(start, 0, end - start)
    os.environ.update(kept)


def forbid_sockets() -> Enforcement:
    """Put the process under the strongest guard of this system, irrevocably; return which one."""
    if install_filter():
        return "seccomp"
    from hybrid_cli.guard.fallback import enter_empty_namespace, refuse_in_python
    from hybrid_cli.guard.seatbelt import enter_seatbelt

    level: Enforcement = "audit-hook"
    if enter_empty_namespace():
        level = "namespace"
    elif enter_seatbelt():
        level = "seatbelt"
    refuse_in_python()
    return level


def best_enforcement() -> Enforcement:
    """Return the guard that `forbid` gets on this system; a child process tries it."""
    levels: tuple[Enforcement, ...] = get_args(Enforcement)
    pid = os.fork()
    if pid == 0:
        os._exit(levels.index(forbid_sockets()))
    return levels[os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]
