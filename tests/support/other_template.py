"""Copies of a model with another chat template."""

from __future__ import annotations

import struct
from pathlib import Path


def with_template(model: Path, template: str, copy: Path) -> Path:
    """A copy of `model` with another chat template, which may not be longer than its own."""
    data = model.read_bytes()
    key = b"tokenizer.chat_template"
    place = data.index(key) + len(key) + 4
    (length,) = struct.unpack("<Q", data[place : place + 8])
    padding = length - len(template.encode()) - 4
    assert padding >= 0
    start = place + 8
    copy.write_bytes(data[:start] + f"{{#{' ' * padding}#}}{template}".encode() + data[start + length :])
    return copy
