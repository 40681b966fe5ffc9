"""The `openai` SDK and the system's certificates, loaded late: half a second of one core."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, MutableMapping
from functools import cache
from typing import Any

from hybrid_cli.profile.schema import Server

_one_at_a_time = threading.Lock()
_begun = threading.Event()


def load() -> Any:
    """The SDK's module."""
    with _one_at_a_time:
        import openai

        return openai


@cache
def trust() -> Any:
    """A TLS context that trusts whom the system trusts, or SSL_CERT_FILE and SSL_CERT_DIR.

    Raises OSError where those cannot be read.
    """
    import httpcore2

    return httpcore2.default_ssl_context()


def uses_tls(server: Server) -> bool:
    """Whether `server` is reached by https; only a server on loopback may do without."""
    return server.base_url.startswith("https:")


def trust_in_nobody() -> Any:
    """A TLS context for where none is used: reading the system's certificates takes a while."""
    import ssl

    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def prefetch(variables: MutableMapping[str, str], *, needs_trust: bool) -> None:
    """Begin the import beside other work, once; `load` waits for its end."""
    if not _begun.is_set():
        _begun.set()
        variables.pop("OPENAI_LOG", None)  # read at import; it would write requests to stderr
        for work in (load, trust) if needs_trust else (load,):
            threading.Thread(target=_quietly, args=(work,), daemon=True).start()


def _quietly(work: Callable[[], Any]) -> None:
    """Whoever needs the outcome does the work again, and is told of its failure."""
    with contextlib.suppress(Exception):
        work()
