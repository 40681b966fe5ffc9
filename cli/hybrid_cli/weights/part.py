"""The interface of sources: a source finds the parts of a model, and each part can be fetched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hybrid_cli.weights.incoming import Slot
from hybrid_cli.weights.reporter import Reporter

Fetched = tuple[Path, str | None]
"""The fetched file or link in its slot, and its sha256 if it was computed on the way."""


@dataclass(frozen=True)
class Part:
    """One file of a model before it is fetched, with its size and checksum if the source says them."""

    file: str
    size: int | None
    sha256: str | None
    fetch: Callable[[Slot, Reporter], Fetched]
    validator: str | None = None
    """ETag or Last-Modified, which identifies the version if there is no checksum."""


class WeightsSource(Protocol):
    """A place to get a model from."""

    @property
    def file(self) -> str:
        """The file name that the model's default name is made from; may be empty."""

    @property
    def text(self) -> str:
        """The source as the user writes it, without secrets; it is recorded in the manifest."""

    def find(self, reporter: Reporter) -> list[Part]:
        """The parts of the model: one file, or every shard in order. Raises Failure."""
