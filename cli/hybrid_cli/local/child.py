"""The child's side of the worker: guard, environment, imports, then one request after another."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from typing import Any

from hybrid_cli.guard.forbid import forbid_sockets

_KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG", "TZ", "LD_LIBRARY_PATH")
_KEPT_PREFIXES = ("LC_", "PYTHON", "OMP_", "GOMP_", "GGML_", "LLAMA_")

# llama.cpp's OpenMP threads spin at every barrier; this bound keeps the idle speed and is 2 to 4 times
# faster than the default when other processes are busy.
_SPIN_COUNT = "2000"


def serve(requests: int, events: int) -> None:
    """Answer requests until their pipe is closed. Every failure goes out as an event."""
    _die_with_parent()
    enforcement = forbid_sockets()
    _prepare_environment()
    emit = _Emitter(events)
    try:
        from hybrid_cli.local.engine import Engine, ModelError
    except ImportError as error:
        emit("failed", message=f"llama-cpp-python cannot be imported: {error}")
        return
    engine = Engine()
    emit("ready", enforcement=enforcement)

    def answer(request: dict[str, Any]) -> None:
        try:
            emit("done", **engine.answer(request, emit))
        except ModelError as error:
            emit("failed", message=str(error))
        except MemoryError:
            emit("failed", message="there is not enough memory for this model")
        except Exception as error:  # noqa: BLE001  a defect: told without its values, which may hold the prompt
            place = traceback.extract_tb(error.__traceback__)[-1]
            emit("failed", message=f"internal error: {type(error).__name__} in {place.name}:{place.lineno}")

    with os.fdopen(requests, "rb") as lines:
        for line in lines:
            answer(json.loads(line))


class _Emitter:
    """Writes events as lines of JSON."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, event: str, **fields: Any) -> None:
        data = memoryview(json.dumps({"event": event, **fields}).encode() + b"\n")
        while data:
            data = data[os.write(self._descriptor, data) :]


def _prepare_environment() -> None:
    """Drop all that may be a secret, and keep OpenMP's threads from spinning the machine away."""
    for name in list(os.environ):
        if name not in _KEPT_VARIABLES and not name.startswith(_KEPT_PREFIXES):
            del os.environ[name]
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPIN_COUNT)


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies, however it dies (prctl(2))."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    parent_death_signal = 1
    ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL, 0, 0, 0)
