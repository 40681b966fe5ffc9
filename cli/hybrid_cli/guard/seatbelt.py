"""Deny the network to this process and its children on macOS, by Seatbelt (sandbox_init(3)).

Apple calls the interface deprecated, so it counts only if a connection is really refused afterwards. Not tested on
real hardware.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import socket

_NAMED = 1  # SANDBOX_NAMED: the profile is one of the system's own
_DISCARD_PORT = 9


def enter_seatbelt() -> bool:
    """Put the process under the system's profile `no-network`, irrevocably; return whether it holds."""
    if platform.system() != "Darwin":
        return False
    problem = ctypes.c_char_p()
    try:
        entered = ctypes.CDLL(None).sandbox_init(
            b"no-network", ctypes.c_uint64(_NAMED), ctypes.byref(problem)
        )
    except AttributeError:  # a later system without it
        return False
    return entered == 0 and _is_refused()


def _is_refused() -> bool:
    """Whether the kernel refuses a connection to this machine; nobody listening there is no refusal."""
    try:
        with socket.socket() as tried:
            tried.settimeout(1)
            return tried.connect_ex(("127.0.0.1", _DISCARD_PORT)) in (errno.EPERM, errno.EACCES)
    except PermissionError:
        return True
