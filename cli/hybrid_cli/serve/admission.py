"""How many requests are answered at once, and how many wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hybrid_cli.serve.faults import busy

QUEUE_LENGTH = 16
"""Requests that may wait, for each that is answered."""


class Admission:
    """Lets `parallel` requests in, in order."""

    def __init__(self, parallel: int) -> None:
        self._parallel = parallel
        self._places = asyncio.Semaphore(parallel)
        self.in_flight = 0
        self.queued = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place, and hold it within the block. Raises HttpFault if too many wait."""
        if self._places.locked() and self.queued >= QUEUE_LENGTH * self._parallel:
            raise busy(
                f"{self.in_flight} requests are being answered and {self.queued} wait; send it again later"
            )
        self.queued += 1
        try:
            await self._places.acquire()
        finally:
            self.queued -= 1
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1
            self._places.release()
