"""Deny sockets to this process and its children with a seccomp filter (Linux, without root).

The filter is classic BPF over `struct seccomp_data` (seccomp(2)). System calls of a foreign architecture kill the
process. The x32 ABI and the calls in `_REFUSED` fail with EPERM: those that open or connect sockets, that take
descriptors or memory from other processes, and that read the kernel's keys. Everything else is allowed. TSYNC applies
the filter to every thread.
"""

from __future__ import annotations

import errno
import platform
import struct
import sys
from typing import NamedTuple


class _Architecture(NamedTuple):
    audit: int
    refused: tuple[int, ...]
    """The numbers of the refused system calls."""
    foreign_from: int | None
    """First system call number of the second ABI of this architecture (x32)."""
    seccomp: int


_REFUSED = {
    "socket": (41, 198),
    "connect": (42, 203),  # of a socket that was inherited
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "perf_event_open": (298, 241),
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "pidfd_getfd": (438, 438),
}
"""Each refused system call with its number on x86_64 and on aarch64."""


_ARCHITECTURES = {
    "x86_64": _Architecture(0xC000003E, tuple(x86 for x86, _ in _REFUSED.values()), 0x40000000, seccomp=317),
    "aarch64": _Architecture(0xC00000B7, tuple(arm for _, arm in _REFUSED.values()), None, seccomp=277),
}

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER, _TSYNC = 1, 1


def _program(arch: _Architecture) -> bytes:
    """Return the filter's instructions: code, jump if true, jump if false and operand, 8 bytes each."""
    refused = [(_EQUAL, number) for number in arch.refused]
    if arch.foreign_from is not None:
        refused.insert(0, (_AT_LEAST, arch.foreign_from))
    instructions = [
        (_LOAD, 0, 0, 4),  # seccomp_data.arch
        (_EQUAL, 1, 0, arch.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),  # seccomp_data.nr
    ]
    for index, (code, operand) in enumerate(refused):
        instructions.append((code, len(refused) - index, 0, operand))
    instructions += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def install_filter() -> bool:
    """Install the filter for this process, irrevocably; return whether the kernel accepted it."""
    arch = _ARCHITECTURES.get(platform.machine())
    if not sys.platform.startswith("linux") or arch is None:
        return False
    import ctypes

    program = ctypes.create_string_buffer(_program(arch))
    length = (len(program) - 1) // 8
    sock_fprog = struct.pack("@HP", length, ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.syscall(arch.seccomp, _SECCOMP_SET_MODE_FILTER, _TSYNC, sock_fprog) == 0)
