"""Which tokens a grammar allows next, without asking llama.cpp's grammar about the whole vocabulary.

For 150,000 tokens that takes 10 to 20 ms, nearly as long as decoding a token. Two facts spare most of it. Inside a text
nearly all tokens are allowed, so the most likely ones tell enough. Elsewhere few characters can follow, so only the
tokens that begin with them are asked about.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.logits import Logits, Meter, Tokens

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama_token_data
_LIKELY = 512
_NEGLIGIBLE = 5e-3
"""What the tokens that are not asked about may add to the probability of the allowed ones."""
_CALLS_BEFORE_TABLE = 8
"""The table takes as long as about so many questions about the whole vocabulary."""
_LONGEST = 1024  # bytes of a token
_BYTES = 256


class GrammarError(Exception):
    """llama.cpp cannot parse the grammar."""


class FirstBytes:
    """The tokens of a vocabulary by the first byte of their text. The table is built once it pays."""

    def __init__(self, vocab: Any) -> None:
        self._vocab = vocab
        self._size: int = llama_cpp.llama_vocab_n_tokens(vocab)
        self._calls = 0
        self._table: Tokens | None = None
        """The first byte of each token; 0: always a candidate, -1: without text."""
        self._probes: Tokens = np.empty(0, dtype=np.intp)
        """For each first byte the token that is this byte alone; it is allowed if any other of that byte is."""

    def candidates(self, grammar: Grammar, logits: Logits) -> Tokens:
        """Return tokens among which are all that `grammar` allows, in ascending order."""
        self._calls += 1
        if self._table is None and self._calls > _CALLS_BEFORE_TABLE:
            self._table = self._build()
        if self._table is None:
            return np.arange(self._size, dtype=np.intp)
        can_follow = np.zeros(_BYTES + 1, dtype=bool)  # the last one is for -1
        can_follow[0] = True
        can_follow[self._table[grammar.permitted(self._probes, logits)]] = True
        return np.flatnonzero(can_follow[self._table])

    def _build(self) -> Tokens:
        first, lengths = self._first_bytes()
        ends = [token for token in range(self._size) if llama_cpp.llama_vocab_is_eog(self._vocab, token)]
        first[ends], lengths[ends] = 0, 0  # a grammar goes by what they are, not by their text
        alone = np.flatnonzero(lengths == 1)
        probed, places = np.unique(first[alone], return_index=True)
        self._probes = np.sort(alone[places])
        first[(first > 0) & ~np.isin(first, probed)] = 0
        return first

    def _first_bytes(self) -> tuple[Tokens, Tokens]:
        """Return the first byte and the length of each token's text, control tokens' too.

        They are -1 and 0 without a text, 0 and 0 for a text that is too long to read.
        """
        buffer = ctypes.create_string_buffer(_LONGEST)
        text = memoryview(buffer).cast("B")
        piece, vocab = llama_cpp.llama_token_to_piece, self._vocab
        lengths = np.zeros(self._size, dtype=np.intp)
        first = np.full(self._size, -1, dtype=np.intp)
        for token in range(self._size):
            length = piece(vocab, token, buffer, _LONGEST, 0, True)
            if length > 0:
                first[token], lengths[token] = text[0], length
            elif length < 0:  # the buffer is too small
                first[token] = 0
        return first, lengths


class Grammar:
    """llama.cpp's grammar of one sequence. It holds native memory until `close`."""

    def __init__(self, vocab: Any, text: str, first_bytes: FirstBytes) -> None:
        """Raises GrammarError if llama.cpp cannot parse `text`."""
        self._first_bytes = first_bytes
        self._sampler = llama_cpp.llama_sampler_init_grammar(vocab, text.encode(), b"root")
        if not self._sampler:
            raise GrammarError

    def allowed(self, logits: Logits, meter: Meter, enough: int) -> Tokens:
        """Return the tokens that are allowed next, in ascending order; `meter` has read `logits`.

        Unlikely ones may be missing if at least `enough` are returned.
        """
        top = meter.highest(_LIKELY)
        likely = self.permitted(top, logits)
        if len(top) == len(logits):
            return likely
        if len(likely) >= enough and 1.0 - meter.share(top) <= _NEGLIGIBLE * meter.share(likely):
            return likely
        return self.permitted(self._first_bytes.candidates(self, logits), logits)

    def permitted(self, tokens: Tokens, logits: Logits) -> Tokens:
        """Return those of `tokens` that are allowed next. A token with a logit of minus infinity is not."""
        candidates, array = candidate_array(tokens, logits)
        llama_cpp.llama_sampler_apply(self._sampler, ctypes.byref(array))
        permitted: Tokens = tokens[candidates["logit"] > -np.inf]
        return permitted

    def accept(self, token: int) -> None:
        """Go on to the state after `token`."""
        llama_cpp.llama_sampler_accept(self._sampler, token)

    def close(self) -> None:
        llama_cpp.llama_sampler_free(self._sampler)


def candidate_array(tokens: Tokens, logits: Logits) -> tuple[Any, Any]:
    """Return `tokens` with their logits, and llama.cpp's view of the same memory."""
    candidates = np.empty(len(tokens), dtype=_CANDIDATE)
    candidates["id"] = tokens
    candidates["logit"] = logits[tokens]
    pointer = candidates.ctypes.data_as(llama_cpp.llama_token_data_p)
    return candidates, llama_cpp.llama_token_data_array(pointer, len(tokens), -1, False)
