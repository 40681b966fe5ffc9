"""The folder for sockets: gone with the user's last session where the system has such a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

SUFFIX = ".socket"
"""Ends the names of warm engines' sockets."""


def runtime_folder(variables: Mapping[str, str]) -> str:
    """Return the folder's path, which may not exist yet.

    It is HYBRID_HOME/state/run, XDG_RUNTIME_DIR/hybrid, or `run` in the state folder.
    """
    home = variables.get("HYBRID_HOME")
    if home:
        return os.path.join(os.path.abspath(os.path.expanduser(home)), "state", "run")
    runtime = variables.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and is_private(runtime):
        return os.path.join(runtime, "hybrid")
    state = variables.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(state, "hybrid", "run")


def may_be_warm(folder: str) -> bool:
    """Whether a socket is in `folder`: a look that costs next to nothing."""
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.endswith(SUFFIX) for entry in entries)
    except OSError:
        return False


def is_private(folder: str) -> bool:
    """Whether `folder` is a real folder that only this user may use."""
    try:
        info = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and info.st_uid == os.getuid() and not info.st_mode & 0o077


def make_private(folder: str) -> bool:
    """Create `folder` if needed; return whether only this user may use it."""
    try:
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except OSError:
        return False
    return is_private(folder)
