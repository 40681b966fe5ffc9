"""The server's socket: a TCP address, a Unix socket, or one that systemd opened."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure

_SYSTEMD_DESCRIPTOR = 3
"""sd_listen_fds(3): the first of the passed descriptors."""
_UNREAD_MILLISECONDS = 60_000
"""How long a client may take nothing before its connection is broken (tcp(7))."""
_BACKLOG = 512


@dataclass
class Listener:
    """An open socket, and how to reach it."""

    socket: socket.socket
    host: str
    """For the check of the Host header."""
    where: str
    """For messages."""
    path: Path | None = None
    """The Unix socket that this process created."""

    def close(self) -> None:
        """Close the socket, and remove it from the file system."""
        self.socket.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def listen(address: str, variables: MutableMapping[str, str]) -> Listener:
    """Open `address` (HOST:PORT or unix:PATH), unless systemd passed a socket. Raises Failure."""
    passed = _from_systemd(variables)
    if passed is not None:
        return passed
    try:
        if address.startswith("unix:"):
            return _on_unix_socket(Path(address.removeprefix("unix:")).expanduser().absolute())
        return _on_tcp(address)
    except OSError as error:
        why = error.strerror or error
        raise Failure(
            ExitStatus.FAILURE, f"cannot listen on {address}: {why}; use another --listen"
        ) from None


def _from_systemd(variables: MutableMapping[str, str]) -> Listener | None:
    """Return the socket of a systemd socket unit, if this process was started for one."""
    pid, count = variables.pop("LISTEN_PID", ""), variables.pop("LISTEN_FDS", "")
    variables.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal() or count == "0":
        return None
    if count != "1":
        raise Failure(ExitStatus.USAGE, f"systemd passed {count} sockets; one ListenStream= is served")
    found = socket.socket(fileno=_SYSTEMD_DESCRIPTOR)
    found.set_inheritable(False)
    name = found.getsockname()
    host = name[0] if isinstance(name, tuple) else "localhost"
    return Listener(found, host, f"systemd's socket {name if isinstance(name, str) else _spelled(*name[:2])}")


def _on_tcp(address: str) -> Listener:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise Failure(ExitStatus.USAGE, f"--listen: `{address}` is neither HOST:PORT nor unix:PATH")
    family, kind, protocol, _, place = socket.getaddrinfo(
        host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # accepted sockets inherit both
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MILLISECONDS)
        listener.bind(place)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    bound = listener.getsockname()
    return Listener(listener, host, f"http://{_spelled(host, bound[1])}")


def _spelled(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _on_unix_socket(path: Path) -> Listener:
    """Listen on a socket that only this user can reach. One that nobody listens on is replaced."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise Failure(ExitStatus.USAGE, f"--listen: {path} exists and is no socket")
        with socket.socket(socket.AF_UNIX) as door:
            try:
                door.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            else:
                raise Failure(ExitStatus.FAILURE, f"another program listens on {path}; use another --listen")
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    return Listener(listener, "localhost", f"unix:{path}", path)
