"""Loading of a GGUF file by llama.cpp. It imports little, so that loading starts before other imports."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import time
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local import memory
from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.devices import (
    ASSUMED_CONTEXT,
    Device,
    Layers,
    attempts,
    devices,
    kernels,
    layers_that_fit,
)
from hybrid_cli.local.layouts import UNMEASURED, USUAL_SLOTS, Layout

if TYPE_CHECKING:
    from hybrid_cli.local.projector import Projector
    from hybrid_cli.local.protocol import LocalRequest, SchedulerRequest

_ERROR = 4  # GGML_LOG_LEVEL_ERROR
_OUT_OF_MEMORY = re.compile(r"alloc|out.?of.?(?:\w+)?memory", re.IGNORECASE)


class Offload(NamedTuple):
    """How much of the loaded model a GPU holds."""

    layers: int = 0
    tried: int = 0
    """The number of layers that did not fit, or that no GPU was there for; 0 if the first attempt worked."""
    has_gpu: bool = False


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
        self._asked: tuple[str, int | None] | None = None
        self.gpu = Offload()
        self.layout: Layout = "in file"
        self.slots = USUAL_SLOTS
        """How many sequences of the last request are worth decoding together."""
        self.handle: Any = None
        self._projector: Projector | None = None
        self._seconds = 0.0
        self.mapped = 0
        """Bytes of the model's file that stay in the page cache, which counts as free memory."""

    def load_for(self, request: LocalRequest | SchedulerRequest) -> None:
        """Load the model of `request` as it wants it, in the faster layout. Raises Failure (WEIGHTS)."""
        from hybrid_cli.local.request_layout import rearranging_pays, slots  # late: they need the protocol

        layouts = request.layouts
        if layouts is None or layouts.kernels != kernels():
            layouts = UNMEASURED
        self.load(
            request.path,
            mmap_over_memory=request.mmap_over_memory,
            gpu_layers=request.gpu_layers,
            context=request.context,
            beside=request.projector if request.has_images else None,
            rearranges=rearranging_pays(request, layouts),
        )
        self.slots = slots(request, layouts, layouts.of(self.layout))

    def load(
        self,
        path: str,
        *,
        mmap_over_memory: bool = False,
        gpu_layers: int | None = None,
        context: int | None = None,
        beside: str | None = None,
        rearranges: bool = True,
    ) -> None:
        """Load the model at `path` into `handle`, and say in `gpu` what a GPU holds. Raises Failure (WEIGHTS).

        The memory must also hold the file `beside`, which will be loaded next.

        `gpu_layers`: None for as many as fit beside the cache of `context` tokens. If a GPU has too little memory
        after all, it gets fewer layers, and at last none.

        `rearranges`: whether llama.cpp may copy the weights into an order that its kernels decode with faster. A model
        that is loaded already stays as it is.

        With `mmap_over_memory` the weights may be larger than the free memory: they are mapped, and the kernel
        reads the parts that are needed again and again.
        """
        asked = (path, gpu_layers)
        if asked == self._asked:
            return
        if self._asked is not None:
            self._projector = None  # it points into the model
            llama_cpp.llama_model_free(self.handle)
            self._asked = self.handle = None
        started = time.monotonic()
        gpus = [one for one in devices() if one.is_gpu] if llama_cpp.llama_supports_gpu_offload() else []
        layers = _layers_of(path, context or ASSUMED_CONTEXT) if gpus else None
        is_mapped = mmap_over_memory and llama_cpp.llama_supports_mmap()
        first = _first_attempt(gpu_layers, layers, gpus)
        for number in attempts(first):
            share = 1.0 if layers is None else _share_in_memory(number, layers, gpus)
            if not is_mapped:
                _refuse_too_large(path, share, beside)
            only_mapped = mmap_over_memory or not rearranges
            self.handle = _call(path, only_mapped, number)
            if self.handle:
                break
            reason = self.reason(_call, path, only_mapped, number)
            if not (number and any(map(_OUT_OF_MEMORY.search, self._errors))):
                raise Failure(ExitStatus.WEIGHTS, f"llama.cpp cannot load {path}: {reason}")
        wanted = first if gpus else gpu_layers or 0
        self.gpu = Offload(number, wanted if number < wanted else 0, bool(gpus))
        self.layout = "in file" if only_mapped else "rearranged"
        self.mapped = round(size_of(path) * share) if only_mapped else 0
        self._asked = asked
        self._seconds = time.monotonic() - started

    def projector(self, path: str | None) -> Projector:
        """Return the projector at `path`, loaded for the model. Raises Failure (WEIGHTS)."""
        from hybrid_cli.local.projector import Projector  # late, as few prompts have images

        if path is None:
            raise Failure(ExitStatus.WEIGHTS, "the model has no projector for images; set local.projector")
        if self._projector is None or self._projector.path != path:
            self._projector = None
            _refuse_too_large(path, may_map=False)
            self._projector = Projector(path, self)
        return self._projector

    @cached_property
    def second(self) -> Loader:
        """The loader of the model that drafts for this one's (`draft_model`)."""
        return Loader()

    def take_load_seconds(self) -> float:
        """Return the seconds of the last load, once; 0 if nothing was loaded since the last call."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def reason(self, call: Any, *arguments: Any) -> str:
        """llama.cpp's message on why `call` failed: the call is repeated with its errors recorded."""
        with self.recording():
            call(*arguments)
        return self._errors[0] if self._errors else "no reason given"

    @contextlib.contextmanager
    def recording(self, set_log: Any = llama_cpp.llama_log_set) -> Iterator[list[str]]:
        """Yield the list in which the errors of the block are recorded, of the library that `set_log` is for."""
        self._errors.clear()
        set_log(self._keep, None)
        try:
            yield self._errors
        finally:
            set_log(self._drop, None)

    def _keep_error(self, level: int, text: bytes, _data: object) -> None:
        if level == _ERROR:
            self._errors.append(text.decode("utf-8", "replace").strip())


