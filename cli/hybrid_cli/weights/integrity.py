"""Whether a file is the one that was meant: its checksum, its header, and who may change it.

A file is hashed when it is first met. After that its stamp stands for the checksum, so that a check costs
one look at the inode, until anything about the file changes.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.gguf import check_gguf

_CHUNK = 1 << 20

Stamp = tuple[int, int, int, int]


def stamp_of(info: os.stat_result) -> Stamp:
    """What changes when a file does: inode, size, and times of content and inode in ns."""
    return info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def sha256_of(path: Path) -> str:
    """The file's checksum in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def look_at(path: Path, name: str = "") -> os.stat_result:
    """The inode of the model file at `path`, links followed; a message says `name` where it is given.

    Raises Failure (WEIGHTS) where it is no plain file, or where others than its owner may change it: a
    file that everybody may write to, or that a group may write to and this user does not own.
    """
    name = name or str(path)
    try:
        info = path.stat()
    except OSError as error:
        raise Failure(
            ExitStatus.WEIGHTS, f"the model file {name} cannot be read: {error.strerror}"
        ) from error
    if not stat.S_ISREG(info.st_mode):  # to open a named pipe would wait for its writer
        raise Failure(ExitStatus.WEIGHTS, f"{name} is not a file")
    writers = [
        name for name, bit in (("everybody", stat.S_IWOTH), ("a group", stat.S_IWGRP)) if info.st_mode & bit
    ]
    if writers and not (writers == ["a group"] and info.st_uid == os.geteuid()):
        raise Failure(
            ExitStatus.WEIGHTS, f"{name} can be changed by {writers[0]}; take that away: chmod go-w {name}"
        )
    return info


def check_file(
    path: Path, sha256: str | None, stamp: Stamp | None, environment: Environment
) -> tuple[str, Stamp]:
    """The checksum and stamp of the model file at `path`.

    It is read unless `stamp` is still its own. Raises Failure (WEIGHTS) where its checksum is not `sha256`
    (None: not known yet), its header is damaged, or others may change it.
    """
    now = stamp_of(look_at(path))
    if sha256 is not None and now == stamp:
        return sha256, now
    check_gguf(path)
    with environment.waiting(f"verifying the checksum of {path.name}"):
        found = sha256_of(path)
    if sha256 is not None and found != sha256:
        raise Mismatch(path, found, sha256)
    return found, now


class Mismatch(Failure):
    """A file's checksum is not the recorded one."""

    def __init__(self, path: Path, found: str, expected: str) -> None:
        super().__init__(
            ExitStatus.WEIGHTS, f"{path} is not the recorded file: sha256 {found}, expected {expected}"
        )
        self.found = found
        self.expected = expected
