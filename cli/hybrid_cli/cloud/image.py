"""An image of a prompt: its bytes, and how a request and a reader see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Image:
    """An image in one of the formats that clouds read."""

    media_type: str
    content: bytes

    @cached_property
    def sha256(self) -> str:
        import hashlib

        return hashlib.sha256(self.content).hexdigest()

    def data_url(self) -> str:
        """Return the image as both APIs take it."""
        import base64

        return f"data:{self.media_type};base64,{base64.b64encode(self.content).decode()}"

    def __str__(self) -> str:
        return f"{self.media_type}, {len(self.content):,} bytes, sha256 {self.sha256}"

    def as_record(self) -> dict[str, Any]:
        """Return the ledger's record of the image, which does not hold its content."""
        return {"media_type": self.media_type, "bytes": len(self.content), "sha256": self.sha256}


def counted(images: Sequence[Image]) -> str:
    """Return the number and the size of `images`, for a message."""
    size = sum(len(image.content) for image in images)
    return f"{len(images)} image{'' if len(images) == 1 else 's'} of {size:,} bytes"
