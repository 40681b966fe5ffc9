"""Send one request with the `openai` SDK to any compatible server. Only `egress.send` imports this module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hybrid_cli.cloud import faults, sdk
from hybrid_cli.cloud.events import WrongType, read_events
from hybrid_cli.cloud.payload import Call
from hybrid_cli.cloud.streams import Reply, Reported, gather
from hybrid_cli.system.retry_after import rate_limit_pause
from hybrid_cli.system.time_limit import TimeLimit
from hybrid_cli.ui.environment import Environment

MAX_BYTES = 32_000_000
"""The most that is read of an answer. A generated image has a few MB."""
_GRACE = 0.25
"""Seconds after which a limit follows the SDK's own timeout, which reports a server that sends nothing at all."""


def complete(call: Call, key: str | None, environment: Environment, on_text: Callable[[str], None]) -> Reply:
    """The whole reply to `call`, which is sent once. `on_text` gets each piece of text as it arrives.

    Raises CloudFault with the text so far: KEY if the server refuses the key, LIMIT without credit there, FAILURE
    if it refuses the request, CLOUD for everything else.
    """
    # The SDK reads these variables by itself, and sends OPENAI_CUSTOM_HEADERS even with an explicit key.
    environment.withhold([name for name in environment.variables if name.startswith("OPENAI_")])
    pieces: list[str] = []

    def take(text: str) -> None:
        pieces.append(text)
        on_text(text)

    with _Phases(call, environment) as phases:
        try:
            client = _new_client(call, key, phases)
        except Exception as error:  # noqa: BLE001  from certificates, a proxy or its protocol; nothing was sent
            raise faults.of_setup(error, call.server) from None
        try:
            with client:
                return _send(client, call, key, take, phases)
        except faults.CloudFault as fault:
            fault.text = "".join(pieces)
            raise


class _Phases(TimeLimit):
    """The time limits of one call: for the start of the response, and for the whole answer."""

    def __init__(self, call: Call, environment: Environment) -> None:
        super().__init__()
        self._call = call
        self._clock = environment.clock
        self._ends = self._clock() + call.server.timeouts.answer
        self._allow_answer()

    def _allow_answer(self) -> None:
        self.allow(max(0.0, self._ends - self._clock()))

    def follow(self, event: str, info: dict[str, Any]) -> None:
        """Follow the exchange by the trace events of httpcore, those with a proxy included."""
        step = event.partition(".")[2]
        if step in ("connect_tcp.complete", "start_tls.complete"):
            self.watch(info["return_value"].get_extra_info("socket"))
        elif step == "send_request_body.complete":
            self.allow(min(self._call.silence, self._call.server.timeouts.answer) + _GRACE)
        elif step == "receive_response_headers.complete" and info["return_value"][1] < 400:
            self._allow_answer()  # a refusal's body gets only the rest of the time for the head

    def check(self) -> None:
        """Raise CloudFault if a limit was exceeded."""
        server = self._call.server
        if self._clock() >= self._ends:
            raise faults.bad_response(server, f"did not end its answer in {server.timeouts.answer:g} s")
        if self.exceeded is not None:
            raise faults.bad_response(server, f"did not begin its answer in {self._call.silence:g} s")


def _send(client: Any, call: Call, key: str | None, on_text: Callable[[str], None], phases: _Phases) -> Reply:
    import httpx2

    openai = sdk.load()
    authorization = {} if key is not None else {"Authorization": openai.omit}
    try:
        stream = client.post(
            call.path,
            content=call.content(),
            cast_to=object,
            stream=True,
            stream_cls=openai.Stream[object],
            options={"headers": {"Content-Type": "application/json", **authorization}},
        )
    except openai.APIStatusError as error:
        raise faults.of_status(error, call, key) from None
    except (openai.APIConnectionError, httpx2.HTTPError) as error:  # includes timeouts
        phases.check()
        raise faults.of_connection(error, call) from None
    try:
        with stream:
            return _read(stream.response, call, key, on_text, phases)
    except faults.CloudFault as fault:
        fault.was_accepted = True
        raise


def _read(
    response: Any, call: Call, key: str | None, on_text: Callable[[str], None], phases: _Phases
) -> Reply:
    """The whole reply in the body of `response`. Raises CloudFault."""
    import httpx2

    openai, server = sdk.load(), call.server
    has_text = False

    def take(text: str) -> None:
        nonlocal has_text
        has_text = True
        on_text(text)

    try:
        events = read_events(response.headers.get("content-type", ""), response.iter_bytes())
        reply = gather(events, server, take, phases.check)
    except httpx2.DecodingError:
        raise faults.bad_response(server, "sent a stream whose compression is broken") from None
    except (openai.APIConnectionError, httpx2.HTTPError) as error:  # includes timeouts
        phases.check()
        raise faults.of_connection(error, call) from None
    except _TooLong:
        raise faults.bad_response(server, f"sent over {MAX_BYTES // 1_000_000} MB") from None
    except WrongType as error:
        raise faults.bad_response(server, f"answered with {error}, not with a stream of events") from None
    except Reported as reported:
        raise faults.of_report(reported.args[0], server, key, has_text=has_text) from None
    reply.pause = rate_limit_pause(response.headers)
    return reply


def _new_client(call: Call, key: str | None, phases: _Phases) -> Any:
    openai, server = sdk.load(), call.server
    is_https = sdk.uses_tls(server)
    return openai.OpenAI(
        api_key=key if key is not None else "none",
        base_url=server.base_url.strip().rstrip("/"),
        organization=None,
        project=None,
        max_retries=0,  # egress reserves, counts and settles each try
        timeout=openai.Timeout(call.silence, connect=server.timeouts.connect),
        http_client=openai.DefaultHttpxClient(
            follow_redirects=False,  # a redirect could send the prompt to another origin
            trust_env=is_https,  # http is for loopback: no proxy may see it unencrypted
            verify=sdk.system_certificates() if is_https else sdk.no_certificates(),
            event_hooks={
                "request": [lambda request: request.extensions.update(trace=phases.follow)],
                "response": [lambda response: _bound(response, phases.check)],
            },
        ),
    )


class _TooLong(Exception):  # noqa: N818  becomes a CloudFault
    """The response is longer than MAX_BYTES."""


def _bound(response: Any, check: Callable[[], None]) -> None:
    """Make reading `response` stop after MAX_BYTES (decompressed), or when `check` raises.

    For a refusal the status is enough: if its body is too long, too slow or cut, the rest is ignored.
    """
    import httpx2

    unpacked = response.iter_bytes

    def bounded(chunk_size: int | None = None) -> Iterator[bytes]:
        count = 0
        try:
            for chunk in unpacked(chunk_size):
                count += len(chunk)
                if count > MAX_BYTES:
                    raise _TooLong
                check()
                yield chunk
            check()  # a connection that was shut down looks as if the server had closed it
        except (httpx2.HTTPError, _TooLong, faults.CloudFault):
            if response.is_success:
                raise

    response.iter_bytes = bounded
