"""The origin of a URL. Consent and keys belong to an origin."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from hybrid_cli.exit_status import ExitStatus, Failure

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PLAIN = re.compile(r"[!-~]*")
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?|[0-9a-f.]*:[0-9a-f:.]*")


class OriginError(Failure, ValueError):
    """A URL that hybrid never sends to. Also a ValueError, because the schema's checks raise those."""

    def __init__(self, message: str) -> None:
        super().__init__(ExitStatus.USAGE, message)


def origin_of(url: str) -> str:
    """Scheme, host and port of `url` in their normal spelling, without a default port.

    Raises OriginError unless `url` is https, or http to loopback; also for a user, a password, a query, and
    for characters outside ASCII, which can imitate others.
    """
    if not _PLAIN.fullmatch(url.strip()) or "\\" in url:
        raise OriginError(
            "the URL of a cloud must be ASCII without spaces; write a host in another script as xn--..."
        )
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(host):
        raise OriginError(f"`{url}` is not an origin; write it like https://api.openai.com")
    if parts.username is not None or parts.password is not None:
        raise OriginError("the URL of a cloud must not contain a user or a password")
    if parts.query or parts.fragment:
        raise OriginError("the URL of a cloud must not contain a query or a fragment")
    if parts.scheme == "http" and host not in _LOOPBACK:
        if _is_unspecified(host):
            raise OriginError(
                f"`{url}` is an address to listen on; use 127.0.0.1 for a server on this machine"
            )
        raise OriginError(f"`{url}` is not encrypted; use https (http works for this machine only)")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}")


def _is_unspecified(host: str) -> bool:
    """Whether `host` is 0.0.0.0 or ::, as OLLAMA_HOST often has it."""
    from ipaddress import ip_address  # late, as few hosts get here

    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def is_loopback(url: str) -> bool:
    """Whether `url` is on this machine."""
    return urlsplit(url).hostname in _LOOPBACK
