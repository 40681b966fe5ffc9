"""The endpoints: Chat Completions, Responses, models, health and metrics."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from weakref import WeakSet

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from hybrid_cli.cascade.answer import Answer
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.listing import profile_paths
from hybrid_cli.serve.access import Access
from hybrid_cli.serve.admission import Admission
from hybrid_cli.serve.answering import Answering
from hybrid_cli.serve.asked import Asked
from hybrid_cli.serve.bodies import read_chat, read_responses
from hybrid_cli.serve.exchange import Exchange, Outcome, Piece
from hybrid_cli.serve.faults import HttpFault, client_left, fault_of, too_large
from hybrid_cli.serve.metrics import Metrics
from hybrid_cli.serve.replies import ChatReply, Event, Reply, ResponsesReply, encoded, headers_of

MAX_BODY = 32_000_000
"""Bytes."""
_BODY_SECONDS = 30.0
_PREFIX = "hybrid"


class Endpoints:
    """The state of one server, and its endpoints."""

    def __init__(self, answering: Answering, profile: str | None, parallel: int) -> None:
        """The model `hybrid` is `profile`, or the one that commands use."""
        self._answering = answering
        self._environment = answering.environment
        self._profile = profile
        self._admission = Admission(parallel)
        self._exchanges: WeakSet[Exchange] = WeakSet()
        self._metrics = Metrics(
            in_flight=lambda: self._admission.in_flight,
            queued=lambda: self._admission.queued,
            cost=lambda: answering.cost_usd,
        )

    def routes(self) -> list[Route]:
        return [
            Route("/v1/chat/completions", self._logged(self._chat), methods=["POST"]),
            Route("/v1/responses", self._logged(self._responses), methods=["POST"]),
            Route("/v1/models", self._logged(self._models), methods=["GET"]),
            Route("/v1/models/{name:path}", self._logged(self._model), methods=["GET"]),
            Route("/health", self._health, methods=["GET"]),
            Route("/metrics", self._show_metrics, methods=["GET"]),
        ]

    def _logged(
        self, endpoint: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Turn faults into answers, and write one line a request under --verbose, without its content."""

        async def answer(request: Request) -> Response:
            begun = time.monotonic()
            try:
                response = await endpoint(request)
            except HttpFault as fault:
                self._metrics.failed(fault.code)
                response = JSONResponse(fault.body, fault.status, fault.headers)
            seconds = time.monotonic() - begun
            self._environment.detail(
                f"{request.method} {request.url.path} {response.status_code} {seconds:.3f} s"
            )
            return response

        return answer

    # ---- answers ----------------------------------------------------------------------------------------

    async def _chat(self, request: Request) -> Response:
        async with AsyncExitStack() as held:
            data = await self._admitted_body(request, held)
            asked, body = read_chat(data, self._profiles())
            return await self._answer(request, asked, ChatReply(body, _number()), held)

    async def _responses(self, request: Request) -> Response:
        async with AsyncExitStack() as held:
            data = await self._admitted_body(request, held)
            asked, body = read_responses(data, self._profiles())
            return await self._answer(request, asked, ResponsesReply(body, _number()), held)

    async def _admitted_body(self, request: Request, held: AsyncExitStack) -> bytes:
        """Wait for a place, then read the body: those who wait take no memory. Raises HttpFault."""
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > MAX_BODY:
            raise too_large(MAX_BODY)
        await held.enter_async_context(self._admission.place())
        try:
            return await asyncio.wait_for(_body(request), _BODY_SECONDS)
        except asyncio.TimeoutError:
            raise HttpFault(
                408, "invalid_request_error", "timeout", f"the body did not arrive in {_BODY_SECONDS:g} s"
            ) from None
        except ClientDisconnect:
            raise client_left() from None

    async def _answer(self, request: Request, asked: Asked, reply: Reply, held: AsyncExitStack) -> Response:
        """Return the response. A streamed one begins with its first piece, so that a failure has its own status."""
        exchange = Exchange(streams=asked.streams)
        self._exchanges.add(exchange)
        self._answering.start(asked, exchange)
        first = await _unless_left(request, exchange)
        reply.logprobs = exchange.logprobs
        if isinstance(first, Failure):
            raise fault_of(first)
        if isinstance(first, Answer):
            self._metrics.answered(first)
        if not asked.streams:
            if not isinstance(first, Answer):
                raise AssertionError("an exchange that does not stream has one outcome")
            return JSONResponse(reply.whole(first), headers=headers_of(first))
        side = "local" if isinstance(first, Piece) and first.is_local else "cloud"
        headers = headers_of(first) if isinstance(first, Answer) else {"x-hybrid-answered-by": side}
        headers["cache-control"] = "no-cache"
        events = self._events(first, exchange, reply, held.pop_all())
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    async def _events(
        self, first: Outcome, exchange: Exchange, reply: Reply, held: AsyncExitStack
    ) -> AsyncIterator[bytes]:
        """Yield the events of a stream, and stop the work if the client leaves."""
        async with held:
            outcome, is_whole = first, isinstance(first, Answer)
            try:
                for event in reply.begin():
                    yield encoded(event)
                while isinstance(outcome, Piece):
                    for event in reply.piece(outcome.text):
                        yield encoded(event)
                    outcome = await exchange.next()
                for event in self._last_events(outcome, reply, is_whole=is_whole):
                    yield encoded(event)
                if isinstance(outcome, Answer):
                    yield reply.end_mark
            finally:
                if isinstance(outcome, Piece):  # the client has left, which ends the generator
                    self._metrics.failed(client_left().code)
                exchange.end(ExitStatus.TERMINATED, "the client has left")

    def _last_events(self, outcome: Answer | Failure, reply: Reply, *, is_whole: bool) -> list[Event]:
        """Return the events of the end. An answer that `is_whole` is counted, and was not streamed in pieces."""
        if isinstance(outcome, Failure):
            fault = fault_of(outcome)
            self._metrics.failed(fault.code)
            return reply.fault(fault)
        if is_whole:
            return [*reply.piece(outcome.answer), *reply.end(outcome)]
        self._metrics.answered(outcome)
        return reply.end(outcome)

    def end(self) -> None:
        """End the answers that are under way, each with an error that says why: the server ends."""
        for exchange in list(self._exchanges):
            exchange.end(ExitStatus.TERMINATED, "the server ends; send the request again")

    # ---- the rest ---------------------------------------------------------------------------------------

    def _profiles(self) -> dict[str, str | None]:
        """Return the profile of each model's name; None for the one that commands use."""
        named = {f"{_PREFIX}/{name}": name for name in profile_paths(self._environment)}
        return {_PREFIX: self._profile, **named}

    async def _models(self, request: Request) -> Response:  # noqa: ARG002
        return JSONResponse({"object": "list", "data": [_model(name) for name in self._profiles()]})

    async def _model(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._profiles():
            raise HttpFault(404, "invalid_request_error", "model_not_found", f"no model `{name[:80]}`")
        return JSONResponse(_model(name))

    async def _health(self, request: Request) -> Response:  # noqa: ARG002
        return JSONResponse({"status": "ok"})

    async def _show_metrics(self, request: Request) -> Response:  # noqa: ARG002
        return PlainTextResponse(self._metrics.text(), media_type="text/plain; version=0.0.4")


def _number() -> str:
    return os.urandom(12).hex()


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "hybrid"}


