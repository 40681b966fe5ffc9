"""Which files the engine process may use: the model and those that belong to it to read, Python's own, and no other."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import sys

from hybrid_cli.guard.landlock import confine

_SYSTEM = (
    "/usr", "/lib", "/lib64", "/bin", "/etc", "/opt", "/nix", "/sys", "/dev/null", "/dev/urandom", "/dev/random",
    "/proc/self", "/proc/sys", "/proc/cpuinfo", "/proc/loadavg", "/proc/meminfo", "/proc/mounts", "/proc/stat",
)  # fmt: skip
"""Of the processes only this one, as others have their secrets in /proc/PID/environ."""
_PROCESSORS = ("/dev/nvidia*", "/dev/dri", "/dev/kfd", "/dev/null")
"""Devices for computing, which are opened for writing."""
_SPLIT = re.compile(r"-\d{5}-of-(\d{5})\.gguf\Z", re.IGNORECASE)


def confine_engine(model: str, cache_folder: str | None, *beside: str | None) -> bool:
    """Confine the engine to its files, irrevocably; return whether the kernel can do that.

    `beside` are the paths of a projector and of a second model, which it may use, too.
    """
    libraries = [*sys.path, sys.prefix, sys.base_prefix, sys.exec_prefix]
    libraries += os.environ.get("LD_LIBRARY_PATH", "").split(":")
    devices = [path for pattern in _PROCESSORS for path in glob.glob(pattern)]  # noqa: PTH207
    if cache_folder is not None:
        with contextlib.suppress(OSError):  # on a read-only disk nothing is cached
            os.makedirs(cache_folder, mode=0o700, exist_ok=True)  # noqa: PTH103  paths are text here
        devices.append(cache_folder)
    parent = f"/proc/{os.getppid()}/stat"  # whose share of the processor counts
    files = [file for path in (model, *filter(None, beside)) for file in _files_of(path)]
    return confine([*_SYSTEM, parent, *filter(None, libraries), *files], devices)


def _files_of(model: str) -> list[str]:
    """The real paths of the model's files: one, or all parts of a split one."""
    split = _SPLIT.search(model)
    if split is None:
        return [os.path.realpath(model)]
    parts = glob.glob(f"{glob.escape(model[: split.start()])}-*-of-{split[1]}.gguf")  # noqa: PTH207
    return [os.path.realpath(part) for part in parts]
