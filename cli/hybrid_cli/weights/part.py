"""What every kind of source has in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hybrid_cli.weights.incoming import Slot
from hybrid_cli.weights.reporter import Reporter

Fetched = tuple[Path, str | None]
"""The fetched file, or a link to it, in its slot; and its sha256 where it was computed on the way."""


@dataclass(frozen=True)
class Part:
    """One file of a model, found but not fetched, and what its source says of it."""

    file: str
    size: int | None
    sha256: str | None
    fetch: Callable[[Slot, Reporter], Fetched]
    validator: str | None = None
    """What changes when the file does, for want of a checksum."""


class Source(Protocol):
    """One place to get a model from."""

    @property
    def file(self) -> str:
        """The model's file name, or what stands for it."""

    @property
    def text(self) -> str:
        """The source in the user's words, without what only this moment needs."""

    def find(self, reporter: Reporter) -> list[Part]:
        """The model's file; of a split one, every shard in order. Raises Failure with what went wrong."""
