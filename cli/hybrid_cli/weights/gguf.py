"""A walk over a GGUF file's header by its bounds, before the file is stored or loaded.

The format is ggml's docs/gguf.md. Nothing is interpreted: only that each count, length and offset stays
inside the file, so that the engine meets no header that lies.
"""

from __future__ import annotations

import stat
import struct
from pathlib import Path
from typing import BinaryIO

from hybrid_cli.exit_status import ExitStatus, Failure

_HEAD = struct.Struct("<4sIQQ")
"""Magic, version, tensor count, metadata count."""
_VERSIONS = (2, 3)
_LEAST_TENSOR_BYTES = 24  # of a tensor's description
_LEAST_PAIR_BYTES = 13  # of a metadata pair
_MOST_DIMENSIONS = 4
_MOST_NESTING = 4
_LONGEST_KEY = 65535
_LONGEST_TOKEN = 1 << 20  # of a vocabulary's

_STRING, _ARRAY = 8, 9
_FIXED_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""The size of a metadata value by its type."""


class _Damaged(Exception):  # noqa: N818  told as a Failure with the file's name
    """The header announces what cannot be."""


def check_gguf(path: Path, name: str = "") -> None:
    """Raise Failure (WEIGHTS) unless the header of the GGUF file at `path` can be true.

    The message says `name` where the path is not one that the user knows.
    """
    name = name or str(path)
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):  # to open a named pipe would wait for its writer
            raise Failure(ExitStatus.WEIGHTS, f"{name} is not a file")
        with path.open("rb") as file:
            _check(file, info.st_size, name)
    except OSError as error:
        raise Failure(
            ExitStatus.WEIGHTS, f"the model file {name} cannot be read: {error.strerror}"
        ) from error


def _check(file: BinaryIO, size: int, name: str) -> None:
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size or not head.startswith(b"GGUF"):
        raise Failure(ExitStatus.WEIGHTS, f"{name} is not a GGUF model file")
    _magic, version, tensors, pairs = _HEAD.unpack(head)
    if version not in _VERSIONS:
        raise Failure(ExitStatus.WEIGHTS, f"{name} is a GGUF of version {version} that this tool cannot read")
    try:
        if tensors * _LEAST_TENSOR_BYTES + pairs * _LEAST_PAIR_BYTES > size:
            raise _Damaged
        cursor = _Cursor(file, size)
        for _ in range(pairs):
            cursor.string(_LONGEST_KEY)
            cursor.value(cursor.unsigned(4))
        for _ in range(tensors):
            _walk_tensor(cursor, size)
    except _Damaged:
        raise Failure(
            ExitStatus.WEIGHTS, f"{name} is damaged: its header announces more than the file holds"
        ) from None


def _walk_tensor(cursor: _Cursor, size: int) -> None:
    cursor.string(_LONGEST_KEY)
    dimensions = cursor.unsigned(4)
    if dimensions > _MOST_DIMENSIONS:
        raise _Damaged
    cursor.skip(8 * dimensions + 4)
    if cursor.unsigned(8) > size:
        raise _Damaged


class _Cursor:
    """A place in the header that moves forward and never beyond the file's `size`."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size - _HEAD.size

    def skip(self, count: int) -> None:
        if count > self._left:
            raise _Damaged
        self._left -= count
        if count < 1 << 16:  # cheaper than a seek, which drops what is buffered
            self._file.read(count)
        else:
            self._file.seek(count, 1)

    def unsigned(self, width: int) -> int:
        if width > self._left:
            raise _Damaged
        self._left -= width
        return int.from_bytes(self._file.read(width), "little")

    def string(self, longest: int) -> None:
        length = self.unsigned(8)
        if length > longest:
            raise _Damaged
        self.skip(length)

    def value(self, kind: int, depth: int = 0) -> None:
        """Move over one metadata value of the type `kind`."""
        if kind in _FIXED_BYTES:
            self.skip(_FIXED_BYTES[kind])
        elif kind == _STRING:
            self.string(self._left)
        elif kind == _ARRAY and depth < _MOST_NESTING:
            self._array(depth)
        else:
            raise _Damaged

    def _array(self, depth: int) -> None:
        kind, count = self.unsigned(4), self.unsigned(8)
        if kind in _FIXED_BYTES:
            self.skip(count * _FIXED_BYTES[kind])
            return
        if count * 8 > self._left:  # a string or an array has at least its length
            raise _Damaged
        if kind == _STRING:
            self._strings(count)
            return
        for _ in range(count):
            self.value(kind, depth + 1)

    def _strings(self, count: int) -> None:
        """As `string`, in a loop without calls: a vocabulary has hundreds of thousands."""
        read, left, number = self._file.read, self._left, int.from_bytes
        for _ in range(count):
            length = number(read(8), "little")
            left -= 8 + length
            if left < 0 or length > _LONGEST_TOKEN:
                raise _Damaged
            read(length)
        self._left = left
