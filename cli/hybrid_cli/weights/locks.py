"""Locks between processes, by flock(2): they end with the process that holds them, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure


class Busy(Exception):  # noqa: N818  another process is at work, which is no error of this one
    """Another process holds the lock."""


@contextmanager
def locked(path: Path, *, shared: bool = False, on_wait: Callable[[], None] | None = None) -> Iterator[bool]:
    """Hold the lock of the file at `path`; whether it had to be waited for.

    A `shared` one may be held by many, but not beside one that is not. Where it is taken, `on_wait` is
    called before the wait; without it, Busy is raised. The holder may delete the file. Raises Failure
    (FAILURE) where the folder cannot be written.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    waited = False
    while True:
        descriptor = _open(path)
        try:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if on_wait is None:
                    raise Busy from None
                if not waited:
                    on_wait()
                waited = True
                fcntl.flock(descriptor, kind)
            if _is_at(path, descriptor):
                yield waited
                return
        finally:
            os.close(descriptor)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Failure(
            ExitStatus.FAILURE,
            f"{path.parent} cannot be written: {error.strerror}; HYBRID_HOME names another place",
        ) from error


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the file is still the one at `path`: its last holder may have deleted it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
