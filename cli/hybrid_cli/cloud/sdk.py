"""The `openai` SDK, imported late: half a second of one core, of some 850 modules."""

from __future__ import annotations

import gc
import threading
from collections.abc import MutableMapping
from typing import Any

_loading = threading.Lock()
_begun = threading.Event()


def load() -> Any:
    """The SDK's module."""
    with _loading:
        # A fifth of the import is the collector looking through all that was just made.
        collects = gc.isenabled()
        gc.disable()
        try:
            import openai
        finally:
            if collects:
                gc.enable()
    return openai


def prefetch(variables: MutableMapping[str, str]) -> None:
    """Begin the import beside other work, once; `load` waits for its end."""
    if not _begun.is_set():
        _begun.set()
        variables.pop("OPENAI_LOG", None)  # read at import; it would write requests to stderr
        threading.Thread(target=load, daemon=True).start()
