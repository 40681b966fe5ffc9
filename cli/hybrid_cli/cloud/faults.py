"""Failed requests to a cloud: a message for the user, and whether to pay, to wait and to try again."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any, Literal

from hybrid_cli.cloud.keys import key_source
from hybrid_cli.cloud.payload import Call
from hybrid_cli.cloud.refusals import (
    affordable,
    context_limit,
    is_about_the_key,
    is_about_the_system_role,
    is_out_of_credit,
    known_cause,
    largest,
    message_in,
    names_a_field,
    refused_field,
    wait_in,
)
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.cloud_section import Server
from hybrid_cli.system.retry_after import rate_limit_pause, retry_after

_CODE = re.compile(r"[\w.-]{1,60}", re.ASCII)
_UNKNOWN_ISSUER = (18, 19, 20, 21)
"""OpenSSL's codes of certificates whose issuer is not among the trusted ones."""
_TRANSIENT = (408, 429, 502, 503, 504, 529)
"""Codes in the body of an answer that failed before it began: the server could not pass the request on."""
_WRONG_MODEL = (400, 404, 422)
"""Refusals that usually mean a wrong model name or base URL."""


class CloudFault(Failure):
    """A request that got no answer."""

    def __init__(
        self,
        status: ExitStatus,
        message: str,
        *,
        outcome: Literal["refused", "unknown"] = "unknown",
        transient: bool = False,
        wait: float | None = None,
    ) -> None:
        super().__init__(status, message)
        self.outcome = outcome
        """refused: the server did no work, so there is nothing to pay; unknown: it may have worked."""
        self.transient = transient
        """Whether a retry may succeed."""
        self.wait = wait
        """Seconds that the server asks to wait, or None."""
        self.limits_rate = False
        """Whether the server refused because of the number of requests."""
        self.refused_field: str | None = None
        """The field of the request that the server does not take."""
        self.most_tokens: int | None = None
        """The most tokens that the server gives for one answer, if it refused more."""
        self.was_accepted = False
        """Whether the server began to answer (status 200), so that this request was probably charged."""
        self.server_message = ""
        """The server's own message, unchanged. It may repeat the prompt or the key: see `egress.server_message`."""
        self.text = ""
        """The part of the answer that came."""


def of_status(error: Any, call: Call, key: str | None) -> CloudFault:
    """The fault for an HTTP status. The body is not shown: some servers repeat prompts and keys in it."""
    fault = _of_status(error, call, key)
    fault.server_message = message_in(error.body)
    return fault


def _of_status(error: Any, call: Call, key: str | None) -> CloudFault:
    server = call.server
    status: int = error.status_code
    code = _code(getattr(error, "code", None), key) if str(error.code) != str(status) else ""
    if status == 402 or (status in (400, 403, 429) and is_out_of_credit(error.body, error.code)):
        return _no_credit(error, server, code)
    if (
        status == 401
        or (status == 403 and refused_field(error.body, call.body()) != "stream")
        or (status == 400 and is_about_the_key(error.body))
    ):
        mend = "set cloud.key" if server.key is None else f"check {key_source(server.key)}"
        return CloudFault(
            ExitStatus.KEY, f"{_name(server)} refused the key: {status}{code}; {mend}", outcome="refused"
        )
    if 300 <= status < 400:
        return _failing(server, f"answered with a redirect ({status}), which is not followed", "refused")
    wait = _wait(error.body, error.response.headers)
    later = f"; it asks to wait {wait:.0f} s" if wait is not None and wait >= 1 else "; try again later"
    if status == 429:
        fault = _failing(server, f"limits the rate: 429{code}{later}", "refused", transient=True, wait=wait)
        fault.limits_rate = True
        return fault
    if status in (408, 409) or (status >= 500 and not names_a_field(error.body)):
        outcome: Any = "refused" if status == 503 else "unknown"  # the server may have begun to work
        return _failing(
            server, f"is failing: {status}{code}{_cause(error.body)}", outcome, transient=True, wait=wait
        )
    return _refused(error, call, code)


def _wait(body: Any, headers: Any) -> float | None:
    """Seconds that a refusal asks to wait: by Retry-After, in its body, or until a rate limit resets."""
    wait = retry_after(headers)
    if wait is None:
        wait = wait_in(body)
    return rate_limit_pause(headers, refused=True) if wait is None else wait


def _refused(error: Any, call: Call, code: str) -> CloudFault:
    """The fault for a request that the server does not take: its body may say which field is wrong."""
    server, status = call.server, error.status_code
    fault = CloudFault(
        ExitStatus.FAILURE,
        f"{_name(server)} refused the request: {status}{code}{_explanation(error.body, call, status)}",
        outcome="refused",
    )
    if status in (400, 403, 422) or status >= 500:
        if is_about_the_system_role(error.body) and call.has_system_message:
            fault.refused_field = "system"
        else:
            fault.refused_field = refused_field(error.body, call.body())
        fault.most_tokens = largest(error.body)
    return fault


def _explanation(body: Any, call: Call, status: int) -> str:
    """What the body says that hybrid knows, or else what the user may check."""
    too_long = context_limit(body)
    if too_long is not None:
        size = f" of {too_long} tokens" if too_long else ""
        return (
            f"; the prompt does not fit the context window{size} of `{call.server.model}`;"
            " shorten it, or lower cloud.max_tokens"
        )
    return _cause(body) or _question(call, status)


def _cause(body: Any) -> str:
    cause = known_cause(body)
    return f"; {cause}" if cause else ""


