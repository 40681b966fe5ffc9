"""One request between the event loop, which talks to the client, and the thread that answers it."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import Any

from hybrid_cli.cascade.answer import Answer
from hybrid_cli.cascade.shared_engine import EngineSlot
from hybrid_cli.cascade.streamed_text import StreamedText
from hybrid_cli.exit_status import ExitStatus, Failure, Interrupted


@dataclass(frozen=True)
class Piece:
    """The next piece of a streamed answer."""

    text: str
    is_local: bool


Outcome = Piece | Answer | Failure


class Exchange:
    """A `Destination` for the cascade, whose pieces the event loop takes with `next`."""

    takes_images = False

    def __init__(self, *, streams: bool) -> None:
        self.streams = streams
        self.is_local = True
        """Whether the pieces are the local model's."""
        self.logprobs: list[dict[str, Any]] | None = None
        """Of the answer's tokens, if they were asked for and are known."""
        self._loop = asyncio.get_running_loop()
        self._outcomes: asyncio.Queue[Outcome] = asyncio.Queue()
        self._streamed = StreamedText()
        self._ended: Failure | None = None
        self._slot: EngineSlot | None = None
        self._lock = threading.Lock()

    # ---- the event loop's side --------------------------------------------------------------------------

    async def next(self) -> Outcome:
        """Return the next piece, or the end: an answer or a failure."""
        return await self._outcomes.get()

    # ---- the thread's side ------------------------------------------------------------------------------

    def stream(self, text: str) -> None:
        """Pass a piece on. Raises Interrupted once nobody waits for the answer, which ends a cloud's stream."""
        if self._ended is not None:
            raise Interrupted(self._ended.status)
        if self.streams:
            self._pass_on(self._streamed.feed(text))

    def complete(self, answer: Answer) -> None:
        """Pass the rest of the text on, and the answer."""
        if self.streams:
            self._pass_on(self._streamed.flush().rstrip())  # blank text at the end is not part of the answer
        self.put(answer)

    def _pass_on(self, text: str) -> None:
        if text:
            self.put(Piece(text, self.is_local))

    def end_line(self) -> None:
        """Nothing is printed below this answer."""

    def put(self, outcome: Outcome) -> None:
        """Hand the outcome to the event loop, which may have ended by now."""
        try:
            self._loop.call_soon_threadsafe(self._outcomes.put_nowait, outcome)
        except RuntimeError:
            return

    def use(self, slot: EngineSlot) -> None:
        """Let `end` stop what `slot` generates."""
        with self._lock:
            self._slot = slot
            ended = self._ended
        if ended is not None:
            slot.abandon(ended)

    # ---- either side ------------------------------------------------------------------------------------

    def end(self, status: ExitStatus, message: str) -> None:
        """Stop the work on this request: the client has left, or the time is over."""
        with self._lock:
            if self._ended is not None:
                return
            self._ended = Failure(status, message)
            slot = self._slot
        self.put(self._ended)
        if slot is not None:
            slot.abandon(self._ended)