def has_sound_kernels() -> bool:
    """Whether this build's kernels for extra buffers (repacked weights, AMX) are safe to use.

    A build with AMX by GCC 12 dies of SIGILL: that compiler assumes that `_tile_loadconfig` (amxtileintrin.h)
    reads only 8 of 64 bytes, and omits the rest of ggml's tile configuration.
    """
    return b"AMX_INT8 = 1" not in llama_cpp.llama_print_system_info()


def _call(path: str, only_mapped: bool, gpu_layers: int) -> Any:
    parameters = llama_cpp.llama_model_default_params()
    parameters.n_gpu_layers = gpu_layers
    parameters.use_extra_bufts = has_sound_kernels() and not only_mapped  # those are copies in memory
    return llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters)


def _first_attempt(gpu_layers: int | None, layers: Layers | None, gpus: list[Device]) -> int:
    if layers is None:
        return 0
    return layers_that_fit(layers, gpus) if gpu_layers is None else min(gpu_layers, layers.blocks + 1)


def _layers_of(path: str, context: int) -> Layers | None:
    """Return the sizes of the layers, from a load of the vocabulary alone; None if the file is damaged."""
    parameters = llama_cpp.llama_model_default_params()
    parameters.vocab_only = True
    handle = llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters)
    if not handle:
        return None
    try:
        count = memory.number(handle, "block_count")
        return (
            Layers(count, size_of(path), memory.cache_bytes_by_metadata(handle) * context) if count else None
        )
    finally:
        llama_cpp.llama_model_free(handle)


def _share_in_memory(number: int, layers: Layers, gpus: list[Device]) -> float:
    """Return which part of the weights needs the machine's own memory; an integrated GPU has no other."""
    if any(gpu.kind == "integrated GPU" for gpu in gpus):
        return 1.0
    return 1.0 - number / (layers.blocks + 1)


def size_of(path: str) -> int:
    """Return the bytes of a model's file, or of all its shards. Raises Failure (WEIGHTS)."""
    try:
        return sum(os.stat(one).st_size for one in _shards(path))  # noqa: PTH116
    except OSError as error:
        raise Failure(
            ExitStatus.WEIGHTS, f"cannot read the model file {error.filename}: {error.strerror}"
        ) from error


def _refuse_too_large(
    path: str, share: float = 1.0, beside: str | None = None, *, may_map: bool = True
) -> None:
    """Raise Failure (WEIGHTS) if this share of the weights does not fit into memory, before the kernel kills the process.

    A file that will be loaded `beside` them counts, too.
    """
    size = round(size_of(path) * share) + (0 if beside is None else size_of(beside))
    free = memory.available()
    if free is not None and size > free:
        raise Failure(
            ExitStatus.WEIGHTS,
            f"{path} needs {memory.as_text(size)} of memory, but only {memory.as_text(free)} are free;"
            f" use a smaller model{', or set local.mmap_over_memory, which is slow' if may_map else ''}",
        )


def _shards(path: str) -> list[str]:
    """The files of a split model, whose first one is at `path`; `path` alone for any other model."""
    stem, found, rest = path.rpartition("-00001-of-")
    count = rest.removesuffix(".gguf")
    if not found or not count.isdecimal() or len(count) != 5:
        return [path]
    return [f"{stem}-{number:05d}-of-{count}.gguf" for number in range(1, int(count) + 1)]
