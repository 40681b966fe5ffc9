"""Speculation by a second model: a smaller model with the same vocabulary drafts where lookup finds nothing.

The second model reads the same tokens in a context of its own, and the first model verifies its drafts (`decode`). As with
`lookup`, the length of a draft depends on tokens and on stored speeds, never on the time that a pass takes now.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local import lookup, memory
from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.context import BATCH, Size, new_context
from hybrid_cli.local.devices import kernels
from hybrid_cli.local.layouts import UNMEASURED, USUAL_SLOTS, Layout, Layouts, Speed, tokens_of_answer
from hybrid_cli.local.loading import Loader, size_of
from hybrid_cli.local.logits import Meter, Rows
from hybrid_cli.local.lookup import LEAST_GAIN, MAX_DRAFT, Drafter, Rate, best_length, gain
from hybrid_cli.local.model import Model
from hybrid_cli.local.protocol import LocalRequest, SecondModel
from hybrid_cli.local.request_layout import rearranging_pays
from hybrid_cli.local.threads import ThreadCount

_FIRST_RATE = 0.7
"""How probable it is that a drafted token is right, before any was seen. This is an assumption."""
_LEAST_MARGIN = 0.3
"""A draft ends if the probabilities of the two likeliest tokens differ by less. The first model would often choose another
token there, or leave the choice to a pass of its own: with two tokens, its 0.6 nats (`decode`) are a difference of 0.29."""


class Costs(NamedTuple):
    """The costs of drafting and verifying, in passes of the first model with one token."""

    passes: dict[int, float]
    """Of a pass by its tokens, as `lookup.COSTS`."""
    drafting: float
    """Of one drafted token."""

    @classmethod
    def of(cls, first: Speed, second: Speed) -> Costs:
        """Return the costs by stored speeds.

        Between 1 and 16 tokens, the costs rise as `lookup.COSTS` do. A straight line would be too low: on a processor, the
        first few tokens cost most.
        """
        measured = USUAL_SLOTS * first.batched_token / first.answer_token
        scale = max(0.0, (measured - 1) / (lookup.COSTS[USUAL_SLOTS] - 1))
        passes = {tokens: 1 + scale * (cost - 1) for tokens, cost in lookup.COSTS.items()}
        return cls(passes, second.answer_token / first.answer_token)

    def length(self, rate: float, *, is_named: bool) -> int:
        """Return the best length of a draft; 0 if no draft pays. A named model always drafts."""
        least_gain = 0.0 if is_named else LEAST_GAIN
        return best_length(rate, MAX_DRAFT, self.passes, drafting=self.drafting, least_gain=least_gain)

    def seconds_won(self, first: Speed, answer: int) -> float:
        """Return the seconds that drafts save in an answer of `answer` tokens."""
        length = self.length(_FIRST_RATE, is_named=False)
        cost = self.passes.get(length + 1, 1.0) + self.drafting * length
        return answer * first.answer_token * (1 - 1 / gain(_FIRST_RATE, length, cost))


def load_draft_model(request: LocalRequest, loader: Loader, model: Model, prompt: int) -> DraftModel | None:
    """Return the second model of `request`, loaded; None if there is none, or nothing for it to draft.

    A model that the profile does not name is None, too, if it does not pay or cannot be used. `model` is the first model,
    and `prompt` the length of the prompt in tokens. Raises Failure for a named model: USAGE if it cannot draft for the
    first one, FAILURE if it cannot be loaded.
    """
    draft = request.draft
    if draft is None or len(request.tasks) != 1 or request.tasks[0].choices or request.has_images:
        return None
    try:
        rearranges = rearranging_pays(request, _measured_here(draft.layouts) or UNMEASURED)
        costs = _costs(draft, request, loader, prompt, rearranges=rearranges)
        if costs is None:
            return None
        _load(draft, request, loader, model, prompt, rearranges=rearranges)
        second = Model(loader.second.handle)
        problem = _problem(model, second)
        if problem is not None:
            raise Failure(
                ExitStatus.USAGE,
                f'{draft.name} cannot draft: {problem}; set local.draft to another model, or "off"',
            )
    except Failure as failure:
        if not draft.is_named:
            return None
        if failure.status is ExitStatus.WEIGHTS:  # which would say that the first model is missing
            raise Failure(ExitStatus.FAILURE, f'{failure}; set local.draft to "off"') from None
        raise
    common = min(model.vocabulary.size, second.vocabulary.size)
    return DraftModel(second, loader.second, common, costs, is_named=draft.is_named)


def _costs(
    draft: SecondModel, request: LocalRequest, loader: Loader, prompt: int, *, rearranges: bool
) -> Costs | None:
    """Return the costs; None if the second model is not named, and does not pay or has no measured speeds.

    Without measured speeds, a named model gets the costs of `lookup` and the ratio of both files' sizes.
    """
    first = _speed(request.layouts, loader.layout)
    second = _speed(draft.layouts, "rearranged" if rearranges else "in file")
    if first is None or second is None:
        if not draft.is_named:
            return None
        return Costs(lookup.COSTS, size_of(draft.path) / size_of(request.path))
    costs = Costs.of(first, second)
    answer = tokens_of_answer(request.tasks[0].max_tokens, is_choice=False)
    if draft.is_named or costs.seconds_won(first, answer) > second.load + prompt * second.prompt_token:
        return costs
    return None


def _measured_here(layouts: Layouts | None) -> Layouts | None:
    """Return `layouts` if they were measured with this processor and this build of llama.cpp, else None."""
    return None if layouts is None or layouts.kernels != kernels() else layouts


def _speed(layouts: Layouts | None, layout: Layout) -> Speed | None:
    measured = _measured_here(layouts)
    return None if measured is None else measured.of(layout)


def _load(
    draft: SecondModel, request: LocalRequest, loader: Loader, model: Model, prompt: int, *, rearranges: bool
) -> None:
    """Load the second model. Raises Failure: WEIGHTS if it cannot be loaded, FAILURE if memory is too small for both.

    A smaller model's KV cache is assumed to be as large as the first model's.
    """
    tokens = min(prompt + request.tasks[0].max_tokens, request.context or model.trained_context)
    size = size_of(draft.path) + 2 * tokens * memory.cache_bytes(model.handle)
    free = memory.available()
    if free is not None and size + loader.mapped > free:
        left = memory.as_text(max(0, free - loader.mapped))
        raise Failure(
            ExitStatus.FAILURE,
            f"{draft.name} needs {memory.as_text(size)} of memory to draft, but only {left} are free beside the"
            ' model; set local.draft to "off"',
        )
    loader.second.load(
        draft.path, gpu_layers=None if loader.gpu.layers else 0, context=tokens, rearranges=rearranges
    )


def _problem(model: Model, second: Model) -> str | None:
    """Return why `second` cannot draft for `model`; None if it can.

    All tokens must have the same texts. One vocabulary may have padding at its end, which occurs in no text.
    """
    sizes = model.vocabulary.size, second.vocabulary.size
    text = llama_cpp.llama_vocab_get_text
    for token in range(min(sizes)):
        if text(model.vocab, token) != text(second.vocab, token):
            return f"its vocabulary differs from the model's at token {token}"
    longer = model if sizes[0] > sizes[1] else second
    if not all(map(longer.is_special, range(min(sizes), max(sizes)))):
        return f"its vocabulary has {sizes[1]} tokens, the model's {sizes[0]}"
    if not (model.can_go_back and second.can_go_back):
        return "one of both models is recurrent, so that no draft can be taken back"
    return None


class DraftModel:
    """A second model that drafts for one sequence of the first."""

    def __init__(self, model: Model, loader: Loader, common: int, costs: Costs, *, is_named: bool) -> None:
        """`common` is the number of tokens that both vocabularies have."""
        self._model = model
        self._loader = loader
        self._common = common
        self._costs = costs
        self._is_named = is_named
        self._context: Any = None
        self.cache_bytes = memory.cache_bytes(model.handle)
        """For each token."""

    def drafter(
        self, prompt: list[int], before: Drafter | None, size: Size, threads: ThreadCount
    ) -> Drafter | None:
        """Return a drafter for the answer to `prompt`, which asks `before` first.

        Raises Failure if llama.cpp cannot create a context for a named model.
        """
        try:
            self._context = new_context(self._model, size, threads.value, self._loader)
        except Failure:
            if self._is_named:
                raise
            return before
        room = min(size.cells, self._model.trained_context)
        reader = _Reader(self._model, self._context, self._common, room, threads)
        return _ModelDrafter(prompt, before, reader, self._costs, is_named=self._is_named)

    def close(self) -> None:
        if self._context is not None:
            llama_cpp.llama_free(self._context)


class _ModelDrafter:
    """The drafts of one sequence."""

    def __init__(
        self, prompt: list[int], before: Drafter | None, reader: _Reader, costs: Costs, *, is_named: bool
    ) -> None:
        self._tokens = list(prompt)
        self._before = before
        self._reader = reader
        self._costs = costs
        self._is_named = is_named
        self._rate = Rate(_FIRST_RATE)
        self._drafted: list[int] = []

    def draft(self, forced: Sequence[int] = ()) -> list[int]:
        """Return the tokens that probably follow; none if a longer pass would not pay."""
        known = [] if self._before is None else self._before.draft(forced)
        if known:
            return known
        most = self._costs.length(self._rate.value, is_named=self._is_named)
        self._drafted = self._reader.continuation(self._tokens, most) if most else []
        return list(self._drafted)

    def add(self, tokens: Sequence[int]) -> None:
        """Add generated tokens, and learn how often drafted ones are right."""
        if self._before is not None:
            self._before.add(tokens)
        right = 0
        for drafted, token in itertools.zip_longest(self._drafted, tokens[: len(self._drafted)]):
            self._rate.learn(is_same=drafted == token)
            if drafted != token:
                break
            right += 1
        self._reader.keep(len(self._tokens) + right)
        self._tokens += tokens
        self._drafted = []


class _Reader:
    """The second model's context, which holds the beginning of the sequence and perhaps drafted tokens."""

    def __init__(self, model: Model, context: Any, common: int, room: int, threads: ThreadCount) -> None:
        self._model = model
        self._context = context
        self._memory = llama_cpp.llama_get_memory(context)
        self._common = common
        self._room = room
        self._threads = threads
        self._threads_set = threads.value
        self._meter = Meter(model.vocabulary.size)
        self._rows = Rows(context, model.vocabulary.size)
        self._held = 0

    def keep(self, count: int) -> None:
        """Forget all tokens but the first `count`."""
        self._held = min(self._held, count)

    def continuation(self, tokens: list[int], most: int) -> list[int]:
        """Return the model's greedy continuation of `tokens`: at most `most`, up to an unsure token or the end."""
        if len(tokens) + most > self._room:
            return []
        self.keep(len(tokens) - 1)
        llama_cpp.llama_memory_seq_rm(self._memory, 0, self._held, -1)
        drafted: list[int] = []
        pending = tokens[self._held :]
        while len(drafted) < most and max(pending) < self._common:
            self._read(pending)
            token = self._sure_token()
            if token is None:
                break
            drafted.append(token)
            pending = [token]
        return drafted

    def _read(self, tokens: list[int]) -> None:
        if self._threads_set != self._threads.value:
            self._threads_set = self._threads.value
            llama_cpp.llama_set_n_threads(self._context, self._threads_set, self._threads_set)
        for first in range(0, len(tokens), BATCH):
            part = tokens[first : first + BATCH]
            entries: Any = (llama_cpp.llama_token * len(part))(*part)
            status = llama_cpp.llama_decode(self._context, llama_cpp.llama_batch_get_one(entries, len(part)))
            if status != 0:
                raise Failure(ExitStatus.FAILURE, f"llama.cpp cannot decode a draft: status {status}")
            self._held += len(part)

    def _sure_token(self) -> int | None:
        """Return the likeliest next token; None if another token is nearly as likely, or the answer ends."""
        row = self._rows[-1]
        margin = self._meter.read(row).margin
        token = int(row.argmax())
        is_sure = margin is not None and margin >= _LEAST_MARGIN
        return token if is_sure and token < self._common and not self._model.ends(token) else None
