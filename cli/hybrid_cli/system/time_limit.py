"""A limit on the time of a network exchange: a socket's own timeout restarts with each byte that arrives."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import TypeVar

Self = TypeVar("Self", bound="TimeLimit")


class TimeLimit:
    """A context manager that shuts the watched socket down if a phase takes too long, which ends reads and writes."""

    def __init__(self) -> None:
        self.exceeded: float | None = None
        """Seconds of the limit that was exceeded, if any."""
        self._socket: socket.socket | None = None
        self._timer: threading.Timer | None = None

    def watch(self, connection: socket.socket) -> None:
        """Apply the limit to `connection` from now on."""
        self._socket = connection
        if self.exceeded is not None:
            self._shut_down()

    def allow(self, seconds: float) -> None:
        """Begin a phase that may take `seconds`; it replaces the phase before."""
        self.end()
        self._timer = threading.Timer(seconds, self._exceed, [seconds])
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """End the phase."""
        if self._timer is not None:
            self._timer.cancel()

    def _exceed(self, seconds: float) -> None:
        self.exceeded = seconds
        self._shut_down()

    def _shut_down(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # closed already
                # Not the method of an SSLSocket, which would drop the TLS state under the thread that reads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
