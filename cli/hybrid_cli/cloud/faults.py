"""What goes wrong with a cloud: one line for the user, and whether to pay, to wait and to try again."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from hybrid_cli.cloud.payload import Call
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.schema import Server

_CODE = re.compile(r"[\w.-]{1,60}", re.ASCII)
_FOREVER = 1e9
"""Seconds; a server may name more than a clock can count."""
_OF_THE_MODEL = (400, 404, 422)
"""Refusals that mostly mean a model's wrong name, or a wrong base URL."""


class CloudFault(Failure):
    """A request that brought no answer."""

    def __init__(
        self,
        status: ExitStatus,
        message: str,
        *,
        outcome: Literal["refused", "unknown"] = "unknown",
        passing: bool = False,
        wait: float | None = None,
    ) -> None:
        super().__init__(status, message)
        self.outcome = outcome
        """refused: it did no work, there is nothing to pay; unknown: it may have."""
        self.passing = passing
        """It may work in a moment."""
        self.wait = wait
        """Seconds that the server asks to wait; None where it does not say."""
        self.limits_rate = False
        """It is about how many requests came, not about this one."""


def of_status(error: Any, call: Call, key: str | None) -> CloudFault:
    """The fault for an HTTP status. The body is not shown: servers repeat prompts and keys in it."""
    server = call.server
    status: int = error.status_code
    code = _code(error, key)
    if status in (401, 403):
        return CloudFault(
            ExitStatus.KEY, f"{_name(server)} refused the key: {status}{code}", outcome="refused"
        )
    if 300 <= status < 400:
        return _failing(server, f"answered with a redirect ({status}), which is not followed", "refused")
    wait = asked_wait(error.response.headers)
    later = f"; it asks to wait {wait:.0f} s" if wait is not None and wait >= 1 else "; try again later"
    if status == 429:
        fault = _failing(server, f"limits the rate: 429{code}{later}", "refused", passing=True, wait=wait)
        fault.limits_rate = True
        return fault
    if status in (408, 409) or status >= 500:
        outcome: Any = "refused" if status == 503 else "unknown"  # others may have begun to work
        return _failing(server, f"is failing: {status}{code}", outcome, passing=True, wait=wait)
    fits = ", and does it take this JSON Schema" if call.schema else ""
    asked = f"; is `{server.model}` one of its models{fits}?" if status in _OF_THE_MODEL else ""
    return CloudFault(
        ExitStatus.FAILURE, f"{_name(server)} refused the request: {status}{code}{asked}", outcome="refused"
    )


def of_report(error: Any, server: Server, key: str | None) -> CloudFault:
    """The fault for an error that a server tells inside its stream."""
    return unreadable(server, f"reported an error in its stream{_code(error, key)}")


def _code(error: Any, key: str | None) -> str:
    """The server's own word for an error, in brackets; nothing where it is no word, or repeats the key."""
    code = str(error.code)
    is_word = error.code is not None and _CODE.fullmatch(code) and not (key and key in code)
    return f" ({code})" if is_word else ""


def of_setup(error: Exception, server: Server) -> CloudFault:
    """The fault of a client that cannot be made: of the system's settings, not of the server."""
    if isinstance(error, ImportError):
        what = "a SOCKS proxy is set, which needs the package `socksio`; run: pip install socksio"
    elif isinstance(error, OSError):  # errors of TLS among them
        what = "SSL_CERT_FILE or SSL_CERT_DIR names no certificates that can be read"
    else:
        what = "HTTPS_PROXY, ALL_PROXY or NO_PROXY is set to what is no proxy's URL"
    return CloudFault(ExitStatus.CLOUD, f"{_name(server)} was not asked: {what}", outcome="refused")


def of_connection(error: Exception, server: Server) -> CloudFault:
    """The fault of a connection that could not be made, or that broke."""
    import socket
    import ssl

    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _failing(server, f"has a certificate that is not valid: {cause.verify_message}", "refused")
        if isinstance(cause, socket.gaierror):
            return _failing(server, "cannot be reached: its name is not known", "refused", passing=True)
    made = not any(
        type(cause).__name__ in ("ConnectError", "ConnectTimeout", "ProxyError") for cause in causes
    )
    if any("Timeout" in type(cause).__name__ for cause in causes):
        what = (
            f"sent nothing for {server.timeouts.silent:g} s" if made else "cannot be reached: no connection"
        )
        return _failing(server, what, "unknown" if made else "refused", passing=not made)
    if made:
        return _failing(server, "broke the connection off", "unknown", passing=True)
    return _failing(server, f"cannot be reached ({causes[-1]})", "refused", passing=True)


def cut(server: Server) -> CloudFault:
    return CloudFault(ExitStatus.CLOUD, f"the stream was cut before the answer was whole, by {_name(server)}")


def unreadable(server: Server, what: str = "sent a stream that cannot be read") -> CloudFault:
    return _failing(server, what)


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds of Retry-After: a number or a date, or OpenAI's milliseconds."""
    from email.utils import parsedate_to_datetime

    try:
        if "retry-after-ms" in headers:
            return min(max(0.0, float(headers["retry-after-ms"]) / 1000), _FOREVER)
        said = headers.get("retry-after", "")
        if said.strip().isdigit():
            return min(float(said), _FOREVER)
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def asked_pause(headers: Mapping[str, str]) -> float | None:
    """Seconds until there is a request or a token left again, where there is none now.

    The headers are OpenAI's `x-ratelimit-remaining-requests` and `-reset-requests` (`6m0s`, `20ms`), and
    the same for tokens; other servers copy them.
    """
    waits = [
        _seconds(headers.get(name.replace("remaining", "reset"), ""))
        for name in ("x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens")
        if headers.get(name, "").strip() == "0"
    ]
    return max(waits, default=None)


def _seconds(duration: str) -> float:
    """A duration such as `1m30.5s`, or plain seconds; 0 for anything else."""
    try:
        return min(max(0.0, float(duration)), _FOREVER)
    except ValueError:
        return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(duration))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """What is behind `error`: the SDK and its transport wrap the true cause."""
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
    passing: bool = False,
    wait: float | None = None,
) -> CloudFault:
    return CloudFault(
        ExitStatus.CLOUD, f"{_name(server)} {what}", outcome=outcome, passing=passing, wait=wait
    )


def _name(server: Server) -> str:
    return f"the cloud at {server.base_url}"
