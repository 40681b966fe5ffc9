"""Memory: how much is free, and how much a model's KV cache needs. In bytes."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.system import cgroups

_BYTES_OF_CACHE_VALUE = 2  # f16, llama.cpp's default for keys and values
_RESERVE = 64 << 20  # left free for the system and for small buffers


def available() -> int | None:
    """Bytes that this process can still allocate without swapping; None if unknown.

    The smallest of MemAvailable (proc(5)), the rest of the limits by control groups and RLIMIT_AS
    (setrlimit(2)), and the memory of Slurm's job.
    """
    limits = (_machine(), cgroups.memory_left(), _address_space(), cgroups.slurm_limit(os.environ))
    found = [value for value in limits if value is not None]
    return max(0, min(found) - _RESERVE) if found else None


def cache_bytes(model: Any) -> int:
    """Bytes of the KV cache for one token: layers x KV heads x (key + value length) x 2.

    It is an upper bound: windowed and recurrent layers need less.
    """
    heads = llama_cpp.llama_model_n_head(model) or 1
    usual = llama_cpp.llama_model_n_embd(model) // heads
    architecture = metadata(model, "general.architecture") or ""
    lengths = [
        int(metadata(model, f"{architecture}.attention.{kind}_length") or usual) for kind in ("key", "value")
    ]
    layers: int = llama_cpp.llama_model_n_layer(model)
    key_heads: int = llama_cpp.llama_model_n_head_kv(model)
    return layers * key_heads * sum(lengths) * _BYTES_OF_CACHE_VALUE


def cache_bytes_by_metadata(model: Any) -> int:
    """The same for a model of which only the vocabulary is loaded; an upper bound, too."""
    heads = number(model, "attention.head_count") or 1
    usual = number(model, "embedding_length") // heads
    lengths = [number(model, f"attention.{kind}_length") or usual for kind in ("key", "value")]
    key_heads = number(model, "attention.head_count_kv") or heads
    return number(model, "block_count") * key_heads * sum(lengths) * _BYTES_OF_CACHE_VALUE


def number(model: Any, key: str) -> int:
    """The whole number at `key` of the model's architecture, the largest of a list; 0 if there is none."""
    architecture = metadata(model, "general.architecture") or ""
    return max(map(int, re.findall(r"\d+", metadata(model, f"{architecture}.{key}") or "")), default=0)


def metadata(model: Any, key: str) -> str | None:
    """The value of a GGUF metadata key as text; None if the model does not have it."""
    import ctypes

    size = 256
    buffer = ctypes.create_string_buffer(size)
    length = llama_cpp.llama_model_meta_val_str(model, key.encode(), buffer, size)
    return None if length < 0 else buffer.value.decode("utf-8", "replace")


def as_text(size: int) -> str:
    """`size` as text, for example `1.2 GB`."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return None


def _address_space() -> int | None:
    if not sys.platform.startswith("linux"):
        return None
    import resource

    soft, _hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return None
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return int(soft) - pages * os.sysconf("SC_PAGE_SIZE")
