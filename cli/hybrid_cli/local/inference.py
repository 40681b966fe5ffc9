"""Answer requests one after another, each of one or more sequences. Runs only in the guarded engine process."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local import memory
from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.choice_paths import Choices
from hybrid_cli.local.context import Size, affordable_slots, common_length, new_context
from hybrid_cli.local.decode import Decoder
from hybrid_cli.local.draft_model import DraftModel, load_draft_model
from hybrid_cli.local.forced_text import ForcedText
from hybrid_cli.local.grammar import grammar_of
from hybrid_cli.local.grammar_filter import GrammarError
from hybrid_cli.local.loading import Loader
from hybrid_cli.local.lookup import Lookup
from hybrid_cli.local.model import Model
from hybrid_cli.local.prefix_cache import MIN_HEAD, PrefixCache
from hybrid_cli.local.prompt_images import ReadPrompt, read_prompt
from hybrid_cli.local.protocol import (
    Done,
    Event,
    Finished,
    Loaded,
    LocalRequest,
    Task,
    TokenLogprobs,
    Tokens,
    TokenSignal,
)
from hybrid_cli.local.sampler import Sampler
from hybrid_cli.local.sequence import Listener, SequenceJob
from hybrid_cli.local.stream import AnswerStream
from hybrid_cli.local.thinking import Split, splitter_for
from hybrid_cli.local.thinking_control import ThinkingBudget, budget_of
from hybrid_cli.local.threads import ThreadCount

Emit = Callable[[Event], None]

_FLUSH_SECONDS = 0.05
"""Minimum time between events with tokens. Each event wakes the parent, which takes a core from the decoding
threads; users do not notice this delay."""


class Inference:
    """Generates answers with the loader's model."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._model: Model | None = None
        self._path = ""

    def answer(self, request: LocalRequest, emit: Emit, threads: ThreadCount | None = None) -> None:
        """Generate the request's sequences and emit their events.

        Raises Failure: USAGE if the schema cannot become a grammar, or the model that the profile names cannot draft;
        WEIGHTS if the model cannot be loaded or does not fit in memory.
        """
        model = self._load(request)
        prompts = [read_prompt(task, model, self._loader, request.projector) for task in request.tasks]
        tokens = [prompt.tokens for prompt in prompts]
        second = load_draft_model(request, self._loader, model, len(tokens[0]))
        seconds = self._loader.take_load_seconds()
        if second is not None:
            seconds += self._loader.second.take_load_seconds()
        emit(Loaded(seconds, sum(map(len, tokens)), model.template_state, *self._loader.gpu))
        size = self._size(model, second, request, tokens)
        jobs = []
        try:
            for number, (task, prompt) in enumerate(zip(request.tasks, prompts, strict=True)):
                if fits(prompt.tokens, task, size.longest):
                    jobs.append(new_job(model, number, task, prompt, size.longest))
                else:
                    emit(Finished(number, "overflow", tokens_in=len(prompt.tokens), tokens_out=0))
            if threads is None or request.threads is not None:
                threads = ThreadCount(request.threads)
            if second is not None and jobs:
                jobs[0].drafter = second.drafter(jobs[0].prompt, jobs[0].drafter, size, threads)
            if jobs:
                self._decode(model, request, jobs, size, threads, emit)
            else:
                emit(Done(size.longest))
        finally:
            for job in jobs:
                job.sampler.close()
            if second is not None:
                second.close()

    def _size(
        self, model: Model, second: DraftModel | None, request: LocalRequest, prompts: list[list[int]]
    ) -> Size:
        """Return the size of the context for the prompts that fit. A prompt that is too long does not count."""
        limit = min(request.context or model.trained_context, model.trained_context)
        tasks = list(zip(prompts, request.tasks, strict=True))
        tasks = [one for one in tasks if fits(*one, limit)] or tasks
        prompts, answers = [prompt for prompt, _ in tasks], [task.max_tokens for _, task in tasks]
        free = memory.available()
        each = memory.cache_bytes(model.handle) + (0 if second is None else second.cache_bytes)
        room = None if free is None else free // max(each, 1)
        longest = max(min(len(prompt) + most, limit) for prompt, most in zip(prompts, answers, strict=True))
        slots = min(self._loader.slots, affordable_slots(model, longest))
        return Size.for_tasks(prompts, answers, limit, room, slots)

    def _load(self, request: LocalRequest) -> Model:
        self._loader.load_for(request)
        if self._model is None or self._path != request.path:  # a later model may get the same handle
            self._model, self._path = Model(self._loader.handle), request.path
        return self._model

    def _decode(
        self,
        model: Model,
        request: LocalRequest,
        jobs: list[SequenceJob],
        size: Size,
        threads: ThreadCount,
        emit: Emit,
    ) -> None:
        """Run `jobs` in a new context. Emits `Done` before freeing the context, which takes time."""
        threads.update()
        context = new_context(model, size, threads.value, self._loader)
        # The cache finds prompts by their tokens, and images have none.
        cache = (
            None
            if any(job.images for job in jobs)
            else PrefixCache.of(request, model, context, self._loader.layout)
        )
        try:
            decoder = Decoder(model, context, size, threads, EventWriter(emit))
            try:
                if cache is None:
                    cached = 0
                    decoder.run(jobs)
                elif request.cached_head is None:
                    cached = cache.load(jobs[0].prompt, decoder.prefix_slot)
                    kept = decoder.run(jobs, cached)
                    cache.save(jobs[0].prompt[:kept], decoder.prefix_slot, reused=cached)
                else:
                    head = _head_of(jobs[0].prompt, request.cached_head, request.tasks[0], model)
                    cached = _read_head(head, cache, decoder)
                    decoder.run(jobs, len(head))
                emit(Done(size.longest, cached=cached))
            finally:
                decoder.close()
        finally:
            llama_cpp.llama_free(context)


