"""PNG, JPEG, GIF and WebP without their metadata, as stills: only the parts that a reader needs to draw them.

Nothing is decoded: each format is a list of parts, and parts that are not known to be needed are dropped. These
are Exif with its position and camera, comments, thumbnails, edit histories, and whatever follows the image.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNKS = b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP sBIT cICP mDCv mDCV cLLi cLLI bKGD pHYs".split()
_WEBP_CHUNKS = (b"VP8 ", b"VP8L", b"ALPH", b"ICCP")
_WEBP_COLOUR_AND_ALPHA = 0x30
"""The flags of VP8X that stay; the others announce Exif, XMP and an animation."""
_SEGMENT_END = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""The marker that ends the compressed data of a JPEG scan."""
_ORIENTATION = 0x0112


class ImageError(ValueError):
    """The bytes are no image that can be sent; the message says why, as in `FILE is ...`."""


def without_metadata(data: bytes) -> tuple[str, bytes]:
    """Return the media type of an image and its bytes without metadata. Raises ImageError."""
    found = _format_of(data)
    if found is None:
        raise ImageError("not a PNG, JPEG, WebP or GIF image")
    name, clean = found
    try:
        return f"image/{name.lower()}", clean(data)
    except (IndexError, struct.error, _DamagedError):
        raise ImageError(f"a damaged or truncated {name} image") from None


class _DamagedError(Exception):
    pass


def _format_of(data: bytes) -> tuple[str, Callable[[bytes], bytes]] | None:
    if data.startswith(_PNG):
        return "PNG", _png
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG", _jpeg
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF", _gif
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP", _webp
    return None


def _require(condition: bool) -> None:
    if not condition:
        raise _DamagedError


# ---- PNG (W3C PNG, third edition, section 5) --------------------------------------------------------------


def _png(data: bytes) -> bytes:
    kept, seen = [_PNG], []
    at = len(_PNG)
    while b"IEND" not in seen:
        (length,) = struct.unpack_from(">I", data, at)
        chunk, end = data[at + 4 : at + 8 + length], at + 12 + length
        _require(end <= len(data) and struct.unpack_from(">I", data, end - 4)[0] == zlib.crc32(chunk))
        seen.append(chunk[:4])
        if chunk[:4] in _PNG_CHUNKS:
            kept.append(data[at:end])
        at = end
    _require(seen[0] == b"IHDR" and b"IDAT" in seen)
    return b"".join(kept)


# ---- JPEG (ITU-T T.81, annex B) ---------------------------------------------------------------------------


def _jpeg(data: bytes) -> bytes:
    kept = [b"\xff\xd8"]
    has_frame = has_scan = False
    at = 2
    while True:
        _require(data[at] == 0xFF)
        while data[at + 1] == 0xFF:  # filling
            at += 1
        marker = data[at + 1]
        if marker == 0xD9:
            _require(has_scan)
            return b"".join([*kept, b"\xff\xd9"])
        (length,) = struct.unpack_from(">H", data, at + 2)
        end = at + 2 + length
        _require(length >= 2 and end <= len(data))
        kept.append(_jpeg_segment(marker, data[at:end]))
        has_frame |= 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)
        if marker == 0xDA:
            _require(has_frame)
            has_scan = True
            found = _SEGMENT_END.search(data, end)
            _require(found is not None)
            stop = found.start() if found else end
            kept.append(data[end:stop])
            end = stop
        at = end


def _jpeg_segment(marker: int, segment: bytes) -> bytes:
    """Return what stays of one segment: of Exif the orientation, without which a photo lies on its side."""
    content = segment[4:]
    if marker == 0xE0:  # the header, without its thumbnail
        is_header = content.startswith(b"JFIF\0") and len(content) >= 14
        return b"\xff\xe0\x00\x10" + content[:12] + b"\0\0" if is_header else b""
    if marker == 0xE1 and content.startswith(b"Exif\0\0"):
        turned = _orientation(content[6:])
        return b"" if turned is None else _exif_with(turned)
    if marker == 0xE2:
        return segment if content.startswith(b"ICC_PROFILE\0") else b""
    if marker == 0xEE:  # how the colours are coded
        return (
            b"\xff\xee\x00\x0e" + content[:12] if content.startswith(b"Adobe") and len(content) >= 12 else b""
        )
    return b"" if 0xE0 <= marker <= 0xEF or marker == 0xFE else segment


def _orientation(tiff: bytes) -> int | None:
    """Return the orientation in a TIFF header of Exif if it turns or mirrors the image."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for number in range(count):
            tag, _type, _count, value = struct.unpack_from(f"{order}HHIH", tiff, start + 2 + 12 * number)
            if tag == _ORIENTATION:
                return int(value) if 2 <= value <= 8 else None
    except struct.error:
        return None
    return None


def _exif_with(orientation: int) -> bytes:
    entry = struct.pack(">HHIHH", _ORIENTATION, 3, 1, orientation, 0)
    content = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    return struct.pack(">HH", 0xFFE1, len(content) + 2) + content


# ---- GIF (GIF89a) -----------------------------------------------------------------------------------------


def _gif(data: bytes) -> bytes:
    """Return the first frame: an animation's others are not sent."""
    at = 13 + _colours(data[10])
    kept = [data[:at]]
    while True:
        if data[at] == 0x21:
            end = _blocks_end(data, at + 2)
            if data[at + 1] == 0xF9:  # transparency
                kept[1:] = [data[at:end]]
            at = end
        elif data[at] == 0x2C:
            end = _blocks_end(data, at + 11 + _colours(data[at + 9]))
            _require(end < len(data))  # another part, or the trailer
            return b"".join([*kept, data[at:end], b";"])
        else:
            raise _DamagedError


def _colours(flags: int) -> int:
    """Return the bytes of a colour table."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks_end(data: bytes, at: int) -> int:
    while data[at]:
        at += data[at] + 1
    return at + 1


# ---- WebP (RFC 9649) --------------------------------------------------------------------------------------


def _webp(data: bytes) -> bytes:
    """Return the still image, or an animation's first frame."""
    size = struct.unpack_from("<I", data, 4)[0] + 8
    _require(size <= len(data))
    kept: dict[bytes, bytes] = {}
    for name, content in _chunks(data[12:size]):
        if name == b"ANMF":
            _require(b"VP8X" in kept)
            kept.update({part: inner for part, inner in _chunks(content[16:]) if part in _WEBP_CHUNKS})
            kept[b"VP8X"] = kept[b"VP8X"][:4] + content[6:12]  # the frame's size
            break
        if name == b"VP8X" or name in _WEBP_CHUNKS:
            kept.setdefault(name, content)
    _require(b"VP8 " in kept or b"VP8L" in kept)
    if b"VP8X" in kept:
        header = kept.pop(b"VP8X")
        _require(len(header) == 10)
        kept = {b"VP8X": bytes([header[0] & _WEBP_COLOUR_AND_ALPHA]) + header[1:], **_in_order(kept)}
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
        for name, content in kept.items()
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _in_order(chunks: dict[bytes, bytes]) -> dict[bytes, bytes]:
    return {name: chunks[name] for name in (b"ICCP", b"ALPH", b"VP8 ", b"VP8L") if name in chunks}


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        _require(at + 8 + length <= len(data))
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
