"""Runs the endpoints with uvicorn on a socket of hybrid's own, and ends gracefully."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from hybrid_cli.cascade.session import guard
from hybrid_cli.guard.forbid import wipe_start_environment
from hybrid_cli.profile.modes import Mode
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.serve.access import read_token
from hybrid_cli.serve.answering import Answering, collect_garbage_often
from hybrid_cli.serve.application import Endpoints, new_application
from hybrid_cli.serve.engines import Engines
from hybrid_cli.serve.listening import Listener, listen
from hybrid_cli.ui.environment import Environment

_HEAD_SECONDS = 10.0
"""For the head of a request."""
_LAST_SECONDS = 0.4
"""For the errors of answers that the end of the server cuts."""
_KEEP_ALIVE_SECONDS = 60
"""For the next request of an idle connection."""


@dataclass(frozen=True)
class ServeOptions:
    """The command line of `hybrid serve`."""

    listen: str
    profile: str | None
    escalation: Mode | None
    keep_alive: str | None
    parallel: int
    grace: int
    allowed_origins: list[str]


def serve(options: ServeOptions, environment: Environment) -> None:
    """Serve until a signal. Raises Failure if it cannot start, Interrupted after SIGTERM."""
    flags = Flags(profile=options.profile, escalation=options.escalation)
    policy = merge_policy(flags, environment)  # a mistake in the profile ends the start
    wipe_start_environment()  # a key stays in it as long as the server runs
    token = read_token(environment)
    listener = listen(options.listen, environment.variables)
    notifier = Notifier(environment.variables)
    # Without this option another profile may hand off, whatever the default one says.
    enforcement = guard(policy, environment) if options.escalation == "forbid" else "none"
    engines = Engines(environment, may_connect=enforcement == "none")
    try:
        answering = Answering(environment, engines, enforcement, options.keep_alive, options.escalation)
        endpoints = Endpoints(answering, options.profile, options.parallel)
        application = new_application(endpoints, token, listener.host, options.allowed_origins)
        collect_garbage_often()
        environment.note(f"listening on {listener.where}; stop with Ctrl-C")
        _run(application, endpoints, listener, options.grace, notifier)
    finally:
        notifier.close()
        listener.close()
        engines.close()


def _run(application: Any, endpoints: Endpoints, listener: Listener, grace: int, notifier: Notifier) -> None:
    for name in ("uvicorn.access", "uvicorn.asgi", "uvicorn.error"):
        logging.getLogger(name).disabled = True  # a traceback could show a prompt
    config = uvicorn.Config(
        application,
        http=_Protocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=grace,
    )
    # uvicorn sends itself the signal that ended it, which reaches the handlers of `__main__`.
    server = _Server(config, notifier, endpoints.end, grace)
    asyncio.run(server.serve(sockets=[listener.socket]))


class Notifier:
    """Tells systemd what the server does, if it waits for that (sd_notify(3)). Opened before a guard."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        address = variables.get("NOTIFY_SOCKET", "")
        self._address = address.replace("@", "\0", 1) if address[:1] in ("/", "@") else ""
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if self._address else None

    def tell(self, state: str) -> None:
        """Send the `state`."""
        if self._door is not None:
            with contextlib.suppress(OSError):
                self._door.sendto(state.encode(), self._address)

    def close(self) -> None:
        if self._door is not None:
            self._door.close()


class _Server(uvicorn.Server):
    """Tells systemd when it is ready, and when it ends; ends answers that take longer than the grace."""

    def __init__(
        self, config: uvicorn.Config, notifier: Notifier, end_answers: Callable[[], None], grace: float
    ) -> None:
        super().__init__(config)
        self._notifier = notifier
        self._end_answers = end_answers
        self._grace = grace

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._notifier.tell("READY=1")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._notifier.tell("STOPPING=1")
        asyncio.get_running_loop().call_later(self._grace - _LAST_SECONDS, self._end_answers)
        await super().shutdown(sockets)


class _Protocol(H11Protocol):
    """HTTP/1.1 that closes a connection whose request does not arrive."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._await_head()
        else:
            self._stop_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(_HEAD_SECONDS, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
