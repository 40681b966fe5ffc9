"""Choice of the next token: llama.cpp's grammar, then its sampler chain.

The chain loops over all its candidates, which takes as long for a whole vocabulary as all signals together.
So it gets only the candidates that it could choose; the result is the same.
"""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.candidates import candidate_array
from hybrid_cli.local.grammar_filter import Grammar, Vocabulary
from hybrid_cli.local.logits import Logits, Meter, Tokens
from hybrid_cli.local.protocol import Task

_PENALTY_WINDOW = 64  # tokens, llama.cpp's default
_TOP_K, _TOP_P, _MIN_P = 40, 0.95, 0.05  # its usual chain, with its usual values
_MAX_COMPARED = 64  # allowed tokens; more never begin one and the same text


class SampledToken(NamedTuple):
    token: int
    forced: bool = False
    """Whether the grammar allowed only one text, so that the model had no choice."""
    logprob: float | None = None
    """Under a grammar: the log-probability of the chosen text among those that the grammar allowed."""


class Sampler:
    """The sampler of one sequence. It holds native memory until `close`."""

    def __init__(
        self,
        task: Task,
        prompt: str,
        vocabulary: Vocabulary,
        grammar: str | None,
        piece: Callable[[int], bytes],
    ) -> None:
        """Raises GrammarError if llama.cpp cannot parse `grammar`."""
        self._piece = piece
        self.grammar = None if grammar is None else Grammar(grammar, vocabulary)
        self._chain = _new_chain(vocabulary.size, task, own_seed(task.seed, prompt, task.sample))
        self.is_greedy = task.temperature == 0
        self._penalty = task.repeat_penalty
        wanted = 1 if self.is_greedy else _TOP_K
        # The penalty may lower as many of the highest logits as its window has tokens.
        self._candidates = wanted if task.repeat_penalty == 1 else wanted + _PENALTY_WINDOW

    def choose(self, logits: Logits, meter: Meter, *, constrain: bool) -> SampledToken:
        """The next token for the row `logits`, which `meter` has read; `constrain` applies the grammar.

        Raises Failure (WEIGHTS) if no token is allowed, because the logits are no numbers.
        """
        if self.grammar is None or not constrain:
            return SampledToken(self._sample(meter.highest(self._candidates), logits))
        allowed = self.grammar.allowed(logits, meter, max(self._candidates, _MAX_COMPARED + 1))
        if not len(allowed):
            raise Failure(ExitStatus.WEIGHTS, "the model's output is no numbers; its file may be damaged")
        token = self._sample(allowed, logits)
        self.grammar.accept(token)
        return SampledToken(token, self._begin_one_text(allowed), self._share(token, allowed, logits))

    def lead(self, logits: Logits, meter: Meter, produced: Sequence[int], *, constrain: bool) -> float:
        """Return how far the best token of the row is ahead of the second, in nats, after the penalty on what repeats.

        `constrain` counts only what the grammar allows. Of a single such token among the likely ones it is known how far
        it is ahead of the unlikely ones.
        """
        tokens = meter.highest(self._candidates + 1)
        least = float(logits[tokens].min())
        if self.grammar is not None and constrain:
            tokens = self.grammar.permitted(tokens, logits)
        values = logits[tokens].astype(np.float64)
        if self._penalty != 1:
            repeated = np.isin(tokens, produced[-_PENALTY_WINDOW:])
            values[repeated] *= np.where(values[repeated] > 0, 1 / self._penalty, self._penalty)
        second, best = np.sort([least, least, *values])[-2:]
        return float(best - second)

    def _sample(self, tokens: Tokens, logits: Logits) -> int:
        """Choose one of `tokens`, which are in ascending order, by the chain."""
        _candidates, array = candidate_array(tokens, logits)
        llama_cpp.llama_sampler_apply(self._chain, ctypes.byref(array))
        token: int = array.data[array.selected].id
        llama_cpp.llama_sampler_accept(self._chain, token)
        return token

    def _share(self, token: int, allowed: Tokens, logits: Logits) -> float | None:
        """Return the log-probability of `token`'s text among the `allowed` tokens, from raw logits.

        Tokens that begin the same text count together, as in `_begin_one_text`.
        """
        row = logits[allowed].astype(np.float64)
        weights = np.exp(row - row.max())
        total = float(weights.sum())
        if not math.isfinite(total):
            return None
        if len(allowed) > _MAX_COMPARED:
            same = allowed == token
        else:
            chosen = self._piece(token).strip()
            pieces = [self._piece(int(one)).strip() for one in allowed]
            same = np.array([one.startswith(chosen) or chosen.startswith(one) for one in pieces])
        return min(0.0, math.log(float(weights[same].sum()) / total))

    def _begin_one_text(self, allowed: Any) -> bool:
        """Whether all allowed tokens begin one and the same text, apart from white space.

        One text can be split into tokens in many ways (`{`, `{"`, `{"na`): the choice among them says nothing
        about the model's certainty.
        """
        if len(allowed) > _MAX_COMPARED:
            return False
        pieces = sorted((self._piece(int(token)).strip() for token in allowed), key=len)
        return all(long.startswith(short) for short, long in itertools.pairwise(pieces))

    def close(self) -> None:
        llama_cpp.llama_sampler_free(self._chain)
        if self.grammar is not None:
            self.grammar.close()


def own_seed(seed: int, prompt: str, sample: int) -> int:
    """Return the generator's seed for one sample of one prompt, 0 to 2^31 - 1.

    A generator's first draw depends on its seed alone. With one seed for all prompts, all of them would draw from the
    same place in their distributions.
    """
    digest = hashlib.sha256(f"{seed}\0{sample}\0{prompt}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _new_chain(vocabulary: int, task: Task, seed: int) -> Any:
    """The sampler chain: greedy at temperature 0, else llama.cpp's usual chain."""
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    parts = []
    if task.repeat_penalty != 1:
        parts.append(
            llama_cpp.llama_sampler_init_penalties(vocabulary, _PENALTY_WINDOW, task.repeat_penalty, 0.0, 0.0)
        )
    if task.temperature == 0:
        parts.append(llama_cpp.llama_sampler_init_greedy())
    else:
        parts += [
            llama_cpp.llama_sampler_init_top_k(_TOP_K),
            llama_cpp.llama_sampler_init_top_p(_TOP_P, 1),
            llama_cpp.llama_sampler_init_min_p(_MIN_P, 1),
            llama_cpp.llama_sampler_init_temp(task.temperature),
            llama_cpp.llama_sampler_init_dist(seed),
        ]
    for part in parts:
        llama_cpp.llama_sampler_chain_add(chain, part)
    return chain
