"""The folders that files are downloaded into: one for each file, locked, kept if it can be resumed."""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.system.files import Busy, locked
from hybrid_cli.ui.environment import Environment

_STALE_SECONDS = 14 * 86_400
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass
class Slot:
    """The folder of one download, on the store's own file system."""

    folder: Path
    waited: bool
    """Whether another process was downloading the same file until now."""
    resumable: bool = False
    """Whether the next pull can use the content of the folder."""
    is_gguf: bool = True
    """Whether the download must begin as a GGUF file does; not so for the later parts of a file."""
    most: int | None = None
    """The most bytes that the download may have, if that is known beforehand."""

    def clear(self) -> None:
        """Empty the folder."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        self.resumable = False

    def scratch(self) -> Path:
        """An empty folder inside, for files that cannot be resumed."""
        folder = self.folder / "scratch"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder


class Incoming:
    """The slots of a store."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._folder = environment.data_folder / "incoming"

    @contextmanager
    def slot(self, key: str) -> Iterator[Slot]:
        """Lock and yield the slot for `key`, which is a file's checksum or its source.

        Waits while another process holds the slot. Raises Failure (FAILURE) if the disk is full.
        """
        hashed = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
        folder = self._folder / (key if _SHA256.fullmatch(key) else hashed)
        lock = folder.with_suffix(".lock")
        with locked(lock, on_wait=self._say_waiting) as waited:
            slot = Slot(folder, waited)
            try:
                folder.mkdir(exist_ok=True)
                yield slot
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise Failure(
                    ExitStatus.FAILURE, f"cannot write to {self._folder.parent}: {error.strerror}"
                ) from error
            finally:
                if not slot.resumable:
                    shutil.rmtree(folder, ignore_errors=True)
                    lock.unlink(missing_ok=True)

    def _say_waiting(self) -> None:
        self._environment.note("waiting for another pull of this file")

    def sweep(self, older_than: float = _STALE_SECONDS) -> int:
        """Delete slots that nobody holds or used for `older_than` seconds; returns the bytes freed."""
        freed = 0
        for lock in self._folder.glob("*.lock"):
            try:
                with locked(lock):
                    freed += _delete_if_older(lock, time.time() - older_than)
            except Busy:
                continue
        return freed


def _delete_if_older(lock: Path, moment: float) -> int:
    folder = lock.with_suffix("")
    files = [path.lstat() for path in folder.rglob("*")]
    if max((info.st_mtime for info in (*files, lock.stat())), default=0) > moment:
        return 0
    shutil.rmtree(folder, ignore_errors=True)
    lock.unlink()
    return sum(info.st_blocks * 512 for info in files)


MOST_BYTES = 1_000_000_000_000
"""A file of unknown size that is larger than this is not downloaded."""


def bound_of(slot: Slot) -> int:
    """The bytes after which a download of unknown size stops; the disk keeps a tenth of its free space."""
    return slot.most or min(MOST_BYTES, shutil.disk_usage(slot.folder).free * 9 // 10)


def too_much(file: str, slot: Slot, bound: int) -> Failure:
    """The failure of a download that did not end at its bound."""
    if slot.most is not None:
        return Failure(ExitStatus.WEIGHTS, f"the server sends more than the {bound} bytes of {file}")
    return Failure(
        ExitStatus.FAILURE,
        f"the server does not say how large {file} is, and it did not end at {bound / 1e6:.0f} MB",
    )


def require_space(folder: Path, needed: int) -> None:
    """Raise Failure (FAILURE) unless the disk of `folder` has `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise Failure(
            ExitStatus.FAILURE,
            f"not enough disk space in {folder.parents[1]}: {free / 1e6:.0f} MB free, {needed / 1e6:.0f} MB needed",
        )
