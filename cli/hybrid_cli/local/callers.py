"""The processes that use a warm engine: their connections, and what each of them has asked for.

A thread of its own accepts connections, reads messages and writes what a slow reader has not taken yet. It never
touches the model. `SharedInbox` hands the messages of all callers to the scheduler as one stream.
"""

from __future__ import annotations

import contextlib
import os
import queue
import selectors
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Union

import msgspec

from hybrid_cli.local.protocol import Event, Message, Ready

_MAX_CALLERS = 512
_MAX_LINE = 64 << 20
"""Bytes of one message."""
_MAX_UNREAD = 64 << 20
"""Bytes of events that a caller leaves unread before it is dropped."""


@dataclass(eq=False)
class Caller:
    """One connected process."""

    connection: socket.socket
    wake: Callable[[], None]
    numbers: dict[int, int] = field(default_factory=dict)
    """The scheduler's number of each of its running sequences, by its own number."""
    only_watches: bool = False
    """Whether it asked for the status, which does not count as use."""
    is_single: bool = False
    """Whether it sent a `LocalRequest`, which ends with its sequences, rather than a `SchedulerRequest`."""
    is_loaded: bool = False
    """Whether it has got `Loaded`."""
    has_ended: bool = False
    """Whether it will begin no more sequences."""
    context: int = 0
    """The context limit in tokens, where its last prompt was longer."""
    unread: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)
    searched: int = 0
    """Bytes of `received` that hold no end of a line."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, event: Event) -> None:
        """Send `event` without waiting; what the caller does not take at once waits for the other thread."""
        line = msgspec.json.encode(event) + b"\n"
        with self.lock:
            if not self.unread:
                with contextlib.suppress(OSError):
                    line = line[self.connection.send(line) :]
            if not line:
                return
            self.unread += line
        self.wake()


class Gone:
    """The caller has left."""


Arrival = tuple[Caller, Union[Message, Gone]]  # noqa: UP007  no | before 3.11


class Callers:
    """Everyone who is connected to `listener`."""

    def __init__(self, listener: socket.socket, enforcement: str) -> None:
        self.arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._listener = listener
        self._enforcement = enforcement
        self._callers: set[Caller] = set()
        self._selector = selectors.DefaultSelector()
        self._wakes, self._waker = os.pipe()
        self._decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)
        for end in (listener, self._wakes, self._waker):
            os.set_blocking(end if isinstance(end, int) else end.fileno(), False)
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(self._wakes, selectors.EVENT_READ)
        threading.Thread(target=self._serve, daemon=True).start()

    def everyone(self) -> list[Caller]:
        """Return those who are connected now, except who only asked for the status."""
        return [caller for caller in list(self._callers) if not caller.only_watches]

    def wake(self) -> None:
        """Let the thread look for what is unread."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._waker, b".")

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj == self._wakes:
                    os.read(self._wakes, 4096)
                elif key.data in self._callers:
                    self._read(key.data)
            for caller in list(self._callers):
                self._write(caller)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            if len(self._callers) >= _MAX_CALLERS or not _is_same_user(connection):
                connection.close()
                return
            connection.setblocking(False)
            caller = Caller(connection, self.wake)
            self._callers.add(caller)
            self._selector.register(connection, selectors.EVENT_READ, caller)
            caller.send(Ready(self._enforcement))

    def _read(self, caller: Caller) -> None:
        try:
            data = caller.connection.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        caller.received += data
        try:
            while (end := caller.received.find(b"\n", caller.searched)) >= 0:
                message = self._decoder.decode(caller.received[:end])
                del caller.received[: end + 1]
                caller.searched = 0
                self.arrivals.put((caller, message))
            caller.searched = len(caller.received)
        except (msgspec.MsgspecError, RecursionError):  # no engine's caller
            data = b""
        if not data or len(caller.received) > _MAX_LINE:
            self._drop(caller)

    def _write(self, caller: Caller) -> None:
        """Write what is unread, as far as the caller takes it."""
        with caller.lock:
            try:
                while caller.unread:
                    del caller.unread[: caller.connection.send(caller.unread)]
            except BlockingIOError:
                pass
            except OSError:
                caller.unread.clear()
            is_waiting, is_too_much = bool(caller.unread), len(caller.unread) > _MAX_UNREAD
        if is_too_much:
            self._drop(caller)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if is_waiting else 0)
        if self._selector.get_key(caller.connection).events != wanted:
            self._selector.modify(caller.connection, wanted, caller)

    def _drop(self, caller: Caller) -> None:
        self._callers.discard(caller)
        self._selector.unregister(caller.connection)
        with caller.lock:
            caller.connection.close()
            caller.unread.clear()
        self.arrivals.put((caller, Gone()))


def _is_same_user(connection: socket.socket) -> bool:
    """Whether the process at the other end runs as this user (unix(7)); elsewhere the folder keeps others out."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    size = struct.calcsize("3i")
    _pid, user, _group = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    return bool(user == os.getuid())
