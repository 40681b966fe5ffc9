"""A server on loopback that sends arbitrary bytes at any pace."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


@contextmanager
def sending(pieces: Iterable[bytes], pause: float = 0.0, *, holds: bool = False) -> Iterator[str]:
    """Yield the origin of a server that sends `pieces` with a `pause` after each, then closes the connection,
    or keeps it open if `holds`."""
    ended = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            size = 0
            while (line := self.rfile.readline().strip()) != b"":
                if line.lower().startswith(b"content-length:"):
                    size = int(line.partition(b":")[2])
            self.rfile.read(size)
            try:
                for piece in pieces:
                    self.wfile.write(piece)
                    if pause and ended.wait(pause):
                        return
                if holds:
                    ended.wait(60)
            except OSError:
                """The client closed the connection."""

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        ended.set()
        server.shutdown()
