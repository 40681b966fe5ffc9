"""The size of an image in pixels, by its header, and whether there is memory to decode that many."""

from __future__ import annotations

import struct

from hybrid_cli.local import memory

MAX_PIXELS = 100_000_000
"""A file of one megabyte can have ten times as many."""
_BYTES_A_PIXEL = 12
"""The most that libmtmd's decoder takes, measured with PNG, JPEG and GIF: 6 for RGB, 12 for progressive JPEG."""
_NO_FRAME = (0xC4, 0xC8, 0xCC)
"""Markers of JPEG among those of frames that begin none."""


def size_of(image: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG, GIF or JPEG; None if its header has none."""
    try:
        if image.startswith(b"\x89PNG\r\n\x1a\n"):
            return struct.unpack_from(">II", image, 16) if image[12:16] == b"IHDR" else None
        if image.startswith(b"GIF8"):
            return struct.unpack_from("<HH", image, 6)
        return _jpeg_size(image)
    except (IndexError, struct.error):
        return None


def _jpeg_size(image: bytes) -> tuple[int, int] | None:
    """Return the size in the first frame header (ITU-T T.81, B.2.2)."""
    at = 2
    while image[at] == 0xFF:
        marker = image[at + 1]
        if marker == 0xFF:  # filling
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            height, width = struct.unpack_from(">HH", image, at + 5)
            return width, height
        at += 2 + int(struct.unpack_from(">H", image, at + 2)[0])
    return None


def too_large(image: bytes) -> str | None:
    """Return why `image` must not be decoded, as a clause about it; None if it may be."""
    size = size_of(image)
    if size is None:
        return "its header is damaged, or of a rare kind"
    width, height = size
    if width * height > MAX_PIXELS:
        return f"it has {width} x {height} pixels, over {MAX_PIXELS // 1_000_000} million; make it smaller"
    needed, free = width * height * _BYTES_A_PIXEL, memory.available()
    if free is not None and needed > free:
        return (
            f"its {width} x {height} pixels need {memory.as_text(needed)} of memory, but only"
            f" {memory.as_text(free)} are free; make it smaller"
        )
    return None
