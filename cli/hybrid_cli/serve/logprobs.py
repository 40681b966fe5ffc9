"""Log-probabilities of a local answer's tokens in OpenAI's form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hybrid_cli.local.protocol import TokenLogprobs

_LEAST = -9999.0
"""OpenAI's value for a token that is not likely at all, or of which nothing is known."""


def logprobs_of(answer: str, tokens: Sequence[TokenLogprobs]) -> list[dict[str, Any]] | None:
    """Return an object for each token of `answer`; together their texts are the answer.

    Text round the answer that was generated, and is not part of it, is cut off. Returns None if the tokens do not
    contain the answer, as after a stop string within a token.
    """
    wanted = answer.encode()
    begin = b"".join(token.piece for token in tokens).find(wanted)
    if begin < 0:
        return None
    end, position = begin + len(wanted), 0
    found = []
    for token in tokens:
        piece = token.piece[max(begin - position, 0) : max(end - position, 0)]
        position += len(token.piece)
        if piece:
            top = [_object(alternative, logprob) for alternative, logprob in token.top]
            found.append({**_object(piece, token.logprob), "top_logprobs": top})
    return found


def _object(piece: bytes, logprob: float | None) -> dict[str, Any]:
    """Return one token. Its `bytes` are exact where the text ends within a character."""
    text = piece.decode("utf-8", "replace")
    return {"token": text, "logprob": _LEAST if logprob is None else logprob, "bytes": list(piece)}
