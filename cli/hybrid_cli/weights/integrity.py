"""Checks of a model file: its checksum, its header, and who may change it.

A file is hashed once. After that its stamp is compared instead, which costs one stat(2), until the file or
its inode changes.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.gguf import Wanted, check_gguf
from hybrid_cli.weights.purpose import doubt

_CHUNK = 1 << 20

Stamp = tuple[int, int, int, int]


def stamp_of(info: os.stat_result) -> Stamp:
    """Inode number, size, and the times of change of content and inode in ns: they change with the file."""
    return info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def sha256_of(path: Path) -> str:
    """The file's checksum as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def joined_sha256(checksums: Sequence[str]) -> str:
    """The identity of a model: its file's checksum; for shards the sha256 of their checksums, one a line, in order."""
    if len(checksums) == 1:
        return checksums[0]
    return hashlib.sha256("".join(f"{one}\n" for one in checksums).encode()).hexdigest()


def look_at(path: Path, name: str = "") -> os.stat_result:
    """The stat(2) result of the model file at `path`, links followed. Messages call it `name` if given.

    Raises Failure (WEIGHTS) if it is not a regular file, or if others may change it: everybody, or a group
    and the file belongs to another user.
    """
    name = name or str(path)
    try:
        info = path.stat()
    except OSError as error:
        raise Failure(ExitStatus.WEIGHTS, f"cannot read the model file {name}: {error.strerror}") from error
    if not stat.S_ISREG(info.st_mode):  # opening a named pipe would block
        raise Failure(ExitStatus.WEIGHTS, f"{name} is not a regular file")
    writers = [
        name for name, bit in (("everybody", stat.S_IWOTH), ("a group", stat.S_IWGRP)) if info.st_mode & bit
    ]
    if writers and not (writers == ["a group"] and info.st_uid == os.geteuid()):
        raise Failure(ExitStatus.WEIGHTS, f"{writers[0]} can change {name}; to prevent it: chmod go-w {name}")
    return info


def check_file(
    path: Path,
    sha256: str | None,
    stamp: Stamp | None,
    environment: Environment,
    name: str = "",
    wanted: Wanted = "model",
) -> tuple[str, Stamp]:
    """The checksum and stamp of the model file at `path`. The progress message calls it `name` if given.

    The file is not read if its stamp is still `stamp`. Raises Failure (WEIGHTS) if the checksum is not
    `sha256` (None: not known yet), the header is damaged or not of what is `wanted`, or others may change the file.
    """
    now = stamp_of(look_at(path))
    if sha256 is not None and now == stamp:
        return sha256, now
    doubts = doubt(check_gguf(path, wanted=wanted))
    if doubts is not None:
        environment.note(f"{name or path.name} {doubts}")
    with environment.waiting(f"verifying the checksum of {name or path.name}"):
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
