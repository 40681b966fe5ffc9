"""The decode loop: one or more sequences in parallel in one context.

A sequence joins as soon as a slot and enough cells are free (continuous batching), so that each step reads the
model's weights once for all sequences. The prompts' common prefix is decoded once and shared.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.choice_paths import Choices
from hybrid_cli.local.context import BATCH, Size, common_length
from hybrid_cli.local.logits import Logits, Meter, Reading, Rows
from hybrid_cli.local.model import Model
from hybrid_cli.local.passes import Share, passes
from hybrid_cli.local.protocol import TokenLogprobs, TokenSignal
from hybrid_cli.local.repetition import is_looping
from hybrid_cli.local.sampler import SampledToken
from hybrid_cli.local.sequence import Listener, SequenceJob
from hybrid_cli.local.threads import ThreadCount

_GROUPS = 8
"""Sequences join by eighths of the slots. Fewer at a time cost more passes, more leave slots empty for longer."""
_LOOP_CHECK_EVERY = 16  # tokens
_CLOSE = 0.6
"""Nats. llama.cpp's attention rounds otherwise in a pass with several tokens: the lead of the best token over the second
then differed by up to 0.59 (two models, texts of 650 tokens)."""


class Decoder:
    """Runs jobs in one context of the given size."""

    def __init__(
        self, model: Model, context: Any, size: Size, threads: ThreadCount, listener: Listener
    ) -> None:
        self._model = model
        self._context = context
        self._memory = llama_cpp.llama_get_memory(context)
        self._size = size
        self._threads = threads
        self._listener = listener
        self._meter = Meter(model.vocabulary.size)
        self._rows = Rows(context, model.vocabulary.size)
        self._batch = llama_cpp.llama_batch_init(BATCH, 0, 1)
        for place in range(BATCH):
            self._batch.n_seq_id[place] = 1
        self.prefix_slot = size.slots if size.several else 0
        """The sequence that holds the common prefix: an extra one if there are several jobs."""
        self.active: list[SequenceJob] = []
        self._free = set(range(size.slots))
        self._prefix: list[int] = []
        self._used = 0

    def close(self) -> None:
        llama_cpp.llama_batch_free(self._batch)

    def run(self, jobs: Sequence[SequenceJob], held: int = 0) -> int:
        """Run `jobs` to their end. `prefix_slot` already holds `held` tokens of the first job's prompt.

        Returns how many tokens of the first prompt `prefix_slot` holds at the end.
        """
        if self._size.several:
            prefix = jobs[0].prompt[: common_length([job.prompt for job in jobs])]
            self.share(prefix, held)
        else:
            self._prefix = jobs[0].prompt[:held]
        waiting = deque(jobs)
        while waiting or self.active:
            while waiting and self.takes(waiting[0], len(waiting)):
                self.admit(waiting.popleft())
            if not self.active:
                raise Failure(ExitStatus.FAILURE, "a sequence does not fit into its context")
            self.step()
        if not self._size.several:  # keep the prompt's tokens for the next request
            llama_cpp.llama_memory_seq_rm(self._memory, 0, len(jobs[0].prompt), -1)
        return len(self._prefix)

    def has_room(self, job: SequenceJob) -> bool:
        """Whether `job` can begin: a slot and enough cells for its worst case are free."""
        cells = self._used + job.cells - self._shared
        return bool(self._free) and (not self._size.unified or cells <= self._size.cells)

    def takes(self, job: SequenceJob, waiting: int) -> bool:
        """Whether `job`, the first of so many `waiting` ones, begins now.

        A few join together, so that one pass reads their prompts.
        """
        group = min(waiting, max(1, self._size.slots // _GROUPS))
        joins = len(self._free) >= group or any(one.left > 0 for one in self.active)
        return self.has_room(job) and joins

    def share(self, prefix: list[int], held: int = 0) -> None:
        """Decode the common prefix of all prompts. `prefix_slot` already holds `held` tokens of it."""
        if held > len(prefix):
            llama_cpp.llama_memory_seq_rm(self._memory, self.prefix_slot, len(prefix), -1)
        self.read(prefix, self.prefix_slot, min(held, len(prefix)))
        self._prefix, self._used = prefix, len(prefix)

    def read(self, tokens: list[int], slot: int, start: int = 0, saved: int = 0) -> None:
        """Decode `tokens` from `start` on into `slot`."""
        for first in range(start, len(tokens), BATCH):
            part = tokens[first : first + BATCH]
            self._decode([(token, first + place - saved, slot, False) for place, token in enumerate(part)])

    def admit(self, job: SequenceJob) -> None:
        """Give `job` a slot, and delete an earlier job's tokens there.

        They are deleted no sooner, because llama.cpp would fill free cells in the middle out of order, and
        the order of cells is the order of floating-point additions.
        """
        if not self._size.unified:
            self._close_gaps()  # prompts in slots that follow each other are read together
        job.slot, job.position = min(self._free), self._reusable(job)
        self._free.remove(job.slot)
        if self._size.several:
            llama_cpp.llama_memory_seq_rm(self._memory, job.slot, -1, -1)
            if job.position:
                llama_cpp.llama_memory_seq_cp(self._memory, self.prefix_slot, job.slot, -1, -1)
        elif not llama_cpp.llama_memory_seq_rm(self._memory, job.slot, job.position, -1):
            llama_cpp.llama_memory_seq_rm(self._memory, job.slot, -1, -1)  # this kind of memory cannot be cut
            job.position = 0
        self.active.append(job)
        self._used += job.cells - self._shared
        if not self._size.several:
            self._prefix = job.prompt  # for the next one

    def _reusable(self, job: SequenceJob) -> int:
        """Tokens of the prompt that are decoded already; of several sequences the shared prefix or none."""
        alike = common_length([job.prompt, [*self._prefix, -1]])
        return alike if not self._size.several or alike == self._shared else 0

    def release(self, job: SequenceJob) -> None:
        """Remove `job`, finished or not, and free its slot."""
        self.active.remove(job)
        self._used -= job.cells - self._shared
        self._free.add(job.slot)

    def _close_gaps(self) -> None:
        """Move sequences into lower free slots.

        If each sequence has its own buffer, llama.cpp decodes only adjacent slots together: a gap would cost
        another pass over the weights, a move costs a copy of one buffer. A sequence alone has no gap beside it.
        """
        while self._free and len(self.active) > 1:
            last, gap = max(self.active, key=lambda job: job.slot), min(self._free)
            if last.slot < gap:
                return
            self._move(last, gap)

    def _move(self, job: SequenceJob, slot: int) -> None:
        """Move the sequence of `job` into the free `slot`."""
        llama_cpp.llama_memory_seq_rm(self._memory, slot, -1, -1)
        llama_cpp.llama_memory_seq_cp(self._memory, job.slot, slot, -1, -1)
        self._free.remove(slot)
        self._free.add(job.slot)
        job.slot = slot

    @property
    def _shared(self) -> int:
        """Number of tokens that are stored once for all sequences."""
        return len(self._prefix) if self._size.several else 0

    def step(self) -> None:
        """Decode one token of each running sequence, with its draft, and as many prompt tokens as fit into a batch."""
        if not self._size.unified:
            self._close_gaps()
        self._draft()
        for job in self.active:
            self._read_images(job)
        for shares in passes(self.active, self._size, prefix=self._prefix, can_cut=self._model.can_go_back):
            self._pass(shares)

    def _pass(self, shares: list[Share]) -> None:
        """Decode the `shares` together, and extend the sequences whose last token is among them."""
        entries: list[tuple[int, int, int, bool]] = []
        due: list[tuple[SequenceJob, range]] = []
        for job, tokens, padding in shares:
            whole = job.position + len(tokens) >= len(job.prompt)
            first = len(tokens) - 1 - len(job.draft) if whole else len(tokens)
            if tokens and whole:
                due.append((job, range(len(entries) + first, len(entries) + len(tokens))))
            entries += [
                (token, job.position + place - job.saved, job.slot, first <= place < len(tokens))
                for place, token in enumerate([*tokens, *tokens[-1:] * padding])
            ]
            job.position += len(tokens)
        self._decode(entries)
        for job, _, padding in shares:
            if padding:
                llama_cpp.llama_memory_seq_rm(self._memory, job.slot, job.position - job.saved, -1)
        for job, rows in due:
            if not job.produced:
                self._listener.prefilled(job)
            reason = self._verify(job, rows)
            if reason is not None:
                self._listener.finished(job, reason, job.stream.finish())
                self.release(job)

    def _read_images(self, job: SequenceJob) -> None:
        """Decode the prompt of `job` up to the end of its last image. Other sequences wait meanwhile."""
        images, job.images = job.images, None
        for image in () if images is None else images.places:
            self.read(job.prompt[: image.start], job.slot, job.position, job.saved)
            image.decode(self._context, image.start - job.saved, job.slot)
            job.position = image.start + image.tokens
            job.saved += image.tokens - image.positions

    def _draft(self) -> None:
        """Draft the next tokens of a sequence that is alone; beside others each draft would be a pass of its own."""
        for job in self.active:
            job.draft, was_close, job.is_close = [], job.is_close, False
        if len(self.active) == 1 and (job := self.active[0]).produced and job.drafter and not was_close:
            forced = job.forced.draft(job.produced) if job.forced and job.stream.answering else []
            draft = job.drafter.draft(forced)[: job.max_tokens - len(job.produced) - 1]
            # Nothing follows the end of an answer, and a text in the prompt ends with the same token.
            job.draft = list(itertools.takewhile(lambda token: not self._model.ends(token), draft))

    def _verify(self, job: SequenceJob, rows: range) -> str | None:
        """Extend `job` by the output rows of its last token and its draft, as far as the draft is right.

        A close choice is left to a pass with one token, which decides as if nothing had been drafted. Returns as
        `_extend`.
        """
        draft, before, reason = job.draft, len(job.produced), None
        for row, expected in zip(rows, [*draft, None], strict=True):
            job.is_close = bool(draft) and self._is_close(job, row)
            if job.is_close:
                break
            count = len(job.produced)
            reason = self._extend(job, row)
            if reason is not None or job.produced[count:] != [expected]:
                break
        wrong = len(draft) - rows.index(row)
        if wrong or job.is_close:
            # Forget what was wrong, and the token before a close choice, which is decoded again.
            job.position -= wrong + job.is_close
            llama_cpp.llama_memory_seq_rm(self._memory, job.slot, job.position, -1)
        if job.drafter is not None:
            job.drafter.add(job.produced[before:])
        return reason

    def _is_close(self, job: SequenceJob, row: int) -> bool:
        """Return whether the greedy choice of an output row is a close one."""
        if not job.sampler.is_greedy:
            return False
        logits = self._rows[row]
        self._meter.read(logits)
        lead = job.sampler.lead(logits, self._meter, job.produced, constrain=job.stream.answering)
        return lead < _CLOSE

    def _extend(self, job: SequenceJob, row: int) -> str | None:
        """Sample and report the next token of `job`; returns the finish reason, or None to continue."""
        logits = self._rows[row]
        closing = job.budget.forced_token(job.stream)
        if closing is None and job.choices is not None and job.stream.answering:
            return self._narrow(job, job.choices, logits)
        reading = self._meter.read(logits)
        if closing is not None:
            choice = SampledToken(closing, forced=True)
        else:
            choice = job.sampler.choose(logits, self._meter, constrain=job.stream.answering)
            if self._model.ends(choice.token):
                instead = job.budget.token_for_end(job.stream)
                if instead is None:
                    return "stop"
                choice = SampledToken(instead, forced=True)
        job.produced.append(choice.token)
        split, kind = job.stream.take(self._model.piece(choice.token), forced=choice.forced)
        signal = _signal(reading, float(logits[choice.token]), choice.logprob, kind)
        logprobs = None
        if job.top_logprobs is not None and kind != "hidden":
            logprobs = self._logprobs(choice.token, job.top_logprobs, logits, reading)
        self._listener.token(job, split, signal, logprobs)
        if job.stream.stopped:
            return "stop"
        count = len(job.produced)
        if count % _LOOP_CHECK_EVERY == 0 and is_looping(job.produced):
            return "loop"
        return "length" if count >= job.max_tokens else None

    def _logprobs(self, token: int, count: int, logits: Logits, reading: Reading) -> TokenLogprobs:
        """Return the log-probability of `token`, and the `count` likeliest tokens of the row that was read last."""
        piece, normalizer = self._model.piece, reading.log_normalizer
        if normalizer is None:
            return TokenLogprobs(piece(token), None, [])
        ids = map(int, self._meter.highest(count) if count else ())
        likeliest = sorted(ids, key=lambda one: -logits[one])[:count]
        top = [(piece(one), min(0.0, float(logits[one]) - normalizer)) for one in likeliest]
        return TokenLogprobs(piece(token), min(0.0, float(logits[token]) - normalizer), top)

    def _narrow(self, job: SequenceJob, choices: Choices, logits: Logits) -> str | None:
        """Take one step towards a choice; a text that is certain is not decoded. Returns as `_extend`."""
        step = choices.narrow(logits)
        job.produced.append(step.token)
        if step.text is None:
            return None
        split, _ = job.stream.take(step.text, forced=False)
        self._listener.token(job, split, choices.signal(), None)
        return "stop"

    def _decode(self, entries: Sequence[tuple[int, int, int, bool]]) -> None:
        batch = self._batch
        batch.n_tokens = len(entries)
        for place, (token, position, slot, wanted) in enumerate(entries):
            batch.token[place] = token
            batch.pos[place] = position
            batch.seq_id[place][0] = slot
            batch.logits[place] = wanted
        if self._threads.update():
            llama_cpp.llama_set_n_threads(self._context, self._threads.value, self._threads.value)
        status = llama_cpp.llama_decode(self._context, batch)
        if status != 0:
            raise Failure(ExitStatus.FAILURE, f"llama.cpp cannot decode: status {status}")


def _signal(reading: Reading, logit: float, share: float | None, kind: Any) -> TokenSignal:
    """Build a token's signal. Under a grammar its log-probability is its `share` among the allowed tokens."""
    logprob = None if reading.log_normalizer is None else min(0.0, logit - reading.log_normalizer)
    logprob = logprob if share is None or logprob is None else share
    return TokenSignal(logprob, reading.margin, reading.entropy, kind)
