"""Images of each format with metadata, drawn by Pillow: a position, comments, thumbnails and a tail."""

from __future__ import annotations

import io

from PIL import Image
from PIL.PngImagePlugin import PngInfo

CANARIES = (b"canary-camera", b"canary-comment", b"canary-xmp", b"canary-tail", b"GPS-canary")
"""Texts in the metadata, none of which may leave."""
_GPS, _CAMERA, _ORIENTATION = 0x8825, 0x010F, 0x0112


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[_CAMERA], exif[_ORIENTATION] = "canary-camera", orientation
    exif.get_ifd(_GPS).update({1: "N", 2: (52.0, 31.0, 12.0), 29: "GPS-canary"})
    return exif


def _frames() -> list[Image.Image]:
    """Two frames that no format has to merge, as their pixels differ."""
    first = Image.new("RGB", (5, 3))
    first.putdata([(40 * x, 80 * y, 200 - 40 * x) for y in range(3) for x in range(5)])
    return [first, first.transpose(Image.Transpose.ROTATE_180)]


def _saved(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    _frames()[0].save(file, kind, **options)
    return file.getvalue() + b"canary-tail"


def images(orientation: int = 6) -> dict[str, tuple[str, bytes]]:
    """Return the media type and the bytes of an image by what it is."""
    note = PngInfo()
    note.add_text("Comment", "canary-comment", zip=False)
    note.add_text("Also", "canary-comment", zip=True)
    note.add_itxt("XML:com.adobe.xmp", "canary-xmp")
    moving = {"save_all": True, "append_images": _frames()[1:], "duration": 100}
    exif, xmp = _exif(orientation), b"<x>canary-xmp</x>"
    return {
        "PNG": ("image/png", _saved("PNG", pnginfo=note, exif=exif, icc_profile=b"colours")),
        "APNG": ("image/png", _saved("PNG", pnginfo=note, **moving)),
        "JPEG": (
            "image/jpeg",
            _saved("JPEG", exif=exif, comment=b"canary-comment", xmp=xmp, icc_profile=b"colours"),
        ),
        "progressive JPEG": ("image/jpeg", _saved("JPEG", progressive=True, exif=exif)),
        "GIF": ("image/gif", _saved("GIF", comment=b"canary-comment")),
        "moving GIF": ("image/gif", _saved("GIF", comment=b"canary-comment", **moving)),
        "WebP": ("image/webp", _saved("WEBP", exif=exif, xmp=xmp, icc_profile=b"colours")),
        "lossless WebP": ("image/webp", _saved("WEBP", lossless=True)),
        "moving WebP": ("image/webp", _saved("WEBP", exif=exif, lossless=True, **moving)),
    }


FIVE = ("PNG", "JPEG", "WebP", "GIF", "moving GIF")
"""The formats that whole runs are tried with."""


def pixels(data: bytes) -> tuple[tuple[int, int], bytes]:
    """Return the size and the pixels of the first frame, which must be whole."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.size, image.convert("RGBA").tobytes()


def details(data: bytes) -> tuple[int, dict[int, object], object]:
    """Return the number of frames, the Exif tags, and the colour profile."""
    with Image.open(io.BytesIO(data)) as image:
        return getattr(image, "n_frames", 1), dict(image.getexif()), image.info.get("icc_profile")
