"""Tokens with their logits, as llama.cpp's samplers take them."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.logits import Logits, Tokens

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama_token_data


def candidate_array(tokens: Tokens, logits: Logits) -> tuple[Any, Any]:
    """Return `tokens` with their logits, and llama.cpp's view of the same memory."""
    candidates = np.empty(len(tokens), dtype=_CANDIDATE)
    candidates["id"] = tokens
    candidates["logit"] = logits[tokens]
    pointer = candidates.ctypes.data_as(llama_cpp.llama_token_data_p)
    return candidates, llama_cpp.llama_token_data_array(pointer, len(tokens), -1, False)


def permitted(sampler: Any, tokens: Tokens, logits: Logits) -> Tokens:
    """Return those of `tokens` that `sampler`, a grammar, allows next.

    A token with a logit of minus infinity is not.
    """
    candidates, array = candidate_array(tokens, logits)
    llama_cpp.llama_sampler_apply(sampler, ctypes.byref(array))
    found: Tokens = tokens[candidates["logit"] > -np.inf]
    return found