async def _body(request: Request) -> bytes:
    """Return the body. Raises HttpFault if it is too long."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY:
            raise too_large(MAX_BODY)
    return bytes(data)


async def _unless_left(request: Request, exchange: Exchange) -> Outcome:
    """Return the first outcome. If the client leaves before it, end the work and raise HttpFault."""
    watch = asyncio.ensure_future(_disconnected(request))
    outcome = asyncio.ensure_future(exchange.next())
    try:
        await asyncio.wait((watch, outcome), return_when=asyncio.FIRST_COMPLETED)
        if not outcome.done():
            exchange.end(ExitStatus.TERMINATED, "the client has left")
            raise client_left()
        return await outcome
    except asyncio.CancelledError:  # the server ends
        exchange.end(ExitStatus.TERMINATED, "the server ends")
        raise
    finally:
        watch.cancel()
        outcome.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def new_application(endpoints: Endpoints, token: str, host: str, allowed_origins: list[str]) -> Starlette:
    """Return the ASGI application."""
    middleware = [Middleware(Access, token=token, host=host)]
    if allowed_origins:
        browsers = Middleware(
            CORSMiddleware,
            allow_origins=allowed_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["x-hybrid-answered-by", "x-hybrid-reason", "x-hybrid-cost-usd", "retry-after"],
        )
        middleware.insert(0, browsers)
    errors = {404: _not_found, 405: _not_found, 500: _broken}
    return Starlette(routes=endpoints.routes(), middleware=middleware, exception_handlers=errors)


async def _not_found(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    message = f"nothing answers {request.method} {request.url.path[:80]}; see docs/serve.md"
    fault = HttpFault(status, "invalid_request_error", "not_found", message)
    return JSONResponse(fault.body, status)


async def _broken(request: Request, error: Exception) -> Response:  # noqa: ARG001
    fault = HttpFault(500, "server_error", "failure", f"internal error: {type(error).__name__}")
    return JSONResponse(fault.body, 500)
