"""Speculation by grammar: draft the text that a grammar forces next.

A JSON Schema leaves little choice in much of an answer: the names of properties, the signs between them, and the rest of
a value once only one begins like it. The model verifies this text in one pass, as it does the drafts of `lookup`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hybrid_cli.local.grammar_filter import Grammar
from hybrid_cli.local.model import Model

_LONGEST = 96
"""Bytes. Few forced texts are longer, and a draft takes a part of this one."""
_BLANK = ord(" ")
"""The only white space that the grammar of a schema has between two signs, and at most one."""
_SPACED = (b",", b":")
"""Signs that most models write a blank after."""


class ForcedText:
    """Drafts of the text that the grammar of one sequence forces."""

    def __init__(self, model: Model, grammar: Grammar) -> None:
        self._model = model
        self._grammar = grammar

    def draft(self, produced: Sequence[int]) -> list[int]:
        """Return the tokens of the text that must follow the `produced` ones; [] if more than one text can."""
        if _only_sign(self._grammar.next_bytes()) is None:
            return []
        answer = b"".join(map(self._model.piece, produced))
        text = self._forced(answer).rstrip(b" ")
        try:
            tokens = self._model.tokens_within(text.decode())
        except UnicodeDecodeError:  # it ends within a character
            return []
        # A tokenizer may add a blank, and a name may look like a control token.
        return tokens if b"".join(map(self._model.piece, tokens)) == text else []

    def _forced(self, answer: bytes) -> bytes:
        """Return the text that must follow `answer`, with blanks as the model usually writes them."""
        copy, text = self._grammar.copy(), b""
        try:
            while len(text) < _LONGEST:
                allowed = copy.next_bytes()
                byte = _only_sign(allowed)
                if byte is None:
                    break
                if _BLANK in allowed and _writes_blank(answer + text, byte):
                    byte = _BLANK
                copy.accept(allowed[byte])
                text += bytes([byte])
        finally:
            copy.close()
        return text


def _only_sign(allowed: dict[int, int]) -> int | None:
    """Return the only byte among the allowed ones besides a blank; None if there are several, or none."""
    signs = [byte for byte in allowed if byte != _BLANK]
    return signs[0] if len(signs) == 1 else None


def _writes_blank(answer: bytes, sign: int) -> bool:
    """Return whether the model probably writes a blank between `answer` and `sign`: as it last did, or as most do."""
    last = answer[-1:]
    if last == b" ":
        return False
    earlier = re.findall(re.escape(last) + b"( ?)" + re.escape(bytes([sign])), answer)
    return bool(earlier[-1]) if earlier else last in _SPACED
