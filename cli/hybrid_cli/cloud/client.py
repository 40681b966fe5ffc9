"""One request on the `openai` SDK, to any compatible server. Imported by `egress.send` only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hybrid_cli.cloud import faults, sdk
from hybrid_cli.cloud.payload import Call
from hybrid_cli.cloud.streams import Reply, gather
from hybrid_cli.profile.schema import Server
from hybrid_cli.ui.environment import Environment

MAX_BYTES = 32_000_000
"""The longest answer that is read; a generated image is a few MB."""


def complete(call: Call, key: str | None, environment: Environment, on_text: Callable[[str], None]) -> Reply:
    """Send `call` once and return the whole reply, each piece of text also given to `on_text`.

    Raises CloudFault: KEY where the key is refused, FAILURE where the request is, CLOUD for all else.
    """
    # The SDK reads these itself, and OPENAI_CUSTOM_HEADERS is sent even beside an explicit key.
    environment.withhold([name for name in environment.variables if name.startswith("OPENAI_")])
    openai = sdk.load()
    server = call.server
    ends = environment.clock() + server.timeouts.answer

    def check() -> None:
        if environment.clock() > ends:
            raise faults.unreadable(server, f"did not end its answer in {server.timeouts.answer:g} s")

    try:
        client = _new_client(server, key, check)
    except Exception as error:  # noqa: BLE001  of certificates, a proxy or its protocol; nothing was sent
        raise faults.of_setup(error, server) from None
    try:
        with client:
            stream = client.post(
                call.path,
                content=call.content(),
                cast_to=object,
                stream=True,
                stream_cls=openai.Stream[object],
                options={
                    "headers": {
                        "Content-Type": "application/json",
                        **({} if key is not None else {"Authorization": openai.omit}),
                    }
                },
            )
            with stream:
                _check_type(stream.response.headers.get("content-type", ""), server)
                reply = gather(stream, server, on_text, check)
                reply.pause = faults.asked_pause(stream.response.headers)
                return reply
    except openai.APIStatusError as error:
        raise faults.of_status(error, call, key) from None
    except openai.APIConnectionError as error:  # a timeout is one, too
        raise faults.of_connection(error, server) from None
    except _TooLong:
        raise faults.unreadable(server, f"sent over {MAX_BYTES // 1_000_000} MB") from None
    except openai.APIError as error:
        raise faults.of_report(error, server, key) from None
    except (ValueError, RuntimeError):  # a corrupt chunk
        raise faults.unreadable(server) from None


def _check_type(content_type: str, server: Server) -> None:
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "text/event-stream":
        named = kind if kind.replace("/", "").replace("-", "").isalnum() and len(kind) < 60 else "no type"
        raise faults.unreadable(server, f"answered with {named}, not with a stream of events")


def _new_client(server: Server, key: str | None, check: Callable[[], None]) -> Any:
    openai = sdk.load()
    is_https = sdk.uses_tls(server)
    return openai.OpenAI(
        api_key=key if key is not None else "none",
        base_url=server.base_url,
        organization=None,
        project=None,
        max_retries=0,  # each try is reserved, counted and settled by egress
        timeout=openai.Timeout(server.timeouts.silent, connect=server.timeouts.connect),
        http_client=openai.DefaultHttpxClient(
            follow_redirects=False,  # a redirect to another origin would take the prompt along
            trust_env=is_https,  # http is loopback: no proxy may see it in clear
            verify=sdk.trust() if is_https else sdk.trust_in_nobody(),
            event_hooks={"response": [lambda response: _bound(response, check)]},
        ),
    )


class _TooLong(Exception):  # noqa: N818  told as a fault
    pass


def _bound(response: Any, check: Callable[[], None]) -> None:
    """Stop reading a response after MAX_BYTES, unpacked, or when `check` raises, whatever it is made of.

    A refusal is its status: where its body is too long, too slow or broken off, the rest is done without.
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
        except (httpx2.HTTPError, _TooLong, faults.CloudFault):
            if response.is_success:
                raise

    response.iter_bytes = bounded
