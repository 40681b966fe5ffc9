"""The size of an image in pixels, by its header, and whether there is memory to decode it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from hybrid_cli.local import memory

_PNG = b"\x89PNG\r\n\x1a\n"
MAX_PIXELS = 100_000_000
"""A file of one megabyte can hold ten times as many."""
_BYTES_A_PIXEL = 12
"""The most that libmtmd's decoder takes, measured with PNG, JPEG and GIF: 6 for RGB, 12 for progressive JPEG."""
_NO_FRAME = (0xC4, 0xC8, 0xCC)
"""JPEG markers between 0xC0 and 0xCF that begin no frame."""
_SLICE = 1 << 14
"""Bytes of packed data, which unpack to at most 17 MB."""


def size_of(image: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG, GIF or JPEG; None if its header gives no size."""
    try:
        if image.startswith(_PNG):
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
    most = (8 * width + 4) * height  # pixels of 16-bit RGBA, and a byte for each line of up to seven passes
    if image.startswith(_PNG) and _unpacks_beyond(image, most):
        return f"its data unpacks to more than its {width} x {height} pixels; save it anew"
    return None


def _unpacks_beyond(image: bytes, most: int) -> bool:
    """Return whether the data of a PNG unpacks to over `most` bytes: the decoder unpacks it whole, whatever the size is.

    Damaged data is left to the decoder.
    """
    packed = b"".join(_png_data(image))
    stream = zlib.decompressobj(-zlib.MAX_WBITS)  # without the header, whose checks the decoder leaves out
    try:
        for start in range(2, len(packed), _SLICE):
            most -= len(stream.decompress(packed[start : start + _SLICE]))
            if most < 0 or stream.eof:
                break
    except zlib.error:
        pass
    return most < 0


def _png_data(image: bytes) -> Iterator[bytes]:
    """Yield the content of each IDAT chunk."""
    at = len(_PNG)
    while at + 8 <= len(image):
        length, kind = struct.unpack_from(">I4s", image, at)
        if kind == b"IDAT":
            yield image[at + 8 : at + 8 + length]
        at += 12 + length
