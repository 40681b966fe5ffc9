"""Loading of a GGUF file by llama.cpp. It imports little, so that loading starts before other imports."""

from __future__ import annotations

import ctypes
import os
import time
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local import memory
from hybrid_cli.local.bindings import llama_cpp

_ERROR = 4  # GGML_LOG_LEVEL_ERROR


class Loader:
    """Holds one model at a time; a request for another path replaces it."""

    def __init__(self) -> None:
        self._errors: list[str] = []
        self._keep = llama_cpp.llama_log_callback(
            self._keep_error
        )  # keep a reference, or C would call freed memory
        # llama.cpp logs hundreds of lines, and each call of a Python function would wait for the interpreter's
        # lock. So a C function that ignores its arguments takes them; to read an error, `reason` calls again.
        getpid = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p).value
        self._drop = llama_cpp.llama_log_callback(getpid)
        llama_cpp.llama_log_set(self._drop, None)
        llama_cpp.llama_backend_init()
        self._path: str | None = None
        self.handle: Any = None
        self._seconds = 0.0

    def load(self, path: str, *, mmap_over_memory: bool = False) -> None:
        """Load the model at `path` into `handle`. Raises Failure (WEIGHTS).

        With `mmap_over_memory` the weights may be larger than the free memory: they are mapped, and the kernel
        reads the parts that are needed again and again.
        """
        if path == self._path:
            return
        if self._path is not None:
            llama_cpp.llama_model_free(self.handle)
            self._path = self.handle = None
        started = time.monotonic()
        if not (mmap_over_memory and llama_cpp.llama_supports_mmap()):
            _refuse_too_large(path)
        self.handle = _call(path, mmap_over_memory)
        if not self.handle:
            raise Failure(
                ExitStatus.WEIGHTS,
                f"llama.cpp cannot load {path}: {self.reason(_call, path, mmap_over_memory)}",
            )
        self._path = path
        self._seconds = time.monotonic() - started

    def take_load_seconds(self) -> float:
        """Return the seconds of the last load, once; 0 if nothing was loaded since the last call."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def reason(self, call: Any, *arguments: Any) -> str:
        """llama.cpp's message on why `call` failed: the call is repeated with its errors recorded."""
        self._errors.clear()
        llama_cpp.llama_log_set(self._keep, None)
        try:
            call(*arguments)
        finally:
            llama_cpp.llama_log_set(self._drop, None)
        return self._errors[0] if self._errors else "no reason given"

    def _keep_error(self, level: int, text: bytes, _data: object) -> None:
        if level == _ERROR:
            self._errors.append(text.decode("utf-8", "replace").strip())


def has_sound_kernels() -> bool:
    """Whether this build's kernels for extra buffers (repacked weights, AMX) are safe to use.

    A build with AMX by GCC 12 dies of SIGILL: that compiler assumes that `_tile_loadconfig` (amxtileintrin.h)
    reads only 8 of 64 bytes, and omits the rest of ggml's tile configuration.
    """
    return b"AMX_INT8 = 1" not in llama_cpp.llama_print_system_info()


def _call(path: str, only_mapped: bool) -> Any:
    parameters = llama_cpp.llama_model_default_params()
    parameters.n_gpu_layers = -1 if llama_cpp.llama_supports_gpu_offload() else 0
    parameters.use_extra_bufts = has_sound_kernels() and not only_mapped  # those are copies in memory
    return llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters)


def _refuse_too_large(path: str) -> None:
    """Raise Failure (WEIGHTS) if the weights do not fit into memory, before the kernel kills the process."""
    try:
        size = sum(os.stat(one).st_size for one in _shards(path))  # noqa: PTH116
    except OSError as error:
        raise Failure(ExitStatus.WEIGHTS, f"cannot read the model file {path}: {error.strerror}") from error
    free = memory.available()
    if free is not None and size > free:
        raise Failure(
            ExitStatus.WEIGHTS,
            f"{path} needs {memory.as_text(size)} of memory, but only {memory.as_text(free)} are free;"
            " use a smaller model, or set local.mmap_over_memory, which is slow",
        )


def _shards(path: str) -> list[str]:
    """The files of a split model, whose first one is at `path`; `path` alone for any other model."""
    stem, found, rest = path.rpartition("-00001-of-")
    count = rest.removesuffix(".gguf")
    if not found or not count.isdecimal() or len(count) != 5:
        return [path]
    return [f"{stem}-{number:05d}-of-{count}.gguf" for number in range(1, int(count) + 1)]
