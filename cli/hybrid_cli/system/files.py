"""Files that are read only if they are regular, files that are replaced atomically, and files that are locked."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hybrid_cli.exit_status import ExitStatus, Failure

PRIVATE_MODE = 0o600
DEFAULT_MODE = 0o666
"""Modes of new files, from which the umask takes bits away."""


_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""Errors of flock(2) where locks do not work, as on NFS without a lock daemon."""


class NotRegularError(OSError):
    """There is something at the path, but no regular file."""


def open_regular(path: str | Path) -> BinaryIO:
    """Open the regular file at `path` to read it.

    For every file that hybrid itself looks for, in its own folders or where a profile says: opening a named pipe
    would wait for a writer, and reading a device may never end. Raises OSError: NotRegularError for
    a pipe, a device, a folder or a socket.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise NotRegularError(errno.EINVAL, "not a regular file", str(path))


def read_regular(path: str | Path, most: int = -1) -> bytes:
    """Return the content of the regular file at `path`, at most `most` bytes. Raises OSError as `open_regular`."""
    with open_regular(path) as file:
        return file.read(most)


class Replacement:
    """A new file that takes the place of `path` when it is committed. Until then `path` does not change.

    It has a unique name in the same folder, so that any number of writers may replace one path. A symbolic
    link at `path` is replaced, not followed: resolve it before, where its target is meant.
    """

    def __init__(self, path: Path, mode: int = PRIVATE_MODE) -> None:
        self._path = path
        self._temporary: Path | None = path.parent / f".hybrid-{os.urandom(8).hex()}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self.file: BinaryIO = os.fdopen(os.open(self._temporary, flags, mode), "w+b")

    def commit(self, *, durable: bool = False) -> None:
        """Replace the path and leave the file open. With `durable` its content survives a power cut."""
        if self._temporary is None:
            return
        self.file.flush()
        if durable:
            os.fsync(self.file.fileno())
        self._temporary.replace(self._path)
        self._temporary = None

    def close(self) -> None:
        """Close the file, and delete it unless it was committed."""
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)
            self._temporary = None
        self.file.close()


@contextmanager
def replacing(path: Path, mode: int = PRIVATE_MODE) -> Iterator[BinaryIO]:
    """A file to write to; it takes the place of `path` at the end of the block, unless the block raises."""
    replacement = Replacement(path, mode)
    try:
        yield replacement.file
        replacement.commit()
    finally:
        replacement.close()


def is_there(path: Path) -> bool:
    """Return whether anything is at `path`: also a link without its target, or what may not be looked at.

    For files whose absence means a default: a file that cannot be read is an error, not absent.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


class Busy(Exception):  # noqa: N818  another process is at work, which is not an error of this one
    """Another process holds the lock."""


@contextmanager
def locked(path: Path, *, shared: bool = False, on_wait: Callable[[], None] | None = None) -> Iterator[bool]:
    """Hold the lock of the file at `path` during the block; yields whether another process held it before.

    See `open_locked`. The folder is created, and the block may delete the file. Raises Failure (FAILURE) if
    the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, waited = open_locked(path, shared=shared, on_wait=on_wait)
    except OSError as error:
        what, hint = f"cannot write to {path.parent}: {error.strerror}", "another folder"
        if error.errno in _NO_LOCKS:
            what, hint = f"{path.parent} is on a file system without locks", "a folder on a local disk"
        raise Failure(ExitStatus.FAILURE, f"{what}; set HYBRID_HOME to {hint}") from error
    try:
        yield waited
    finally:
        os.close(descriptor)


def open_locked(
    path: Path, *, shared: bool = False, on_wait: Callable[[], None] | None = None
) -> tuple[int, bool]:
    """Open the file at `path`, or create it, and lock it with flock(2) until its descriptor is closed.

    Returns the descriptor and whether another process held the lock before. Many processes may hold a
    `shared` lock together. If the lock is taken, `on_wait` is called before the wait; without it, Busy is
    raised. No file is created through a link. Raises OSError if the file cannot be opened.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    waited = False
    while True:
        descriptor = _open_or_create(path)
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
                return descriptor, waited
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its last holder deleted or replaced it: lock the file that is there now


def _open_or_create(path: Path) -> int:
    with suppress(FileNotFoundError):
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_MODE)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(errno.ELOOP, "a link to a file that does not exist") from None


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
