"""What keeps a process from the network where seccomp is not to be had: weaker, and said so.

- `namespace`: a network namespace of its own with no interface up (unshare(2), Linux, one thread only).
  No address is in reach for it and what it starts; sockets of the file system still are.
- `audit-hook`: Python's own calls are refused (PEP 578). Native code and started programs are not held.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_REFUSED = ("socket.__new__", "socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo")


def enter_empty_namespace() -> bool:
    """Leave the network behind for good; whether the kernel allowed it."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0 and libc.unshare(_CLONE_NEWNET) == 0:
        return True
    return bool(libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0)


def refuse_in_python() -> None:
    """Make every attempt of Python code to use a socket a PermissionError, for good."""

    def refuse(event: str, _arguments: tuple[Any, ...]) -> None:
        if event in _REFUSED:
            raise PermissionError(1, "the network is forbidden by the profile")

    sys.addaudithook(refuse)
