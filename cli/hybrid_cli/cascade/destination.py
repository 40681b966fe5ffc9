"""What the cascade needs of the place where an answer goes."""

from __future__ import annotations

from typing import Protocol


class Destination(Protocol):
    """A terminal, pipe or file (`cascade.output`), or the client of a server."""

    @property
    def streams(self) -> bool:
        """Whether pieces are delivered at once, so that no other answer can replace them."""
        ...

    @property
    def takes_images(self) -> bool:
        """Whether the local model may request an image."""
        ...

    def stream(self, text: str) -> None:
        """Deliver the next piece of the answer now, if this destination streams."""
        ...

    def end_line(self) -> None:
        """End the line of a streamed answer, so that a message can follow."""
        ...
