"""The decode loop on llama-cpp-python's low-level calls. Runs inside the guarded worker only."""

from __future__ import annotations

import codecs
import ctypes
import os
import time
from collections.abc import Callable
from typing import Any

import llama_cpp
import numpy as np

from hybrid_cli.local.repetition import is_looping
from hybrid_cli.local.template import TemplateError, render

Emit = Callable[..., None]

_PREFILL_CHUNK = 512  # tokens a llama_decode call, as llama.cpp's own default for n_ubatch
_LOOP_CHECK_EVERY = 16  # tokens
_PENALTY_WINDOW = 64  # tokens, llama.cpp's default
_CONTEXT_STEP = 256  # contexts are sized in steps, as llama.cpp pads them


class ModelError(Exception):
    """The model cannot be used as asked; the text is for the user."""


class Engine:
    """One model at a time, loaded at the first request that names it."""

    def __init__(self) -> None:
        self._errors: list[str] = []
        self._log = llama_cpp.llama_log_callback(self._keep_error)  # referenced, or C would call freed memory
        llama_cpp.llama_log_set(self._log, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self._path: str | None = None
        self._model: Any = None
        self._vocab: Any = None

    def _keep_error(self, level: int, text: bytes, _data: object) -> None:
        error_level = 4  # GGML_LOG_LEVEL_ERROR
        if level == error_level:
            self._errors.append(text.decode("utf-8", "replace").strip())

    def answer(self, request: dict[str, Any], emit: Emit) -> dict[str, Any]:
        """Generate one answer.

        `request`: path, messages, context (tokens, or None for what the prompt needs), threads (or
        None), max_tokens, temperature, seed, repeat_penalty. Emits `loaded`, `prefilled` and a `token`
        event each with its text and its log-probability from the raw logits. Returns finish_reason
        (stop, length, loop or overflow), the token counts, the context's limit and the load's seconds.
        """
        started = time.monotonic()
        self._load(request["path"])
        load_seconds = time.monotonic() - started
        emit("loaded")
        tokens = self._tokenize(self._prompt(request["messages"]))
        limit = llama_cpp.llama_model_n_ctx_train(self._model)
        if request["context"] is not None:
            limit = min(limit, request["context"])
        counts = {"tokens_in": len(tokens), "context": limit, "load_seconds": load_seconds}
        if len(tokens) >= limit:
            return {"finish_reason": "overflow", "tokens_out": 0, **counts}
        max_tokens = min(request["max_tokens"], limit - len(tokens))
        context = self._new_context(len(tokens) + max_tokens, request["threads"])
        sampler = _new_sampler(
            llama_cpp.llama_vocab_n_tokens(self._vocab),
            request["temperature"],
            request["seed"],
            request["repeat_penalty"],
        )
        try:
            finish_reason, produced = self._decode(context, sampler, tokens, max_tokens, emit)
        finally:
            llama_cpp.llama_sampler_free(sampler)
            llama_cpp.llama_free(context)
        return {"finish_reason": finish_reason, "tokens_out": produced, **counts}

    def _load(self, path: str) -> None:
        if path == self._path:
            return
        if self._model is not None:
            llama_cpp.llama_model_free(self._model)
            self._path = self._model = None
        self._errors.clear()
        self._model = llama_cpp.llama_model_load_from_file(
            os.fsencode(path), llama_cpp.llama_model_default_params()
        )
        if not self._model:
            reason = self._errors[0] if self._errors else "the file is broken or of an unknown kind"
            raise ModelError(f"llama.cpp cannot load {path}: {reason}")
        self._path = path
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)

    def _prompt(self, messages: list[dict[str, str]]) -> str:
        template = llama_cpp.llama_model_chat_template(self._model, None)
        if template is None:  # a base model: there are no turns to mark
            return "\n\n".join(message["content"] for message in messages)
        try:
            return render(
                template.decode("utf-8", "replace"),
                messages,
                bos=self._special(llama_cpp.llama_vocab_bos(self._vocab)),
                eos=self._special(llama_cpp.llama_vocab_eos(self._vocab)),
            )
        except TemplateError as error:
            raise ModelError(f"the model's chat template failed: {error}") from error

    def _special(self, token: int) -> str:
        if token < 0:
            return ""
        text: bytes = llama_cpp.llama_vocab_get_text(self._vocab, token)
        return text.decode("utf-8", "replace")

    def _tokenize(self, prompt: str) -> list[int]:
        text = prompt.encode()
        bos = self._special(llama_cpp.llama_vocab_bos(self._vocab))
        add_special = not (bos and prompt.startswith(bos))  # many templates write BOS themselves
        size = len(text) + 8
        buffer = (llama_cpp.llama_token * size)()
        count = llama_cpp.llama_tokenize(self._vocab, text, len(text), buffer, size, add_special, True)
        if count < 0:
            raise ModelError("the prompt could not be tokenized")
        return list(buffer[:count])

    def _new_context(self, needed: int, threads: int | None) -> Any:
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = -(-needed // _CONTEXT_STEP) * _CONTEXT_STEP
        parameters.n_batch = parameters.n_ubatch = _PREFILL_CHUNK
        parameters.n_threads = parameters.n_threads_batch = threads or usable_cores()
        parameters.no_perf = True
        self._errors.clear()
        context = llama_cpp.llama_init_from_model(self._model, parameters)
        if not context:
            reason = self._errors[0] if self._errors else "is there enough memory?"
            raise ModelError(f"no context of {parameters.n_ctx} tokens could be made: {reason}")
        return context

    def _decode(
        self, context: Any, sampler: Any, tokens: list[int], max_tokens: int, emit: Emit
    ) -> tuple[str, int]:
        """Prefill, then decode token by token; return the finish reason and the tokens made."""
        for start in range(0, len(tokens), _PREFILL_CHUNK):
            self._run_batch(context, tokens[start : start + _PREFILL_CHUNK])
        emit("prefilled", tokens_in=len(tokens))
        vocabulary = llama_cpp.llama_vocab_n_tokens(self._vocab)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        produced: list[int] = []
        while len(produced) < max_tokens:
            token = llama_cpp.llama_sampler_sample(sampler, context, -1)
            logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), shape=(vocabulary,))
            logprob = _log_probability(logits, token)
            if llama_cpp.llama_vocab_is_eog(self._vocab, token):
                return "stop", len(produced)
            produced.append(token)
            emit("token", text=decoder.decode(self._piece(token)), logprob=logprob)
            if len(produced) % _LOOP_CHECK_EVERY == 0 and is_looping(produced):
                return "loop", len(produced)
            if len(produced) < max_tokens:
                self._run_batch(context, [token])
        return "length", len(produced)

    def _run_batch(self, context: Any, tokens: list[int]) -> None:
        array = (llama_cpp.llama_token * len(tokens))(*tokens)
        status = llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(array, len(tokens)))
        if status != 0:
            raise ModelError(f"llama.cpp stopped with status {status} while decoding")

    def _piece(self, token: int) -> bytes:
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, size, 0, False)
            if length >= 0:
                return buffer.raw[:length]
            size = -length


