"""The child's side of the worker: guard, environment, imports, then one request after another."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from typing import IO, Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.guard.forbid import Enforcement, forbid_sockets, wipe_start_environment
from hybrid_cli.local.threads import SPIN_COUNT, ThreadCount

_KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG", "TZ", "LD_LIBRARY_PATH")
_KEPT_PREFIXES = ("LC_", "PYTHON", "OMP_", "GOMP_", "GGML_", "LLAMA_")


def serve(requests: int, events: int) -> None:
    """Answer requests until their pipe is closed. Every failure goes out as an event."""
    _die_with_parent()
    enforcement = forbid_sockets()
    _prepare_environment()
    emit = _Emitter(events)
    threads = ThreadCount()
    try:
        from hybrid_cli.local.loading import Loader

        rest = threading.Thread(target=_import_the_engine)
        rest.start()
        loader = Loader()
        emit("ready", enforcement=enforcement)
        with os.fdopen(requests, "rb") as lines:
            for line in lines:
                with _told(emit):
                    fields = json.loads(line)
                    if "describe" in fields:
                        _describe(loader, fields["describe"], emit)
                        continue
                    _require(enforcement, fields)
                    loader.load(fields["path"])  # beside the imports: it holds no lock of Python's
                    rest.join()
                    if "examples" in fields:
                        _flow(loader, fields, lines, emit)
                    else:
                        _answer(loader, fields, emit, threads)
    except ImportError as error:
        emit(
            "failed",
            status=ExitStatus.FAILURE.name,
            message=f"llama-cpp-python cannot be imported: {error}",
        )


def _import_the_engine() -> None:
    with contextlib.suppress(ImportError):  # it is raised again where the engine is used
        importlib.import_module("hybrid_cli.local.engine")


def _require(enforcement: Enforcement, fields: dict[str, Any]) -> None:
    """Raise Failure where the request wants a stronger guard than this process is under."""
    if fields["require_enforcement"] and enforcement != "seccomp":
        raise Failure(
            ExitStatus.FAILURE,
            "the profile requires a guard for the local model that this system does not have"
            f" (escalation.require_enforcement): the best is {enforcement}",
        )


def _describe(loader: Any, path: str | None, emit: _Emitter) -> None:
    """What llama.cpp says of its build and of the model at `path`, for those who look for faults."""
    from hybrid_cli.local import memory
    from hybrid_cli.local.bindings import llama_cpp

    emit(
        "described",
        features=llama_cpp.llama_print_system_info().decode("utf-8", "replace"),
        offloads=bool(llama_cpp.llama_supports_gpu_offload()),
        available=memory.available(),
    )
    if path is not None:
        loader.load(path)
        emit("loaded", load_seconds=round(loader.seconds(), 4), tokens_in=0)
    emit("done")


def _answer(loader: Any, fields: dict[str, Any], emit: _Emitter, threads: ThreadCount) -> None:
    from hybrid_cli.local.engine import Engine
    from hybrid_cli.local.protocol import LocalRequest, Task

    tasks = [Task(**task) for task in fields.pop("tasks")]
    Engine(loader).answer(LocalRequest(tasks=tasks, **fields), emit, threads)


def _flow(loader: Any, fields: dict[str, Any], lines: IO[bytes], emit: _Emitter) -> None:
    from hybrid_cli.local.protocol import FlowRequest
    from hybrid_cli.local.scheduler import Flow, Inbox

    Flow(loader, FlowRequest(**fields), Inbox(lines), emit).run()


@contextlib.contextmanager
def _told(emit: _Emitter) -> Iterator[None]:
    """Make an event of whatever goes wrong in the block."""
    try:
        yield
    except Failure as failure:
        emit("failed", status=failure.status.name, message=str(failure))
    except MemoryError:
        emit("failed", status=ExitStatus.FAILURE.name, message="there is not enough memory for this model")
    except Exception as error:  # noqa: BLE001  a defect: told without its values, which may hold the prompt
        place = traceback.extract_tb(error.__traceback__)[-1]
        words = f"internal error: {type(error).__name__} in {place.name}:{place.lineno}"
        emit("failed", status=ExitStatus.FAILURE.name, message=words)


class _Emitter:
    """Writes events as lines of JSON."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, event: str, **fields: Any) -> None:
        data = memoryview(json.dumps({"event": event, **fields}).encode() + b"\n")
        while data:
            data = data[os.write(self._descriptor, data) :]


def kept_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Those that the engine may need, none of which is a secret."""
    return {
        name: value
        for name, value in variables.items()
        if name in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIXES)
    }


def _prepare_environment() -> None:
    """Drop all that may be a secret, and keep libraries' threads from spinning the machine away."""
    kept = kept_variables(os.environ)
    for name in [name for name in os.environ if name not in kept]:
        del os.environ[name]
    wipe_start_environment()
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy's; it would start threads and buffers for nothing


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies, however it dies (prctl(2))."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    parent_death_signal = 1
    ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL, 0, 0, 0)
