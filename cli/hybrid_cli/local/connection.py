"""Messages to a local engine in another process, and its events, through two file descriptors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, NoReturn

from hybrid_cli.exit_status import ExitStatus, Failure

if TYPE_CHECKING:  # late: the worker is forked before anything heavy is imported
    from hybrid_cli.local.protocol import Describe, Event, LocalRequest, MeasureLayouts, Message


class Connection:
    """An `Engine` in another process. `local.protocol` defines what goes through the descriptors."""

    def __init__(self, requests: int, events: IO[bytes]) -> None:
        self._requests = requests
        self._events = events

    def events(self, request: LocalRequest | Describe | MeasureLayouts) -> Iterator[Event]:
        """Send one request and yield its events, up to and including `Done`.

        Raises Failure if the engine cannot answer or its process dies (a native crash, or no memory).
        """
        from hybrid_cli.local.protocol import Failed

        self.send(request)
        for event in self.received():
            if isinstance(event, Failed):
                raise Failure(ExitStatus[event.status], event.reason)
            yield event

    def received(self) -> Iterator[Event]:
        """Yield the events of the request sent last, up to and including `Done` or `Failed`."""
        import msgspec

        from hybrid_cli.local.protocol import Done, Event, Failed

        decoder = msgspec.json.Decoder(Event)
        while True:
            event = decoder.decode(self._line())
            yield event
            if isinstance(event, (Done, Failed)):
                return

    def _line(self) -> bytes:
        """Return the next line from the engine. Raises Failure if the engine is dead."""
        try:
            line = self._events.readline()
        except ConnectionError:  # it died with a message unread
            line = b""
        return line or self._raise_death()

    def send(self, message: Message) -> None:
        """Send one message. Raises Failure if the engine is dead."""
        import msgspec

        try:
            data = memoryview(msgspec.json.encode(message) + b"\n")
            while data:
                data = data[os.write(self._requests, data) :]
        except ConnectionError:
            self._raise_death()

    def _raise_death(self) -> NoReturn:
        raise NotImplementedError

    def stop(self) -> None:
        """Stop what was requested. Safe to call at any time."""
        raise NotImplementedError
