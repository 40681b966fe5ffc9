"""The origin of a URL: what consent and keys are bound to."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from hybrid_cli.exit_status import ExitStatus, Failure

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PLAIN = re.compile(r"[!-~]*")
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?|[0-9a-f.]*:[0-9a-f:.]*")


class OriginError(Failure, ValueError):
    """The URL names no origin that may be sent to. A ValueError too: the schema's checks raise those."""

    def __init__(self, message: str) -> None:
        super().__init__(ExitStatus.USAGE, message)


def origin_of(url: str) -> str:
    """Scheme, host and port of `url`, in one spelling; the default port is left out.

    Raises OriginError for anything but https, or http to loopback, and for a URL with a password, a query,
    or letters that others look like (a host in another script is written as xn--...).
    """
    if not _PLAIN.fullmatch(url.strip()) or "\\" in url:
        raise OriginError(
            "a cloud's URL is written in ASCII and without spaces, a host in another script as xn--..."
        )
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(host):
        raise OriginError(f"`{url}` is not an origin; write it like https://api.openai.com")
    if parts.username is not None or parts.password is not None:
        raise OriginError("a cloud's URL must not hold a user or a password")
    if parts.query or parts.fragment:
        raise OriginError("a cloud's URL must not hold a query or a fragment")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise OriginError(f"`{url}` would be sent to in clear; only https, or http to loopback")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}")
