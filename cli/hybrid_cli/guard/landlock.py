"""Confine this thread, and the threads and processes it starts, in the file system (landlock(7), Linux).

A process in a Landlock domain can also not trace processes outside of it, so it cannot read or write their memory
through /proc.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""System calls, the same on all architectures."""
_VERSION, _PATH_BENEATH = 1, 1
_PR_SET_NO_NEW_PRIVS = 38

_WRITE_FILE, _READ_FILE, _READ_DIR, _MAKE_BLOCK = 1 << 1, 1 << 2, 1 << 3, 1 << 11
_LAST_RIGHTS = {1: 12, 2: 13, 3: 14, 4: 14, 5: 15}
"""The number of the last right by version of the interface."""
_OF_FILES = (1 << 0) | _WRITE_FILE | _READ_FILE | (1 << 14) | (1 << 15)
"""Rights that a rule for a single file may grant."""
_READ = _READ_FILE | _READ_DIR | (1 << 0)


def is_supported() -> bool:
    """Whether this kernel has Landlock, and it is on."""
    return _version() > 0


def confine(readable: Iterable[str], writable: Iterable[str]) -> bool:
    """Allow this thread to read files beneath `readable` and to change those beneath `writable`, and nothing else.

    Irrevocable. Paths that do not exist are skipped. Returns whether the kernel accepted it.
    """
    version = _version()
    if version <= 0:
        return False
    handled = (2 << _LAST_RIGHTS.get(version, 15)) - 1
    rules = [(path, _READ) for path in readable] + [(path, handled) for path in writable]
    return _restrict(handled, rules)


def refuse_tracing() -> bool:
    """Keep this thread from tracing processes outside of its own children. Returns whether the kernel accepted it."""
    return _version() > 0 and _restrict(_MAKE_BLOCK, [("/", _MAKE_BLOCK)])  # a right that changes nothing


def _version() -> int:
    if not sys.platform.startswith("linux"):
        return 0
    return int(_libc().syscall(_CREATE_RULESET, None, 0, _VERSION))


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def _restrict(handled: int, rules: Iterable[tuple[str, int]]) -> bool:
    libc = _libc()
    attributes = struct.pack("=Q", handled)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    try:
        for path, rights in rules:
            _allow(libc, ruleset, path, rights & handled)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            return False
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):  # noqa: PTH112  pathlib is not imported here
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, place)
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(place)
