"""Making a llama.cpp context: as large as the sequences need and the memory has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.loading import Loader
from hybrid_cli.local.model import Model

BATCH = 512  # tokens a llama_decode call, llama.cpp's own default for n_ubatch
_STEP = 256  # contexts are sized in steps, as llama.cpp pads them
_MOST_SLOTS = 16  # sequences side by side: more gain little on a CPU and cost memory
_LARGE_PREFIX = 256  # tokens


@dataclass(frozen=True)
class Size:
    """How much context a request gets, in tokens."""

    slots: int
    """Sequences side by side."""
    several: bool
    """Whether there is more than one task: then a sequence of its own holds what all prompts begin with."""
    unified: bool
    """One buffer for all sequences, so that a large shared prefix is stored once. Else each has its own,
    which is some percent faster and keeps a sequence's numbers what they are alone, as far as its prompt is
    read in pieces of the same size."""
    cells: int
    """Of all sequences together."""
    longest: int
    """The most tokens of one sequence, prompt and answer."""

    @property
    def sequences(self) -> int:
        return self.slots + self.several

    @classmethod
    def for_tasks(cls, prompts: list[list[int]], max_tokens: list[int], limit: int, free: int | None) -> Size:
        """What the tasks need, each at most `limit` tokens, as far as `free` tokens of memory hold it.

        Where they do not, there are fewer sequences at a time, then shorter ones.
        """
        needs = [min(len(prompt) + most, limit) for prompt, most in zip(prompts, max_tokens, strict=True)]
        needs.sort(reverse=True)
        several = len(needs) > 1
        shared = common_length(prompts) if several else 0
        unified = shared >= _LARGE_PREFIX
        for slots in range(min(len(needs), _MOST_SLOTS), 0, -1):
            own = sum(need - shared for need in needs[:slots])
            each = (slots + several) * _stepped(needs[0])
            cells = _stepped(shared + own) if unified else each
            if free is None or cells <= free:
                return cls(slots, several, unified, cells, limit)
        most = max((free or 0) // (1 + several) // _STEP * _STEP, _STEP)
        return cls(1, several, False, most * (1 + several), min(limit, most))

    @classmethod
    def for_scheduler(cls, need: int, shared: int, places: int, free: int | None) -> Size:
        """Room for `places` sequences of `need` tokens each, of which all share the first `shared`.

        Where the memory does not hold them there are fewer; with one place nothing is shared.
        """
        each, unified = _stepped(need), shared >= _LARGE_PREFIX
        for slots in range(places, 1, -1):
            cells = _stepped(shared + slots * (need - shared)) if unified else (slots + 1) * each
            if free is None or cells <= free:
                return cls(slots, True, unified, cells, each)
        return cls(1, False, False, each, each)


def slots_for(cores: int) -> int:
    """How many sequences side by side pay: each core has use for several, as weights are read once for all."""
    return max(2, min(_MOST_SLOTS, 8 * cores))


def _stepped(tokens: int) -> int:
    return -(-tokens // _STEP) * _STEP


def common_length(prompts: list[list[int]]) -> int:
    """How many tokens all of `prompts` begin with alike; the last of each is left to be its own."""
    first, last = min(prompts), max(prompts)  # in order, what these two share all share
    pairs = zip(first, last, strict=False)
    alike = next((place for place, (one, other) in enumerate(pairs) if one != other), len(first))
    return min(alike, min(map(len, prompts)) - 1)


def new_context(model: Model, size: Size, threads: int, loader: Loader) -> Any:
    """A context for `size`. Raises Failure where llama.cpp cannot make one."""
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = size.cells
    parameters.n_batch = parameters.n_ubatch = min(BATCH, parameters.n_ctx)
    parameters.n_seq_max = parameters.n_outputs_max = size.sequences
    parameters.kv_unified = size.unified or not size.several
    parameters.n_threads = parameters.n_threads_batch = threads
    parameters.no_perf = True
    context = llama_cpp.llama_init_from_model(model.handle, parameters)
    if not context:
        reason = loader.reason(llama_cpp.llama_init_from_model, model.handle, parameters)
        raise Failure(ExitStatus.FAILURE, f"no context of {parameters.n_ctx} tokens could be made: {reason}")
    return context
