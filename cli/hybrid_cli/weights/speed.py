"""How fast a model will answer on this machine, estimated before it is downloaded.

A model reads its weights once for each token, so memory bandwidth bounds the tokens per second. The measure copies
memory on every core for a quarter of a second. On two cores of an AMD EPYC it copied 10 to 11.5 GB/s, while
llama.cpp read 15.9 GB/s of qwen2.5-coder-1.5b (14.2 tokens/s).
"""

from __future__ import annotations

import ctypes
import os
import threading
import time

from hybrid_cli.system import cgroups
from hybrid_cli.weights.catalog import CatalogModel

ENOUGH = 8.0
"""Tokens per second below which waiting for an answer is a burden."""
_SECONDS = 0.25
_BUFFERS = 128 << 20
"""Bytes copied in turn by all threads: more than the caches hold."""
_READ_PER_COPIED = 1.5
_SECONDS_PER_TOKEN = 0.01
"""Work for each token that does not depend on the weights."""


def measure_bandwidth() -> float:
    """The bytes per second that the cores of this process copy together."""
    threads = _cores()
    size = _BUFFERS // threads
    copied = [0.0] * threads

    def copy(index: int) -> None:
        source, target = ctypes.create_string_buffer(size), ctypes.create_string_buffer(size)
        ctypes.memset(source, 1, size)  # a page is backed by memory once it is written
        ctypes.memset(target, 1, size)
        count, begun = 0, time.monotonic()
        while (elapsed := time.monotonic() - begun) < _SECONDS or count == 0:
            ctypes.memmove(target, source, size)  # releases the interpreter's lock
            count += 1
        copied[index] = count * size / elapsed

    workers = [threading.Thread(target=copy, args=(index,), daemon=True) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(copied)


def tokens_per_second(entry: CatalogModel, bandwidth: float) -> float:
    """The estimate for a model, where `bandwidth` is what `measure_bandwidth` returned."""
    return 1 / (entry.bytes_per_token / (_READ_PER_COPIED * bandwidth) + _SECONDS_PER_TOKEN)


def _cores() -> int:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(usable, round(cgroups.cpu_quota() or usable), 16))
