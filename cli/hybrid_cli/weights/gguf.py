"""A check of a GGUF file's header, before the file is stored or loaded.

The format is described in ggml's docs/gguf.md. The check interprets nothing; it makes sure that each count,
length and offset stays inside the file, because llama.cpp trusts them.
"""

from __future__ import annotations

import math
import re
import stat
import struct
from pathlib import Path
from typing import BinaryIO, Literal

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.weights.purpose import WANTED, no_projector, other_purpose

MAGIC = b"GGUF"
_HEAD = struct.Struct("<4sIQQ")
"""Magic, version, tensor count, metadata count."""
_VERSIONS = (2, 3)
_MIN_TENSOR_BYTES = 24  # of the description of one tensor
_MIN_PAIR_BYTES = 13  # of one metadata key and value
_MAX_DIMENSIONS = 4
_MAX_NESTING = 4
_MAX_KEY_BYTES = 65535
_MAX_TOKEN_BYTES = 1 << 20  # bytes of one token of the vocabulary

_STRING, _ARRAY = 8, 9
_FIXED_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""The size of a metadata value by its type."""
_INTEGERS = (0, 1, 2, 3, 4, 5, 7, 10, 11)
"""The types of integers and booleans."""
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84), 11: (256, 110),
    12: (256, 144), 13: (256, 176), 14: (256, 210), 30: (1, 2),
}  # fmt: skip
"""Values and bytes of a block by a tensor's type (ggml.h): F32, F16, Q4_0 to Q6_K, BF16. Others are not measured."""

Wanted = Literal["model", "projector", "any"]
"""What a file should be: a model that writes text, a projector for images, or either."""


_OTHER_FORMATS = (
    (re.compile(rb"version https://git-lfs"), "a pointer of Git LFS, not the file; run: git lfs pull"),
    (re.compile(rb"# xet version"), "a pointer of Xet; download the file itself"),
    (re.compile(rb"(?:lm|jt|tj|fm|al)gg"), "an old file of llama.cpp; download a newer conversion"),
    (re.compile(rb"\s*<"), "a web page; on Hugging Face, write /resolve/ in place of /blob/"),
    (re.compile(rb"\x1f\x8b"), "compressed, perhaps by a proxy"),
    (re.compile(rb"PK\x03\x04"), "an archive, perhaps of PyTorch; download a GGUF file"),
    (re.compile(rb".{6}\0\0\{", re.DOTALL), "in the format safetensors; download a GGUF file"),
)
"""How other files begin that people take for models, and what they are."""


class _Damaged(Exception):  # noqa: N818  becomes a Failure that names the file
    """The header contradicts the file's size, or the format."""


def not_a_model(name: str, start: bytes) -> str:
    """The message for a file that begins with `start`, which is no GGUF file; it says what else the file is."""
    other = next((what for pattern, what in _OTHER_FORMATS if pattern.match(start)), None)
    return f"{name} is not a GGUF model file" + (f"; it is {other}" if other else "")


def check_gguf(path: Path, name: str = "", wanted: Wanted = "model") -> dict[str, int | str]:
    """The metadata in WANTED of the GGUF file at `path`.

    Raises Failure (WEIGHTS) unless its header is plausible, and the file of the kind that is `wanted`.

    Messages call the file `name` if it is given: the user may not know the path.
    """
    name = name or str(path)
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):  # opening a named pipe would block
            raise Failure(ExitStatus.WEIGHTS, f"{name} is not a regular file")
        with path.open("rb") as file:
            return _check(file, info.st_size, name, wanted)
    except OSError as error:
        raise Failure(ExitStatus.WEIGHTS, f"cannot read the model file {name}: {error.strerror}") from error


