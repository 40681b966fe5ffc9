"""Read the bytes of one file, whatever its name stands for: nothing here waits for a writer that may never come."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import one_line

_READ_SIZE = 1 << 16
_WRITER_SECONDS = 1.0
"""How long a named pipe may be without a writer."""
_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


class TooLargeError(Exception):
    """The file holds more bytes than there is room for."""

    def __init__(self, start: bytes = b"") -> None:
        """`start`: the bytes that were read."""
        self.start = start


def kind_of(path: str) -> str:
    """Return `folder` or `file`. Raises Failure (USAGE) for a path that is neither, or does not exist."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  pathlib refuses no embedded NUL
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode) or stat.S_ISFIFO(mode):
        return "file"
    raise _not_a_file(path, stat.S_IFMT(mode))


def read_file(path: str, room: int, environment: Environment) -> bytes:
    """Return the bytes of a file or pipe. Raises TooLargeError over `room` bytes, and Failure (USAGE).

    `path` may have been replaced since it was looked at: what was opened is looked at again.
    """
    with _opened(path) as (descriptor, kind):
        if kind == stat.S_IFIFO:
            return _read_pipe(descriptor, path, room, environment)
        return _read_regular(descriptor, kind, path, room)


def read_regular(path: str, room: int) -> bytes:
    """Return the bytes of a file, but of no pipe. Raises TooLargeError over `room` bytes, and Failure (USAGE)."""
    with _opened(path) as (descriptor, kind):
        return _read_regular(descriptor, kind, path, room)


@contextmanager
def _opened(path: str) -> Iterator[tuple[int, int]]:
    """Yield a descriptor for `path` and its kind. Raises Failure (USAGE) for an error in the block, too."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            yield descriptor, stat.S_IFMT(os.fstat(descriptor).st_mode)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None


def unreadable(path: str, error: OSError | ValueError) -> Failure:
    """Return the failure for a file that cannot be read."""
    why = (error.strerror or type(error).__name__) if isinstance(error, OSError) else "not a valid file name"
    return Failure(ExitStatus.USAGE, f"{one_line(path)} cannot be read: {why}")


def _read_regular(descriptor: int, kind: int, path: str, room: int) -> bytes:
    if kind != stat.S_IFREG:
        raise _not_a_file(path, kind)
    data = bytearray()
    while chunk := os.read(descriptor, _READ_SIZE):
        data += chunk
        if len(data) > room:
            raise TooLargeError(bytes(data))
    return bytes(data)


def _not_a_file(path: str, kind: int) -> Failure:
    return Failure(ExitStatus.USAGE, f"{one_line(path)} is {_KINDS.get(kind, 'a device')}, not a file")


def _read_pipe(descriptor: int, path: str, room: int, environment: Environment) -> bytes:
    """Read a pipe to its end. Without a writer, reading returns at once, and again when one has come and gone."""
    data = bytearray()
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    had_writer = False
    with environment.waiting(f"waiting for the pipe {one_line(path)}") as waiting:
        while True:
            try:
                chunk = os.read(descriptor, _READ_SIZE)
            except BlockingIOError:  # it has a writer
                had_writer = True
                ready.poll()
                continue
            if chunk:
                waiting.end()
                data += chunk
                if len(data) > room:
                    raise TooLargeError(bytes(data))
            elif data or had_writer:
                return bytes(data)
            elif not ready.poll(_WRITER_SECONDS * 1000):
                raise Failure(ExitStatus.USAGE, f"{one_line(path)} is a pipe, and nothing writes to it")
            else:
                had_writer = True
