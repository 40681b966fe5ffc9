"""A Chat Completions server on loopback with scripted replies: answers, faults, stalls, cuts."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass
class Reply:
    """The reply to one request. Status 200 streams `pieces`; `fault` names what goes wrong."""

    status: int = 200
    pieces: tuple[str, ...] = ("The cloud", " says", " hello.")
    finish_reason: str | None = "stop"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"error": {"message": "no", "code": "scripted"}}'
    fault: str = ""
    """cut: end without a finish reason; stall: silence half-way; corrupt: a chunk that is not JSON;
    hang: silence before the answer; hang up: close the connection unanswered; reset: break it half-way; flood: send without end;
    page: a web page."""
    usage: dict[str, Any] | None = field(
        default_factory=lambda: {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    )
    content_type: str = "text/event-stream"
    events: tuple[dict[str, Any], ...] = ()
    """Events of the Responses API, sent instead of `pieces`."""


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    content: bytes


class ScriptedCloud:
    """A context manager. It sends `replies` in order, then repeats the last one."""

    def __init__(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.replies = [Reply()]
        self.respond: Callable[[dict[str, Any]], Reply] | None = None
        """Computes the reply from the request's body, instead of `replies`."""
        self.model = "scripted"
        """The model that each chunk names."""
        self.tier: str | None = None
        """The service tier named in each chunk."""
        self.received: list[Received] = []
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.received.append(Received(self.path, headers, json.loads(body), body))
                reply = outer.replies[min(len(outer.received), len(outer.replies)) - 1]
                outer._send(self, reply if outer.respond is None else outer.respond(json.loads(body)))

            def log_message(self, *_arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that hangs up is part of the tests."""

        self._server = Server(("127.0.0.1", port), Handler)
        self._scheme = "http" if tls is None else "https"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def origin(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def section(self, extra: str = "") -> str:
        """The profile's cloud section for this server."""
        return f'cloud: {{base_url: "{self.origin}/v1", model: scripted{extra}}}\n'

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        handler.close_connection = True
        if reply.fault == "hang":
            self.released.wait(60)
        if reply.fault == "hang up":
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.send_header("Connection", "close")
        if reply.status != 200:
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(reply.body)))
            handler.end_headers()
            handler.wfile.write(reply.body)
            return
        handler.send_header("Content-Type", reply.content_type)
        handler.end_headers()
        if reply.fault == "page":
            handler.wfile.write(b"<html>Sign in</html>")
            return
        while reply.fault == "flood":
            handler.wfile.write(b"data: " + b" " * 1_000_000)
        for event in reply.events:
            self._data(handler, json.dumps(event))
        if not reply.events:
            self._stream(handler, reply)

    def _stream(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        for number, piece in enumerate(reply.pieces):
            self._chunk(handler, {"delta": {"content": piece}, "finish_reason": None})
            if number == 0 and reply.fault == "stall":
                self.released.wait(60)
            if number == 0 and reply.fault == "cut":
                return
            if number == 0 and reply.fault == "reset":
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                handler.connection.close()
                return
            if number == 0 and reply.fault == "corrupt":
                handler.wfile.write(b"data: {this is no JSON\n\n")
        self._chunk(handler, {"delta": {}, "finish_reason": reply.finish_reason})
        if reply.usage is not None:
            self._data(
                handler, json.dumps({**_FRAME, "model": self.model, "choices": [], "usage": reply.usage})
            )
        self._data(handler, "[DONE]")

    def _chunk(self, handler: BaseHTTPRequestHandler, choice: dict[str, Any]) -> None:
        self._data(
            handler,
            json.dumps(
                {
                    **_FRAME,
                    "model": self.model,
                    "service_tier": self.tier,
                    "choices": [{"index": 0, **choice}],
                }
            ),
        )

    def _data(self, handler: BaseHTTPRequestHandler, data: str) -> None:
        handler.wfile.write(f"data: {data}\n\n".encode())
        handler.wfile.flush()

    def __enter__(self) -> ScriptedCloud:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


_FRAME = {
    "id": "chatcmpl-scripted",
    "object": "chat.completion.chunk",
    "created": int(time.time()),
    "model": "scripted",
}