def _check(file: BinaryIO, size: int, name: str, wanted: Wanted) -> dict[str, int | str]:
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size or not head.startswith(MAGIC):
        raise Failure(ExitStatus.WEIGHTS, not_a_model(name, head))
    _magic, version, tensors, pairs = _HEAD.unpack(head)
    if version > 0xFFFF:  # the bytes of the version in reverse
        raise Failure(ExitStatus.WEIGHTS, f"{name} is big-endian, for another kind of machine")
    if version not in _VERSIONS:
        raise Failure(ExitStatus.WEIGHTS, f"{name} has GGUF version {version}; hybrid reads versions 2 and 3")
    try:
        if tensors * _MIN_TENSOR_BYTES + pairs * _MIN_PAIR_BYTES > size:
            raise _Damaged
        cursor = _Cursor(file, size)
        metadata = dict(pair for _ in range(pairs) if (pair := _read_pair(cursor)) is not None)
        ends = [_tensor_end(cursor, size) for _ in range(tensors)]
        if cursor.position + max(ends, default=0) > size:
            raise _Damaged
    except _Damaged:
        raise Failure(
            ExitStatus.WEIGHTS, f"{name} is damaged: its header claims more data than the file has"
        ) from None
    other, no_sight = other_purpose(metadata, tensors), no_projector(metadata, tensors)
    if wanted == "projector" and no_sight is not None:
        raise Failure(
            ExitStatus.WEIGHTS, f"{name} is {no_sight}; local.projector needs a projector for images (mmproj)"
        )
    if other is not None and (wanted == "model" or (wanted == "any" and no_sight is not None)):
        raise Failure(ExitStatus.WEIGHTS, f"{name} is {other}; hybrid needs a model that writes text")
    return metadata


def _read_pair(cursor: _Cursor) -> tuple[str, int | str] | None:
    """Read one key and value of the metadata; None if nobody needs it."""
    key = cursor.text(_MAX_KEY_BYTES)
    kind = cursor.unsigned(4)
    if WANTED.fullmatch(key) is None:
        cursor.value(kind)
        return None
    if kind == _STRING:
        return key.decode(), cursor.text(_MAX_KEY_BYTES).decode("utf-8", "replace")
    if kind in _INTEGERS:
        return key.decode(), cursor.unsigned(_FIXED_BYTES[kind])
    cursor.value(kind)
    return None


def _tensor_end(cursor: _Cursor, size: int) -> int:
    """Read a tensor's description; return where its data ends, from the start of all data."""
    cursor.string(_MAX_KEY_BYTES)
    dimensions = cursor.unsigned(4)
    if dimensions > _MAX_DIMENSIONS:
        raise _Damaged
    values = math.prod(cursor.unsigned(8) for _ in range(dimensions))
    in_block, block_bytes = _BLOCKS.get(cursor.unsigned(4), (1, 0))
    offset = cursor.unsigned(8)
    if offset > size:
        raise _Damaged
    return offset + values // in_block * block_bytes


class _Cursor:
    """A position in the header. It moves forward; beyond the file's `size` it raises _Damaged."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._left = size - _HEAD.size

    @property
    def position(self) -> int:
        return self._size - self._left

    def skip(self, count: int) -> None:
        if count > self._left:
            raise _Damaged
        self._left -= count
        if count < 1 << 16:  # cheaper than a seek, which drops the buffer
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

    def text(self, longest: int) -> bytes:
        """Read one string."""
        length = self.unsigned(8)
        if length > min(longest, self._left):
            raise _Damaged
        self._left -= length
        return self._file.read(length)

    def value(self, kind: int, depth: int = 0) -> None:
        """Skip one metadata value of the type `kind`."""
        if kind in _FIXED_BYTES:
            self.skip(_FIXED_BYTES[kind])
        elif kind == _STRING:
            self.string(self._left)
        elif kind == _ARRAY and depth < _MAX_NESTING:
            self._array(depth)
        else:
            raise _Damaged

    def _array(self, depth: int) -> None:
        kind, count = self.unsigned(4), self.unsigned(8)
        if kind in _FIXED_BYTES:
            self.skip(count * _FIXED_BYTES[kind])
            return
        if count * 8 > self._left:  # each string or array begins with a length of 8 bytes
            raise _Damaged
        if kind == _STRING:
            self._strings(count)
            return
        for _ in range(count):
            self.value(kind, depth + 1)

    def _strings(self, count: int) -> None:
        """Skip `count` strings. No method calls in the loop: a vocabulary has hundreds of thousands."""
        read, left, number = self._file.read, self._left, int.from_bytes
        for _ in range(count):
            length = number(read(8), "little")
            left -= 8 + length
            if left < 0 or length > _MAX_TOKEN_BYTES:
                raise _Damaged
            read(length)
        self._left = left
