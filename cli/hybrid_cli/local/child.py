"""The engine process: install the guard, clear the environment, import the engine, then answer requests."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import IO, TYPE_CHECKING

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.guard.forbid import Enforcement, forbid_sockets, wipe_start_environment
from hybrid_cli.local.threads import SPIN_COUNT, ThreadCount

if TYPE_CHECKING:  # late: the model loads while the rest is imported
    from hybrid_cli.local.loading import Loader
    from hybrid_cli.local.protocol import (
        Describe,
        Event,
        LocalRequest,
        MeasureLayouts,
        Message,
        SchedulerRequest,
    )

Emit = Callable[["Event"], None]

_KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG", "TZ", "LD_LIBRARY_PATH")
_KEPT_PREFIXES = ("LC_", "PYTHON", "OMP_", "GOMP_", "GGML_", "LLAMA_")


def serve(requests: int, events: int) -> None:
    """Answer requests until the parent closes their pipe. Every failure becomes an event."""
    _die_with_parent()
    enforcement = forbid_sockets()
    prepare_environment()
    loader, problem = new_loader()
    import msgspec

    from hybrid_cli.local.protocol import Failed, Message, Ready

    encode = msgspec.json.Encoder().encode

    def emit(event: Event) -> None:
        _write(events, encode(event) + b"\n")

    if loader is None:
        emit(Failed(ExitStatus.FAILURE.name, f"llama-cpp-python cannot be imported: {problem}"))
        return
    imports = threading.Thread(target=_import_engine)
    imports.start()
    emit(Ready(enforcement))
    decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)
    with os.fdopen(requests, "rb") as lines:
        child = _Child(loader, enforcement, imports, lines, emit)
        for line in lines:
            with _failures_as_events(emit):
                child.answer(decoder.decode(line))


class _Child:
    """Answers messages one after another, and keeps the model loaded in between."""

    def __init__(
        self,
        loader: Loader,
        enforcement: Enforcement,
        imports: threading.Thread,
        lines: IO[bytes],
        emit: Emit,
    ) -> None:
        self._loader, self._enforcement, self._imports = loader, enforcement, imports
        self._lines, self._emit = lines, emit
        self._threads = ThreadCount()
        self._confined: bool | None = None
        """Whether the kernel confines this process in the file system; None before the first model."""

    def answer(self, message: Message) -> None:
        """Answer one message. Raises Failure."""
        from hybrid_cli.local.protocol import (
            Describe,
            LocalRequest,
            MeasureLayouts,
            Preload,
            SchedulerRequest,
        )

        if isinstance(message, Describe):
            self._describe(message)
        elif isinstance(message, MeasureLayouts):
            self._measure(message)
        elif isinstance(message, Preload):
            with contextlib.suppress(Failure):
                self._load(message.request)
        elif isinstance(message, (LocalRequest, SchedulerRequest)):
            self._load(message)
            self._imports.join()
            self._generate(message)
        # Other messages belong to a scheduler that has already failed.

    def _load(self, request: LocalRequest | SchedulerRequest) -> None:
        """Load the model of `request`, in parallel with the imports, because it releases the GIL. Raises Failure."""
        if request.require_enforcement:
            require_guard(self._enforcement)
        draft = getattr(request, "draft", None)
        self._confine(
            request.path,
            getattr(request, "cache_folder", None),
            request.projector,
            None if draft is None else draft.path,
        )
        self._loader.load_for(request)

    def _describe(self, message: Describe) -> None:
        from hybrid_cli.local import memory
        from hybrid_cli.local.bindings import llama_cpp
        from hybrid_cli.local.devices import backends, devices
        from hybrid_cli.local.protocol import Described, Done, GpuState, Loaded

        if message.path is not None:
            self._confine(message.path, None)
        features = llama_cpp.llama_print_system_info().decode("utf-8", "replace")
        self._emit(
            Described(
                features,
                backends(),
                [GpuState(*one) for one in devices() if one.is_gpu],
                memory.available(),
                self._confined,
            )
        )
        if message.path is not None:
            self._loader.load(message.path)
            seconds = round(self._loader.take_load_seconds(), 4)
            self._emit(Loaded(seconds, 0, "used", *self._loader.gpu))
        self._emit(Done())

    def _measure(self, message: MeasureLayouts) -> None:
        from hybrid_cli.local.layout_speeds import measure
        from hybrid_cli.local.protocol import Done, Measured

        self._confine(message.path, None)
        self._emit(Measured(measure(message.path, message.kernels)))
        self._emit(Done())

    def _generate(self, message: LocalRequest | SchedulerRequest) -> None:
        from hybrid_cli.local.inference import Inference
        from hybrid_cli.local.protocol import LocalRequest
        from hybrid_cli.local.scheduler import LineInbox, Scheduler

        if isinstance(message, LocalRequest):
            Inference(self._loader).answer(message, self._emit, self._threads)
        else:
            Scheduler(self._loader, message, LineInbox(self._lines), self._emit).run()

    def _confine(self, path: str, cache_folder: str | None, *beside: str | None) -> None:
        """Confine the process in the file system, once."""
        from hybrid_cli.local.confinement import confine_engine

        if self._confined is None:
            self._confined = confine_engine(path, cache_folder, *beside)


def require_guard(enforcement: Enforcement) -> None:
    """Raise Failure if `enforcement` is not the kernel's, which the profile requires."""
    if enforcement != "seccomp":
        raise Failure(
            ExitStatus.FAILURE,
            "the profile requires a guard for the local model that this system does not have"
            f" (escalation.require_enforcement): the best is {enforcement}",
        )


def new_loader() -> tuple[Loader | None, ImportError | None]:
    """Return the loader, or the error if llama.cpp cannot be imported."""
    try:
        from hybrid_cli.local.loading import Loader
    except ImportError as error:
        return None, error
    return Loader(), None


def _import_engine() -> None:
    with contextlib.suppress(ImportError):  # raised again when the engine is used
        importlib.import_module("hybrid_cli.local.inference")


@contextlib.contextmanager
def _failures_as_events(emit: Emit) -> Iterator[None]:
    """Emit any exception in the block as `Failed`."""
    from hybrid_cli.local.protocol import Failed

    try:
        yield
    except Failure as failure:
        emit(Failed(failure.status.name, str(failure)))
    except MemoryError:
        emit(Failed(ExitStatus.FAILURE.name, "not enough memory for this model"))
    except Exception as error:  # noqa: BLE001  a defect, reported without its values: they may hold the prompt
        place = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"internal error: {type(error).__name__} in {place.name}:{place.lineno}"
        emit(Failed(ExitStatus.FAILURE.name, reason))


def _write(descriptor: int, line: bytes) -> None:
    data = memoryview(line)
    while data:
        data = data[os.write(descriptor, data) :]


def kept_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the engine may need; none of them is a secret."""
    return {
        name: value
        for name, value in variables.items()
        if name in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIXES)
    }


def prepare_environment() -> None:
    """Delete every variable that may be a secret, and keep libraries' idle threads from spinning."""
    kept = kept_variables(os.environ)
    for name in [name for name in os.environ if name not in kept]:
        del os.environ[name]
    wipe_start_environment()
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy's; its threads and buffers are not needed


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies, however it dies (prctl(2))."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    parent_death_signal = 1
    ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL, 0, 0, 0)
