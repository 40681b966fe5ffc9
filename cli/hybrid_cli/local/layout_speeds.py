"""How fast a model is in each layout of its weights, measured on this machine."""

from __future__ import annotations

import statistics
import time
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local import memory
from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.devices import devices, kernels
from hybrid_cli.local.layouts import Layouts, Speed
from hybrid_cli.local.loading import Loader, has_sound_kernels, size_of
from hybrid_cli.local.threads import usable_cores

_ROUNDS = 2
"""The layouts take turns, and the faster round counts: other programs only make one slower."""
_PROMPT = 64
_ANSWER = 3
_BATCHED = 16
_ROOM = 2.5
"""Free memory, in sizes of the model: the mapped file, the rearranged copy, and some more."""
_CONTEXT = 256
"""Tokens."""


def measure(path: str, known: str) -> Layouts | None:
    """Load the model at `path` in both layouts and measure them; None if it was measured on the `known` kernels.

    None also where there is no choice, with a GPU or with a build whose kernels for rearranged weights are not safe, and
    where memory is scarce.
    Raises Failure (WEIGHTS).
    """
    if known == kernels() or not has_sound_kernels() or any(one.is_gpu for one in devices()):
        return None
    free = memory.available()
    if free is not None and free < _ROOM * size_of(
        path
    ):  # pages would come and go, and the times would be the disk's
        return None
    _Side(path, rearranges=False).close()  # the first load of a process takes longer
    sides = [_Side(path, rearranges=False), _Side(path, rearranges=True)]
    for _ in range(_ROUNDS):
        for side in sides:
            side.measure()
    in_file, rearranged = (side.speed() for side in sides)
    return Layouts(in_file, rearranged, kernels())


class _Side:
    """One layout."""

    def __init__(self, path: str, *, rearranges: bool) -> None:
        loader = Loader()
        loader.load(path, rearranges=rearranges)
        self._model = loader.handle
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = _CONTEXT
        parameters.n_threads = parameters.n_threads_batch = usable_cores()
        self._context = llama_cpp.llama_init_from_model(self._model, parameters)
        if not self._context:
            raise Failure(ExitStatus.WEIGHTS, f"llama.cpp cannot measure {path}")
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._load = loader.take_load_seconds() + self._decode(1)  # mapped weights are read by the first pass
        self._prompts: list[float] = []
        self._answers: list[float] = []
        self._batches: list[float] = []

    def close(self) -> None:
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def measure(self) -> None:
        self._prompts.append(self._decode(_PROMPT) / _PROMPT)
        self._answers.append(statistics.median(self._decode(1) for _ in range(_ANSWER)))
        self._batches.append(self._decode(_BATCHED) / _BATCHED)

    def speed(self) -> Speed:
        answer = min(self._answers)
        return Speed(max(0.0, self._load - answer), min(self._prompts), answer, min(self._batches))

    def _decode(self, count: int) -> float:
        """Return the seconds of a pass over `count` tokens of an empty context."""
        llama_cpp.llama_memory_clear(self._memory, True)
        tokens: Any = (llama_cpp.llama_token * count)()  # which tokens they are makes no difference
        batch = llama_cpp.llama_batch_get_one(tokens, count)
        started = time.monotonic()
        if llama_cpp.llama_decode(self._context, batch) != 0:
            raise Failure(ExitStatus.WEIGHTS, "llama.cpp cannot decode, so it cannot be measured")
        llama_cpp.llama_synchronize(self._context)
        return time.monotonic() - started
