"""Weaker guards for systems without seccomp.

- `namespace`: an empty network namespace (unshare(2), Linux, single-threaded processes only). The process and its
  children reach no network address; Unix sockets with a path still work.
- `audit-hook`: Python's own socket calls fail (PEP 578). Native code and child processes are not restricted.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_REFUSED = ("socket.__new__", "socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo")


def enter_empty_namespace() -> bool:
    """Move the process into an empty network namespace, irrevocably; return whether the kernel allowed it."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0 and libc.unshare(_CLONE_NEWNET) == 0:
        return True
    return bool(libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0)


def refuse_in_python() -> None:
    """Let every socket call of Python code raise PermissionError, irrevocably."""

    def refuse(event: str, _arguments: tuple[Any, ...]) -> None:
        if event in _REFUSED:
            raise PermissionError(1, "the profile forbids network access")

    sys.addaudithook(refuse)
