"""The tokens of a vocabulary by the first two bytes of their text."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any

import numpy as np

from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.candidates import permitted
from hybrid_cli.local.logits import Logits, Tokens

_BYTES = 256
_SECONDS = 1 + _BYTES
"""Values of the second place: 0 for a text of one byte, else the byte and 1."""
_NO_TEXT = -1
_ALWAYS = _BYTES * _SECONDS
"""The key of tokens that are always candidates."""
_LONGEST = 1024  # bytes of a token
_USUAL = 16  # bytes of two tokens
_CLEANED = b" ."
"""What many vocabularies have, and no text that llama.cpp cleaned blanks from."""


class TokenStarts:
    """The table. Building it takes as long as two questions to a grammar about the whole vocabulary."""

    def __init__(self, vocab: Any) -> None:
        size: int = llama_cpp.llama_vocab_n_tokens(vocab)
        starts, lengths = _read_at_once(vocab, size) or _read_each(vocab, size)
        keys = starts[:, 0].astype(np.intp) * _SECONDS + np.where(
            lengths > 1, starts[:, 1].astype(np.intp) + 1, 0
        )
        keys[lengths == 0] = _NO_TEXT
        alone = np.flatnonzero(lengths == 1)
        self.bytes, places = np.unique(starts[alone, 0].astype(np.intp), return_index=True)
        """The bytes that are a token alone, in ascending order. Such a token is allowed if any other of that byte is."""
        self.probes: Tokens = alone[places]
        """Those tokens."""
        self.even: Logits = np.zeros(size, dtype=np.float32)
        """A row of logits that are all the same."""
        others = np.setdiff1d(np.arange(_BYTES), self.bytes)
        self._others = 1 + others
        # A grammar goes by what the end of an answer is, not by its text.
        keys[np.isin(keys // _SECONDS, others) | (lengths < 0)] = _ALWAYS
        keys[_ends(vocab, size)] = _ALWAYS
        self._order: Tokens = np.argsort(keys, kind="stable")
        self._bounds = np.searchsorted(keys[self._order], np.arange(_ALWAYS + 2))

    def count(self, first: int) -> int:
        """Return how many tokens begin with the byte `first`."""
        return int(self._bounds[(first + 1) * _SECONDS] - self._bounds[first * _SECONDS])

    def beginning(self, first: int) -> Tokens:
        """Return the tokens that begin with the byte `first`."""
        return self._slice(first * _SECONDS, (first + 1) * _SECONDS)

    def beginning_twice(self, first: int, seconds: Iterable[int]) -> list[Tokens]:
        """Return the token of the byte `first` alone, and those that go on with one of `seconds`.

        A byte that is no token alone counts as one of `seconds`.
        """
        keys = first * _SECONDS + np.array([0, *(1 + second for second in seconds), *self._others])
        return [self._slice(key, key + 1) for key in keys]

    def always(self) -> Tokens:
        """Return the tokens that are candidates whatever can follow."""
        return self._slice(_ALWAYS, _ALWAYS + 1)

    def _slice(self, key: int, end: int) -> Tokens:
        return self._order[self._bounds[key] : self._bounds[end]]


def _ends(vocab: Any, size: int) -> Tokens:
    """Return the tokens that end an answer: those that follow where no text can."""
    grammar = llama_cpp.llama_sampler_init_grammar(vocab, b'root ::= ""', b"root")
    try:
        return permitted(grammar, np.arange(size), np.zeros(size, dtype=np.float32))
    finally:
        llama_cpp.llama_sampler_free(grammar)


Starts = tuple[np.ndarray[Any, np.dtype[np.uint8]], Tokens]
"""The first two bytes of each token's text, control tokens' too, and its length.

The length is -1 for a text that is too long to read. Bytes beyond the length mean nothing.
"""


def _read_at_once(vocab: Any, size: int) -> Starts | None:
    """Read the texts in one call, each between two marks; None if it is unclear where each begins."""
    mark: int = llama_cpp.llama_vocab_eos(vocab)
    text_of_mark: bytes = llama_cpp.llama_vocab_get_text(vocab, mark) if mark >= 0 else b""
    if len(text_of_mark) < 3:
        return None
    tokens = np.full(2 * size + 1, mark, dtype=np.int32)
    tokens[1::2] = np.arange(size)
    tokens[1 + 2 * mark] = (mark + 1) % size  # a mark between two would be one of three
    buffer = np.empty(_USUAL * len(tokens), dtype=np.uint8)
    start = buffer.ctypes.data_as(ctypes.c_char_p)
    pointer = tokens.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token))
    length = llama_cpp.llama_detokenize(vocab, pointer, len(tokens), start, len(buffer), False, True)
    text = buffer[: max(length, 0)]
    marks = _places(text, text_of_mark)
    if length <= 0 or len(marks) != size + 1 or _CLEANED not in text.tobytes():
        return None
    begins = marks[:-1] + len(text_of_mark)
    return text[begins[:, None] + np.arange(2)], marks[1:] - begins


def _places(text: Any, searched: bytes) -> Tokens:
    """Return where `searched` is in `text`."""
    starts = len(text) - len(searched) + 1
    found = np.flatnonzero(text[: max(starts, 0)] == searched[0])
    for place, byte in enumerate(searched[1:], start=1):
        found = found[text[found + place] == byte]
    return found


def _read_each(vocab: Any, size: int) -> Starts:
    """Read the texts one by one."""
    buffer = ctypes.create_string_buffer(_LONGEST)
    text = memoryview(buffer).cast("B")
    starts = np.zeros((size, 2), dtype=np.uint8)
    lengths = np.zeros(size, dtype=np.intp)
    for token in range(size):
        length = llama_cpp.llama_token_to_piece(vocab, token, buffer, _LONGEST, 0, True)
        lengths[token] = max(length, -1)
        starts[token] = text[0], text[1]
    return starts, lengths
