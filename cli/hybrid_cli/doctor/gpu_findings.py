"""The finding about GPUs: those that llama.cpp uses, and those that its build cannot use."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Sequence

from hybrid_cli.doctor.finding import Finding
from hybrid_cli.local.protocol import Described, GpuState

_INSTALL = "pip install --force-reinstall --no-cache-dir"
_WHEELS = "https://abetlen.github.io/llama-cpp-python/whl"
"""llama-cpp-python's own index of ready-made wheels, as its documentation names it."""
_FLAGS = {"CUDA": "GGML_CUDA", "ROCm": "GGML_HIP", "Vulkan": "GGML_VULKAN", "MTL": "GGML_METAL"}
"""The build option of each backend, by the name in llama.cpp's list."""
_NODES = {  # the name of the hardware, its devices, and the backends that may use it, the best first
    "an NVIDIA GPU": ("/dev/nvidia[0-9]*", ("CUDA", "Vulkan")),
    "an AMD GPU": ("/dev/kfd", ("ROCm", "Vulkan")),
    "a GPU": ("/dev/dri/renderD*", ("Vulkan", "ROCm", "CUDA")),
}


def gpu_finding(event: Described) -> Finding:
    """Return the finding about this machine's GPUs."""
    if event.gpus:
        return Finding("gpu", "ok", "; ".join(map(_described, event.gpus)))
    if sys.platform == "darwin":
        return _unused("an Apple GPU", "", ("MTL",), event.backends)
    for name, (pattern, usable) in _NODES.items():
        for node in sorted(glob.glob(pattern)):  # noqa: PTH207
            return _unused(name, node, usable, event.backends)
    return Finding("gpu", "ok", f"none found; llama.cpp is built with {', '.join(event.backends) or 'CPU'}")


def build_command(backend: str) -> str:
    """Return the command that builds llama-cpp-python with `backend` on this machine."""
    return f'CMAKE_ARGS="-D{_FLAGS[backend]}=on" {_INSTALL} --no-binary llama-cpp-python llama-cpp-python'


def _described(gpu: GpuState) -> str:
    return (
        f"{gpu.description} ({gpu.kind}, {gpu.name}), {gpu.free / 1e9:.1f} of {gpu.total / 1e9:.1f} GB free,"
        f" by {gpu.backend}"
    )


def _unused(name: str, node: str, usable: Sequence[str], backends: Sequence[str]) -> Finding:
    """Return why llama.cpp does not use a GPU that is there, and the command that mends it."""
    where = f" ({node})" if node else ""
    built = [backend for backend in usable if backend in backends]
    if node and not os.access(node, os.R_OK | os.W_OK):
        return Finding(
            "gpu", "warn", f"{name}{where} is not accessible; add yourself to the groups render and video"
        )
    if built:
        return Finding("gpu", "warn", f"{name}{where} is not found by {built[0]}; check its driver")
    ready = ""
    if usable[0] == "CUDA":
        ready = f"; or, for CUDA 12.4: {_INSTALL} llama-cpp-python --extra-index-url {_WHEELS}/cu124"
    elif usable[0] == "MTL":
        ready = f"; or: {_INSTALL} llama-cpp-python --extra-index-url {_WHEELS}/metal"
    return Finding(
        "gpu",
        "warn",
        f"{name}{where} is not used: llama.cpp is built without {usable[0]};"
        f" build it: {build_command(usable[0])}{ready}",
    )