def fits(prompt: list[int], task: Task, longest: int) -> bool:
    """Whether a sequence of `longest` tokens has room for `prompt` and an answer."""
    return len(prompt) + min(task.room, longest // 2) < longest


def _head_of(prompt: list[int], beginning: str, task: Task, model: Model) -> list[int]:
    """Return the tokens of `prompt` before the user's text, which follows `beginning` in the last message.

    [] if they are too few to be cached.
    """
    messages = [*task.messages[:-1], {**task.messages[-1], "content": beginning}]
    without = model.tokens(model.prompt(msgspec.structs.replace(task, messages=messages)))
    length = common_length([prompt, without])
    return prompt[:length] if length >= MIN_HEAD else []


def _read_head(head: list[int], cache: PrefixCache, decoder: Decoder) -> int:
    """Load or decode the head, and return how many tokens were loaded.

    It is decoded by itself, and saved then: so a run with the entry calculates exactly as the run that wrote it.
    """
    if not head or cache.load_head(head, decoder.prefix_slot):
        return len(head)
    decoder.read(head, decoder.prefix_slot)
    cache.save_head(head, decoder.prefix_slot)
    return 0


def new_job(model: Model, number: int, task: Task, prompt: ReadPrompt, longest: int) -> SequenceJob:
    """Return the job for `task`, limited to `longest` tokens with its prompt. Raises Failure (USAGE)."""
    text, tokens, images = prompt
    grammar = None if task.schema is None else grammar_of(task.schema)
    try:
        sampler = Sampler(task, text, model.vocabulary, grammar, model.piece)
    except GrammarError:
        raise Failure(
            ExitStatus.USAGE, "llama.cpp cannot read the schema's grammar; simplify the schema"
        ) from None
    stream = AnswerStream(splitter_for(model.style, text, has_tools=bool(task.tools)), task.stop)
    choices = Choices(model, task.choices) if task.choices else None
    max_tokens = min(task.max_tokens, longest - len(tokens))
    may_draft = task.drafts and choices is None and images is None and model.can_go_back
    lookup = Lookup(tokens) if may_draft else None
    forced = None if sampler.grammar is None else ForcedText(model, sampler.grammar)
    budget = ThinkingBudget(budget_of(task.thinking), model.tokens_within)
    return SequenceJob(
        number,
        tokens,
        max_tokens,
        sampler,
        stream,
        budget,
        choices=choices,
        drafter=lookup,
        forced=forced,
        top_logprobs=task.top_logprobs,
        images=images,
    )


@dataclass
class _Tokens:
    """Tokens of one sequence that were not emitted yet."""

    text: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    signals: list[TokenSignal] = field(default_factory=list)
    logprobs: list[TokenLogprobs] = field(default_factory=list)

    def add(self, split: Split) -> None:
        self.text.append(split.answer)
        self.thinking.append(split.thinking)


class EventWriter(Listener):
    """Emits tokens in groups, at most one event every `seconds`."""

    def __init__(self, emit: Emit, seconds: float = _FLUSH_SECONDS) -> None:
        self._emit = emit
        self._seconds = seconds
        self._written = 0.0
        self._waiting: dict[int, _Tokens] = defaultdict(_Tokens)

    def token(
        self, job: SequenceJob, split: Split, signal: TokenSignal, logprobs: TokenLogprobs | None
    ) -> None:
        waiting = self._waiting[job.number]
        waiting.add(split)
        waiting.signals.append(signal)
        if logprobs is not None:
            waiting.logprobs.append(logprobs)
        now = time.monotonic()
        if now - self._written >= self._seconds:
            self._written = now
            for number in list(self._waiting):
                self._flush(number)

    def finished(self, job: SequenceJob, reason: str, rest: Split) -> None:
        self._waiting[job.number].add(rest)
        self._flush(job.number)
        self._emit(Finished(job.number, reason, tokens_in=len(job.prompt), tokens_out=len(job.produced)))

    def drop(self, job: SequenceJob) -> None:
        """Discard the tokens of the cancelled `job` that were not emitted yet."""
        self._waiting.pop(job.number, None)

    def _flush(self, number: int) -> None:
        waiting = self._waiting.pop(number)
        text, thinking = "".join(waiting.text), "".join(waiting.thinking)
        self._emit(Tokens(number, text, thinking, waiting.signals, waiting.logprobs))
