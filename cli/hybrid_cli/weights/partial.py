"""A partly downloaded file, and which bytes of it have arrived: exact to the byte even after SIGKILL.

- `file.part`: the bytes, each at its final offset
- `file.json`: size, validator and the length of a segment
- `file.done`: the number of bytes in each segment so far (64 bits each), written after the bytes
"""

from __future__ import annotations

import array
import os
from pathlib import Path

import msgspec

from hybrid_cli.system.files import read_regular

_COUNTER_BYTES = 8


class _State(msgspec.Struct, frozen=True):
    size: int
    segment: int
    validator: str | None


class Partial:
    """The bytes of one file of `size` bytes in segments. Each segment has one writer at a time."""

    def __init__(self, folder: Path, state: _State, counts: array.array[int]) -> None:
        self.path = folder / "file.part"
        self.size = state.size
        self.segment = state.segment
        self.validator = state.validator
        self._counts = counts
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        self._done = os.open(folder / "file.done", os.O_RDWR | os.O_CREAT, 0o600)

    @classmethod
    def resume(cls, folder: Path) -> Partial | None:
        """The download that an earlier pull left in `folder`; None if it is missing or damaged."""
        try:
            state = msgspec.json.decode(read_regular(folder / "file.json"), type=_State)
            counts = array.array("Q", read_regular(folder / "file.done"))
            length = (folder / "file.part").stat().st_size
        except (OSError, ValueError, msgspec.DecodeError):
            return None
        partial = cls(folder, state, counts)
        if partial._is_sound(length):
            return partial
        partial.close()
        return None

    @classmethod
    def begin(cls, folder: Path, size: int, segment: int, validator: str | None) -> Partial:
        """A new download in `folder`, in place of an earlier one."""
        for name in ("file.json", "file.done", "file.part"):
            (folder / name).unlink(missing_ok=True)
        state = _State(size, segment, validator)
        counts = array.array("Q", bytes(_COUNTER_BYTES * max(1, -(-size // segment))))
        (folder / "file.done").write_bytes(counts.tobytes())
        partial = cls(folder, state, counts)
        (folder / "file.json").write_bytes(msgspec.json.encode(state))
        return partial

    def _is_sound(self, length: int) -> bool:
        """Whether the counts are possible for a file of that length; after a power cut they may not be."""
        spans = [self.span(index) for index in range(len(self._counts))]
        return len(self._counts) == max(1, -(-self.size // self.segment)) and all(
            count <= end - start and (count == 0 or start + count <= length)
            for count, (start, end) in zip(self._counts, spans, strict=True)
        )

    def span(self, index: int) -> tuple[int, int]:
        """The offsets of a segment's first byte and of the byte after its last."""
        start = index * self.segment
        return start, min(start + self.segment, self.size)

    def missing(self) -> list[int]:
        """The indices of incomplete segments, in order."""
        spans = [self.span(index) for index in range(len(self._counts))]
        return [index for index, (start, end) in enumerate(spans) if start + self._counts[index] < end]

    def position(self, index: int) -> int:
        """The offset of a segment's first missing byte."""
        return index * self.segment + self._counts[index]

    def done(self) -> int:
        """The number of bytes that have arrived."""
        return sum(self._counts)

    def watermark(self, start: int) -> int:
        """The offset of the first missing byte at or after `start`; `size` if none is missing."""
        index = start // self.segment
        while index < len(self._counts):
            place, (_, end) = self.position(index), self.span(index)
            if place < end:
                return place
            index += 1
        return self.size

    def write(self, index: int, data: bytes) -> None:
        """Append `data` to a segment. Raises OSError if the disk is full."""
        at, view = self.position(index), memoryview(data)
        while view:
            written = os.pwrite(self._file, view, at)
            at, view = at + written, view[written:]
            self._counts[index] += written
            counter = self._counts[index].to_bytes(_COUNTER_BYTES, "little")
            os.pwrite(self._done, counter, index * _COUNTER_BYTES)

    def read(self, buffer: memoryview, at: int) -> int:
        """Read bytes from the offset `at` into `buffer`; returns their number."""
        return os.preadv(self._file, [buffer], at)

    def close(self) -> None:
        os.close(self._file)
        os.close(self._done)
