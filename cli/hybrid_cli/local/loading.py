"""Loading a GGUF file by llama.cpp. It needs little of Python, so that it can start before the rest is imported."""

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
    """Holds one model at a time, loaded at the first request that names it."""

    def __init__(self) -> None:
        self._errors: list[str] = []
        self._keep = llama_cpp.llama_log_callback(
            self._keep_error
        )  # referenced, or C would call freed memory
        # Hundreds of lines are logged, and to call Python for each would wait for its lock each time. A C
        # function that does nothing with its arguments takes them; to see an error, the call is made again.
        getpid = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p).value
        self._drop = llama_cpp.llama_log_callback(getpid)
        llama_cpp.llama_log_set(self._drop, None)
        llama_cpp.llama_backend_init()
        self._path: str | None = None
        self.handle: Any = None
        self._seconds = 0.0

    def load(self, path: str) -> None:
        """Put the model at `path` into `handle`. Raises Failure (WEIGHTS) where that cannot be."""
        if path == self._path:
            return
        if self._path is not None:
            llama_cpp.llama_model_free(self.handle)
            self._path = self.handle = None
        started = time.monotonic()
        _refuse_too_large(path)
        self.handle = _call(path)
        if not self.handle:
            raise Failure(ExitStatus.WEIGHTS, f"llama.cpp cannot load {path}: {self.reason(_call, path)}")
        self._path = path
        self._seconds = time.monotonic() - started

    def seconds(self) -> float:
        """How long the load since the last call of this took; 0 where there was none."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def reason(self, call: Any, *arguments: Any) -> str:
        """Why a call of llama.cpp failed, in its words: it is made once more with its errors kept."""
        self._errors.clear()
        llama_cpp.llama_log_set(self._keep, None)
        try:
            call(*arguments)
        finally:
            llama_cpp.llama_log_set(self._drop, None)
        return self._errors[0] if self._errors else "it does not say why"

    def _keep_error(self, level: int, text: bytes, _data: object) -> None:
        if level == _ERROR:
            self._errors.append(text.decode("utf-8", "replace").strip())


def has_sound_kernels() -> bool:
    """Whether this build's kernels for extra buffers (repacked weights, AMX) can be relied on.

    One with AMX ends by SIGILL where GCC 12 made it: that compiler takes `_tile_loadconfig` (amxtileintrin.h) to read
    8 bytes of the 64, and leaves the rest of ggml's tile configuration out.
    """
    return b"AMX_INT8 = 1" not in llama_cpp.llama_print_system_info()


def _call(path: str) -> Any:
    parameters = llama_cpp.llama_model_default_params()
    parameters.n_gpu_layers = -1 if llama_cpp.llama_supports_gpu_offload() else 0
    parameters.use_extra_bufts = has_sound_kernels()
    return llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters)


def _refuse_too_large(path: str) -> None:
    """Raise Failure (WEIGHTS) for weights that the memory cannot hold, before the kernel has to kill."""
    try:
        size = os.stat(path).st_size  # noqa: PTH116
    except OSError as error:
        raise Failure(
            ExitStatus.WEIGHTS, f"the model file {path} cannot be read: {error.strerror}"
        ) from error
    free = memory.available()
    if free is not None and size > free:
        raise Failure(
            ExitStatus.WEIGHTS,
            f"{path} needs {memory.in_words(size)} of memory, and {memory.in_words(free)} are free;"
            " use a smaller model",
        )