def _log_probability(logits: np.ndarray[Any, np.dtype[np.float32]], token: int) -> float | None:
    """The natural log of the softmax of raw `logits` at `token`; None where it is not a number."""
    top = logits.max()
    value = float(logits[token] - top - np.log(np.exp(logits - top).sum()))
    return value if np.isfinite(value) else None


def _new_sampler(vocabulary: int, temperature: float, seed: int, repeat_penalty: float) -> Any:
    """Greedy at temperature 0, else llama.cpp's own usual chain with its usual values."""
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    parts = []
    if repeat_penalty != 1:
        parts.append(
            llama_cpp.llama_sampler_init_penalties(vocabulary, _PENALTY_WINDOW, repeat_penalty, 0.0, 0.0)
        )
    if temperature == 0:
        parts.append(llama_cpp.llama_sampler_init_greedy())
    else:
        parts += [
            llama_cpp.llama_sampler_init_top_k(40),
            llama_cpp.llama_sampler_init_top_p(0.95, 1),
            llama_cpp.llama_sampler_init_min_p(0.05, 1),
            llama_cpp.llama_sampler_init_temp(temperature),
            llama_cpp.llama_sampler_init_dist(seed),
        ]
    for part in parts:
        llama_cpp.llama_sampler_chain_add(chain, part)
    return chain


def usable_cores() -> int:
    """The processors that this process may run on, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
