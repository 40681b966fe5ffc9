"""The way to engines that are kept warm: find one, start one, ask what it does.

Each listens on a Unix socket in `system.runtime_folder`, named by a digest of the weights and of what else decides
how it answers. A connection is made before the caller's own guard, which refuses `connect`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NoReturn

import msgspec

from hybrid_cli import __version__
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.child import kept_variables
from hybrid_cli.local.connection import Connection
from hybrid_cli.local.protocol import (
    AskStatus,
    Describe,
    Event,
    Keep,
    LocalRequest,
    MeasureLayouts,
    Ready,
    SchedulerRequest,
    Status,
    Unload,
)
from hybrid_cli.local.worker import Worker
from hybrid_cli.system.runtime_folder import SUFFIX, make_private

_PATIENCE = 1.0
"""Seconds to wait for a warm engine's greeting; without one, the command loads its own model."""
_START_PATIENCE = 15.0
_LONGEST_ADDRESS = 100
"""Bytes; unix(7) allows 107."""


class WarmEngine(Connection):
    """An `Engine` in a process that stays, and that other processes use, too."""

    def __init__(self, door: socket.socket) -> None:
        super().__init__(door.fileno(), door.makefile("rb"))
        self._door = door
        self._cold: Worker | None = None

    def events(self, request: LocalRequest | Describe | MeasureLayouts) -> Iterator[Event]:
        """Yield as `Connection.events` does; an engine that is gone before its first event is replaced by a worker."""
        events = super().events(request)
        try:
            first = next(events)
        except _Gone:
            self._cold = Worker.spawn()
            events = self._cold.events(request)
            first = next(events)
        yield first
        yield from events

    def wait_for_greeting(self) -> None:
        """Raises OSError or Failure if none comes in time."""
        if not isinstance(next(self.received()), Ready):
            self._raise_death()

    def _raise_death(self) -> NoReturn:
        raise _Gone(ExitStatus.FAILURE, "the warm engine ended; run the command again")

    def stop(self) -> None:
        """Leave the engine, which then stops what this process has asked for."""
        if self._cold is not None:
            self._cold.stop()
        with contextlib.suppress(OSError):  # closed already, or its engine is gone
            self._door.shutdown(socket.SHUT_RDWR)  # another thread may wait for an event
        self._events.close()
        self._door.close()


class _Gone(Failure):
    """The engine's process ended."""


def find(folder: str, weights_id: str, settings: SchedulerRequest) -> WarmEngine | None:
    """Return a connection to the warm engine for these weights and settings; None if there is none that answers."""
    return _connect(_address(folder, weights_id, settings), _PATIENCE)


def start(folder: str, weights_id: str, settings: SchedulerRequest) -> WarmEngine | None:
    """Start a warm engine, unless another process just did, and connect. None if that is not possible."""
    if not make_private(folder):
        return None
    name = _address(folder, weights_id, settings)
    with _lock(folder) as is_locked, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        engine = _connect(name, _PATIENCE)
        if engine is not None or not is_locked:
            return engine
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{name}.new")  # noqa: PTH108  of a command that was killed here; the lock is ours
            with _reachable(f"{name}.new") as address:
                listener.bind(address)
            os.chmod(f"{name}.new", 0o600)  # noqa: PTH101
            listener.listen(128)
            os.replace(f"{name}.new", name)  # noqa: PTH105  whoever sees it can call
            _launch(listener, name, weights_id, settings)
        except OSError:
            return None
    return _connect(name, _START_PATIENCE)


def _launch(listener: socket.socket, name: str, weights_id: str, settings: SchedulerRequest) -> None:
    arguments = [str(listener.fileno()), name, weights_id, msgspec.json.encode(settings).decode()]
    process = subprocess.Popen(
        [sys.executable, "-m", "hybrid_cli.local.daemon", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(listener.fileno(),),
        env=kept_variables(os.environ),
        cwd="/",  # python looks for modules in its working folder, which may be a hostile project
        start_new_session=True,  # it outlives this command and its terminal
    )
    process.returncode = 0  # nobody waits for it


def every(folder: str, silent: list[str]) -> Iterator[tuple[WarmEngine, Status]]:
    """Yield each warm engine with its status. Add the sockets of those that do not reply to `silent`.

    Sockets of engines that are gone are removed.
    """
    for name in _sockets(folder):
        engine = _connect(name, _PATIENCE)
        if engine is None:
            _remove_if_dead(folder, name)
            silent += [name] if os.path.exists(name) else []  # noqa: PTH110  a name, as elsewhere here
            continue
        try:
            engine.send(AskStatus())
            for event in engine.received():
                if isinstance(event, Status):
                    yield engine, event
                    break
        except Failure:
            continue
        finally:
            engine.stop()


def _remove_if_dead(folder: str, name: str) -> None:
    with _lock(folder) as is_locked, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        try:
            with _reachable(name) as address:
                door.connect(address)
        except ConnectionRefusedError:
            if is_locked:
                os.unlink(name)  # noqa: PTH108
        except OSError:
            return


def unload(engine: WarmEngine) -> None:
    """End the engine, and wait until it has."""
    engine.send(Unload())
    with contextlib.suppress(Failure):
        for _ in engine.received():
            pass


def keep(engine: WarmEngine, seconds: float | None) -> None:
    """Let the engine stay for `seconds` without a caller; None for ever."""
    engine.send(Keep(seconds))


def _sockets(folder: str) -> list[str]:
    try:
        return sorted(entry.path for entry in os.scandir(folder) if entry.name.endswith(SUFFIX))
    except OSError:
        return []


def _address(folder: str, weights_id: str, settings: SchedulerRequest) -> str:
    parts = (weights_id, msgspec.json.encode(settings).decode(), __version__, sys.prefix)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    return os.path.join(folder, f"{digest}{SUFFIX}")  # noqa: PTH118


def _connect(name: str, patience: float) -> WarmEngine | None:
    """Connect to the socket `name`, and wait for the greeting. A socket that nobody listens on is removed."""
    if not os.path.exists(name):  # noqa: PTH110
        return None
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.settimeout(patience)
    try:
        with _reachable(name) as address:
            door.connect(address)
        engine = WarmEngine(door)
        engine.wait_for_greeting()
        door.settimeout(None)
    except (OSError, Failure, msgspec.MsgspecError):
        door.close()
        return None
    return engine


@contextlib.contextmanager
def _reachable(name: str) -> Iterator[str]:
    """Yield an address for the socket `name` that is short enough for the kernel."""
    if len(os.fsencode(name)) <= _LONGEST_ADDRESS:
        yield name
        return
    folder = os.open(os.path.dirname(name), os.O_RDONLY)  # noqa: PTH120
    try:
        yield f"/proc/self/fd/{folder}/{os.path.basename(name)}"  # noqa: PTH119
    finally:
        os.close(folder)


@contextlib.contextmanager
def _lock(folder: str) -> Iterator[bool]:
    """Hold the folder's lock, so that one process starts an engine at a time. Yield False if another keeps it."""
    descriptor = os.open(os.path.join(folder, "lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)  # noqa: PTH118
    try:
        yield _is_locked(descriptor, time.monotonic() + _PATIENCE)
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int, end: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        else:
            return True
