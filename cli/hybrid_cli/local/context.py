"""The llama.cpp context: as large as the sequences need and the memory allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local import memory
from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.layouts import USUAL_SLOTS
from hybrid_cli.local.loading import Loader
from hybrid_cli.local.lookup import MAX_DRAFT
from hybrid_cli.local.model import Model

BATCH = 512  # tokens in one call of llama_decode: llama.cpp's default for n_ubatch
_STEP = 256  # contexts are sized in steps, as llama.cpp pads them
_LARGE_PREFIX = 256  # tokens
_SMALL_CACHE_BYTES = 256 << 20
"""For more slots than usual, however small the weights are."""
_MANY_SLOTS = 32
"""A large prefix is copied for each sequence if so many have room."""


@dataclass(frozen=True)
class Size:
    """The size of a request's context, in tokens."""

    slots: int
    """Parallel sequences."""
    several: bool
    """Whether there is more than one task. Then an extra sequence holds the prompts' common prefix."""
    unified: bool
    """One buffer for all sequences, so that a large common prefix is stored once. Else each sequence has its own
    buffer, which is faster the more there are, and its logits are those of a sequence alone if its prompt is
    decoded in batches of the same size."""
    cells: int
    """Tokens of all sequences together."""
    longest: int
    """Tokens of the longest sequence, prompt and answer."""

    @property
    def sequences(self) -> int:
        return self.slots + self.several

    @property
    def buffer(self) -> int:
        """Tokens that one sequence has room for, where each has its own buffer."""
        return self.cells // self.sequences

    @classmethod
    def for_tasks(
        cls,
        prompts: list[list[int]],
        max_tokens: list[int],
        limit: int,
        free: int | None,
        most_slots: int = USUAL_SLOTS,
    ) -> Size:
        """The size for tasks of at most `limit` tokens each, in memory for `free` tokens (None: unknown).

        If the memory is too small, fewer sequences run in parallel; if that is not enough, they get shorter.
        """
        needs = [min(len(prompt) + most, limit) for prompt, most in zip(prompts, max_tokens, strict=True)]
        needs.sort(reverse=True)
        several = len(needs) > 1
        shared = common_length(prompts) if several else 0
        unified = shared >= _LARGE_PREFIX
        for slots in range(min(len(needs), USUAL_SLOTS if unified else most_slots), 0, -1):
            own = sum(need - shared for need in needs[:slots])
            each = (slots + several) * _stepped(needs[0])
            cells = _stepped(shared + own) if unified else each
            if free is None or cells <= free:
                return cls(slots, several, unified, cells, limit)
        most = max((free or 0) // (1 + several) // _STEP * _STEP, _STEP)
        return cls(1, several, False, most * (1 + several), min(limit, most))

    @classmethod
    def for_scheduler(cls, need: int, shared: int, most_slots: int, free: int | None) -> Size:
        """The size for `most_slots` sequences of `need` tokens that have their first `shared` tokens in common.

        If the memory is too small, there are fewer sequences; a single one has no shared prefix.
        """
        each = _stepped(need)
        apart = most_slots if free is None else min(most_slots, free // each - 1)
        unified = shared >= _LARGE_PREFIX and apart < _MANY_SLOTS
        for slots in range(min(most_slots, USUAL_SLOTS) if unified else apart, 1, -1):
            cells = _stepped(shared + slots * (need - shared)) if unified else (slots + 1) * each
            if free is None or cells <= free:
                return cls(slots, True, unified, cells, each)
        return cls(1, False, False, each, each)


def slots_for(cores: int) -> int:
    """How many parallel sequences are worthwhile where nothing was measured: weights are read once for all of them."""
    return max(2, min(USUAL_SLOTS, 8 * cores))


def affordable_slots(model: Model, need: int) -> int:
    """Return how many slots of `need` tokens are worth their memory: more than usual while it is less than the weights'."""
    most: int = max(_SMALL_CACHE_BYTES, llama_cpp.llama_model_size(model.handle))
    return max(USUAL_SLOTS, most // max(memory.cache_bytes(model.handle), 1) // _stepped(need) - 1)


def _stepped(tokens: int) -> int:
    return -(-tokens // _STEP) * _STEP


def common_length(prompts: list[list[int]]) -> int:
    """The length of the longest common prefix of `prompts`; it never includes a prompt's last token."""
    first, last = min(prompts), max(prompts)  # the prefix of these two is the prefix of all
    pairs = zip(first, last, strict=False)
    alike = next((place for place, (one, other) in enumerate(pairs) if one != other), len(first))
    return min(alike, min(map(len, prompts)) - 1)


def new_context(model: Model, size: Size, threads: int, loader: Loader) -> Any:
    """A new context of that `size`. Raises Failure if llama.cpp cannot create it."""
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = size.cells
    parameters.n_batch = parameters.n_ubatch = min(BATCH, parameters.n_ctx)
    parameters.n_seq_max = size.sequences
    parameters.n_outputs_max = max(size.sequences, 1 + MAX_DRAFT)
    parameters.kv_unified = size.unified or not size.several
    parameters.n_threads = parameters.n_threads_batch = threads
    parameters.no_perf = True
    context = llama_cpp.llama_init_from_model(model.handle, parameters)
    if not context:
        reason = loader.reason(llama_cpp.llama_init_from_model, model.handle, parameters)
        raise Failure(
            ExitStatus.FAILURE,
            f"llama.cpp cannot create a context of {parameters.n_ctx} tokens: {reason}"
            f"{'; set local.gpu_layers to fewer' if loader.gpu.layers else ''}",
        )
    return context
