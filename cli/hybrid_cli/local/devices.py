"""The devices that llama.cpp can compute on, by its own list, and how much of a model they can hold."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

from hybrid_cli.local.bindings import llama_cpp

_KINDS = ("CPU", "GPU", "integrated GPU", "accelerator")
"""By the numbers of `ggml_backend_dev_type`."""
_RESERVE = 512 << 20
"""Bytes left free on each device: buffers for computing, and what the desktop may need meanwhile."""
ASSUMED_CONTEXT = 4096
"""Tokens. The model is loaded before the length of the prompt is known."""


class Device(NamedTuple):
    name: str
    """Such as CUDA0 or Vulkan1."""
    description: str
    """Such as the name of the card."""
    kind: str
    backend: str
    free: int
    """Bytes."""
    total: int

    @property
    def is_gpu(self) -> bool:
        return self.kind in ("GPU", "integrated GPU")


class Layers(NamedTuple):
    """What of a model a device would hold."""

    blocks: int
    weights: int
    """Bytes of all layers and of what belongs to none."""
    cache: int
    """Bytes of the KV cache of all layers."""


def devices() -> list[Device]:
    """Return the devices of this build on this machine; [] if the build has no such list."""
    try:
        return [
            _device(_call("dev_get", ctypes.c_void_p, ctypes.c_size_t(number))) for number in range(_count())
        ]
    except AttributeError:
        return []


def kernels() -> str:
    """Return what decides how fast the CPU computes: llama.cpp's version and the processor."""
    processor = next((one.description for one in devices() if one.kind == "CPU"), "")
    try:
        version = llama_cpp._lib.ggml_commit
    except AttributeError:
        return processor
    version.restype = ctypes.c_char_p
    return f"{_text(version())} {processor}"


def backends() -> list[str]:
    """Return the names of the backends in this build, such as CPU and CUDA."""
    try:
        count = _call("reg_count", ctypes.c_size_t)
        found = [_call("reg_get", ctypes.c_void_p, ctypes.c_size_t(number)) for number in range(count)]
        return [_text(_call("reg_name", ctypes.c_char_p, ctypes.c_void_p(one))) for one in found]
    except AttributeError:
        return []


def layers_that_fit(layers: Layers, gpus: Sequence[Device]) -> int:
    """Return how many layers the free memory of `gpus` holds; the output counts as one more layer."""
    room = sum(max(0, gpu.free - _RESERVE) for gpu in gpus)
    every = layers.blocks + 1
    return min(every, room * every // max(layers.weights + layers.cache, 1))


def attempts(first: int) -> list[int]:
    """Return the numbers of layers to try one after another: fewer each time, and at last the CPU alone."""
    return list(dict.fromkeys([first, first // 2, first // 4, 0]))


def _count() -> int:
    return int(_call("dev_count", ctypes.c_size_t))


def _device(handle: int) -> Device:
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    of = ctypes.c_void_p(handle)
    _call("dev_memory", None, of, ctypes.byref(free), ctypes.byref(total))
    kind = _call("dev_type", ctypes.c_int, of)
    registry = ctypes.c_void_p(_call("dev_backend_reg", ctypes.c_void_p, of))
    return Device(
        _text(_call("dev_name", ctypes.c_char_p, of)),
        _text(_call("dev_description", ctypes.c_char_p, of)),
        _KINDS[kind] if 0 <= kind < len(_KINDS) else "other",
        _text(_call("reg_name", ctypes.c_char_p, registry)),
        free.value,
        total.value,
    )


def _call(name: str, result: Any, *arguments: Any) -> Any:
    """Call a function of ggml, which libllama is linked to. Raises AttributeError if this build lacks it."""
    function = getattr(llama_cpp._lib, f"ggml_backend_{name}")
    function.restype = result
    return function(*arguments)


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")