def _question(call: Call, status: int) -> str:
    """What the user may check, after a refusal with `status`."""
    if status not in _WRONG_MODEL:
        return ""
    server = call.server
    if status == 404 and not re.search(r"/v\d", server.base_url):
        return f"; should base_url end in /v1, as in {server.base_url.rstrip('/')}/v1?"
    doubts = [f"is `{server.model}` one of its models"]
    if call.schema:
        doubts.append("does it take this JSON Schema")
    if status == 404 and server.api == "responses":
        doubts.append("does it have the Responses API (cloud.api)")
    return f"; {', and '.join(doubts)}?"


def _no_credit(error: Any, server: Server, code: str) -> CloudFault:
    left = affordable(error.body)
    what = f"has no credit left for this request: {error.status_code}{code}"
    hint = (
        "add credit there"
        if left is None
        else f"it pays for {left} tokens; use --max-tokens {left}, or add credit"
    )
    return CloudFault(ExitStatus.LIMIT, f"{_name(server)} {what}; {hint}", outcome="refused")


def of_report(error: Any, server: Server, key: str | None, *, has_text: bool) -> CloudFault:
    """The fault for an error that a server reports inside its stream, perhaps after a part of the answer."""
    code = error.get("code") or error.get("type") if isinstance(error, dict) else None
    may_succeed = not has_text and code in _TRANSIENT
    fault = _failing(
        server,
        f"reported an error in its stream{_code(code, key)}{_cause(error)}",
        transient=may_succeed,
        wait=wait_in(error) if may_succeed else None,
    )
    fault.limits_rate = may_succeed and code == 429
    fault.server_message = message_in(error)
    return fault


def _code(given: Any, key: str | None) -> str:
    """The server's error code in brackets, or nothing if it is not one word or contains the key."""
    code = str(given)
    is_word = given is not None and _CODE.fullmatch(code) and not (key and key in code)
    return f" ({code})" if is_word else ""


def of_setup(error: Exception, server: Server) -> CloudFault:
    """The fault for settings of this system with which no request can be made."""
    if isinstance(error, ImportError) and "socks" in str(error).lower():
        what = "the SOCKS proxy needs the package `socksio`; run: pip install socksio"
    elif isinstance(error, (ImportError, AttributeError)):  # AttributeError: of another module with that name
        what = f"a package of Python cannot be used ({error}); is PYTHONPATH set?"
    elif isinstance(error, OSError):  # includes TLS errors
        what = "SSL_CERT_FILE or SSL_CERT_DIR names no readable certificates"
    else:
        what = "HTTPS_PROXY, ALL_PROXY or NO_PROXY is not the URL of a proxy"
    return CloudFault(ExitStatus.CLOUD, f"{_name(server)} was not contacted: {what}", outcome="refused")


def of_connection(error: Exception, call: Call) -> CloudFault:
    """The fault for a connection that failed or broke."""
    import socket
    import ssl

    server = call.server
    causes = [error, *_causes(error)]
    proxy = _proxy_variable(server)
    unreached = "cannot be reached" + (f" through the proxy in {proxy}" if proxy else "")
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            hint = _store_hint() if cause.verify_code in _UNKNOWN_ISSUER else ""
            return _failing(server, f"has an invalid certificate: {cause.verify_message}{hint}", "refused")
        if isinstance(cause, socket.gaierror):
            whose = "the proxy's" if proxy else "its"
            return _failing(server, f"{unreached}: {whose} host name is unknown", "refused", transient=True)
    connected = not any(
        type(cause).__name__ in ("ConnectError", "ConnectTimeout", "ProxyError") for cause in causes
    )
    if any("Timeout" in type(cause).__name__ for cause in causes):
        what = (
            f"sent nothing for {call.silence:g} s"
            if connected
            else f"{unreached}: no connection within {server.timeouts.connect:g} s"
        )
        return _failing(server, what, "unknown" if connected else "refused", transient=not connected)
    if connected:
        return _failing(server, "closed the connection early", "unknown", transient=True)
    return _failing(server, f"{unreached} ({causes[-1]})", "refused", transient=True)


def _proxy_variable(server: Server) -> str:
    """The variable that names the proxy for `server`; "" without one."""
    from urllib.parse import urlsplit
    from urllib.request import proxy_bypass

    if not server.base_url.startswith("https:") or proxy_bypass(urlsplit(server.base_url).netloc):
        return ""
    names = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    return next((name for name in names if os.environ.get(name)), "")


def _store_hint() -> str:
    """What may be the reason that the issuer of a certificate is unknown."""
    name = next((one for one in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(one)), None)
    return f"; {name} replaces the system's certificates" if name else ""


def cut(server: Server) -> CloudFault:
    """The fault for a stream that ends before the answer does."""
    return CloudFault(ExitStatus.CLOUD, f"{_name(server)}: the stream was cut before the answer was complete")


def bad_response(server: Server, what: str = "sent a stream that cannot be read") -> CloudFault:
    """The fault for a response that breaks the API's rules or limits."""
    return _failing(server, what)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The causes behind `error`: the SDK and its transport wrap the original one."""
    seen: set[int] = set()
    error = error.__cause__ or error.__context__ if error is not None else None
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _failing(
    server: Server,
    what: str,
    outcome: Literal["refused", "unknown"] = "unknown",
    *,
    transient: bool = False,
    wait: float | None = None,
) -> CloudFault:
    return CloudFault(
        ExitStatus.CLOUD, f"{_name(server)} {what}", outcome=outcome, transient=transient, wait=wait
    )


def _name(server: Server) -> str:
    return f"the cloud at {server.base_url}"
