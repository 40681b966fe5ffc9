"""The `openai` SDK and the system's certificates. They load late, as they take a quarter of a second of one core."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, MutableMapping
from functools import cache
from typing import Any

from hybrid_cli.cloud.lazy_packages import make_lazy
from hybrid_cli.profile.cloud_section import Server

_one_at_a_time = threading.Lock()
_begun = threading.Event()


def load() -> Any:
    """The `openai` module."""
    with _one_at_a_time:
        if "openai" not in sys.modules:
            make_lazy("openai.types")
        import openai

        return openai


@cache
def system_certificates() -> Any:
    """A TLS context with the system's certificates, or those in SSL_CERT_FILE and SSL_CERT_DIR.

    Raises OSError if they cannot be read.
    """
    import httpcore2

    return httpcore2.default_ssl_context()


def uses_tls(server: Server) -> bool:
    """Whether requests to `server` use TLS. All do, except to loopback."""
    return server.base_url.startswith("https:")


def no_certificates() -> Any:
    """A TLS context for unencrypted requests, without the slow reading of certificates."""
    import ssl

    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def prefetch(variables: MutableMapping[str, str], *, needs_certificates: bool) -> None:
    """Start loading in other threads, once; `load` waits for them."""
    if not _begun.is_set():
        _begun.set()
        variables.pop("OPENAI_LOG", None)  # the SDK reads it at import, and would write requests to stderr
        for work in (load, system_certificates) if needs_certificates else (load,):
            threading.Thread(target=_quietly, args=(work,), daemon=True).start()


def _quietly(work: Callable[[], Any]) -> None:
    """Ignore errors: the caller that needs the result repeats the work, and gets the error."""
    with contextlib.suppress(Exception):
        work()
