"""Which tokens a grammar allows next, without asking llama.cpp's grammar about the whole vocabulary.

For 150,000 tokens that takes 10 to 20 ms, nearly as long as decoding a token. Two facts spare most of it. Inside a text
nearly all tokens are allowed, so the most likely ones tell enough. Elsewhere few characters can follow, so only the
tokens that begin with them are asked about.
"""

from __future__ import annotations

from copy import copy
from functools import cached_property
from typing import Any

import numpy as np

from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.candidates import permitted
from hybrid_cli.local.logits import Logits, Meter, Tokens
from hybrid_cli.local.token_starts import TokenStarts

_LIKELY = (512, 4096, 16384)
"""How many tokens are asked about first. An unsure model has more likely ones."""
_NEGLIGIBLE = 5e-3
"""What the tokens that are not asked about may add to the probability of the allowed ones."""
_FEW = 1000
"""Tokens that one question is about in as much time as it takes to find which of them can be left out."""


class GrammarError(Exception):
    """llama.cpp cannot parse the grammar."""


class Vocabulary:
    """A vocabulary, and how its tokens begin, once that is asked for."""

    def __init__(self, vocab: Any) -> None:
        self.vocab = vocab
        self.size: int = llama_cpp.llama_vocab_n_tokens(vocab)

    @cached_property
    def starts(self) -> TokenStarts:
        return TokenStarts(self.vocab)


class Grammar:
    """llama.cpp's grammar of one sequence. It holds native memory until `close`."""

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        """Raises GrammarError if llama.cpp cannot parse `text`."""
        self._vocabulary = vocabulary
        self._sampler = llama_cpp.llama_sampler_init_grammar(vocabulary.vocab, text.encode(), b"root")
        if not self._sampler:
            raise GrammarError

    def copy(self) -> Grammar:
        """Return a grammar in the same state. The caller closes it."""
        copied = copy(self)
        copied._sampler = llama_cpp.llama_sampler_clone(self._sampler)
        return copied

    def allowed(self, logits: Logits, meter: Meter, enough: int) -> Tokens:
        """Return the tokens that are allowed next, in ascending order; `meter` has read `logits`.

        Unlikely ones may be missing if at least `enough` are returned.
        """
        for count in _LIKELY:
            top = meter.highest(count)
            likely = self.permitted(top, logits)
            if len(top) == len(logits):
                return likely
            if len(likely) < enough:
                break
            if 1.0 - meter.share(top) <= _NEGLIGIBLE * meter.share(likely):
                return likely
        return self.permitted(self._candidates(), logits)

    def _candidates(self) -> Tokens:
        """Return tokens among which are all allowed ones, in ascending order.

        Where many tokens begin with a byte that can follow, as with a blank, the byte after it tells more.
        """
        starts = self._vocabulary.starts
        parts = [starts.always()]
        for first, probe in self.next_bytes().items():
            if starts.count(first) <= _FEW:
                parts.append(starts.beginning(first))
                continue
            after = self.copy()
            try:
                after.accept(probe)
                seconds = after.next_bytes()
            finally:
                after.close()
            parts += starts.beginning_twice(first, seconds)
        return np.sort(np.concatenate(parts))

    def next_bytes(self) -> dict[int, int]:
        """Return the bytes that can follow, as far as they are tokens alone, each with that token."""
        starts = self._vocabulary.starts
        can_follow = np.isin(starts.probes, self.permitted(starts.probes, starts.even))
        return dict(zip(starts.bytes[can_follow].tolist(), starts.probes[can_follow].tolist(), strict=True))

    def permitted(self, tokens: Tokens, logits: Logits) -> Tokens:
        """Return those of `tokens` that are allowed next. A token with a logit of minus infinity is not."""
        return permitted(self._sampler, tokens, logits)

    def accept(self, token: int) -> None:
        """Go on to the state after `token`."""
        llama_cpp.llama_sampler_accept(self._sampler, token)

    def close(self) -> None:
        llama_cpp.llama_sampler_free(self._sampler)
