"""The engine on the real weights, in this process: its signals against llama-cpp-python's own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from hybrid_cli.local.template import TemplateError, render

REQUEST: dict[str, Any] = {
    "messages": [{"role": "user", "content": "What is 2+2?"}],
    "context": None,
    "threads": 2,
    "max_tokens": 24,
    "temperature": 0,
    "seed": 0,
    "repeat_penalty": 1.0,
}
HAIKU = [{"role": "user", "content": "Write a haiku about rain."}]


def collect(engine: Any, **changed: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    events: list[dict[str, Any]] = []

    def emit(event: str, **fields: Any) -> None:
        events.append({"event": event, **fields})

    result = engine.answer({**REQUEST, **changed}, emit)
    return [event for event in events if event["event"] == "token"], result


@pytest.fixture(scope="module")
def engine() -> Any:
    from hybrid_cli.local.engine import Engine

    return Engine()


def test_tokens_and_log_probabilities_are_llama_cpps(engine: Any, model_file: Path) -> None:
    import llama_cpp
    import numpy as np

    tokens, result = collect(engine, path=str(model_file), max_tokens=8)
    text = "".join(token["text"] for token in tokens)
    # logits_all keeps every position's raw logits: the slow but independent way to the same numbers.
    peer = llama_cpp.Llama(str(model_file), n_ctx=256, logits_all=True, flash_attn=True, verbose=False)
    prompt = render(
        peer.metadata["tokenizer.chat_template"], REQUEST["messages"], bos="<|im_start|>", eos="<|im_end|>"
    )
    ids = peer.tokenize(prompt.encode(), add_bos=False, special=True)
    assert len(ids) == result["tokens_in"]
    peer.eval(ids)
    for token in tokens:
        logits = np.asarray(peer.scores[peer.n_tokens - 1], dtype=np.float64)
        best = int(logits.argmax())
        expected = logits[best] - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
        assert token["logprob"] == pytest.approx(expected, abs=0.001)
        peer.eval([best])
    assert peer.detokenize(list(peer.input_ids[len(ids) : len(ids) + len(tokens)])).decode() == text


def test_the_penalty_changes_the_text_but_signals_stay_raw(engine: Any, model_file: Path) -> None:
    haiku = {"path": str(model_file), "messages": HAIKU, "max_tokens": 40}
    tokens, _result = collect(engine, **haiku, repeat_penalty=1.9)
    plain, _result = collect(engine, **haiku)
    assert [token["text"] for token in tokens] != [token["text"] for token in plain]
    # A penalised choice is seldom the raw favourite, and its raw probability says so.
    assert min(token["logprob"] for token in tokens) < min(token["logprob"] for token in plain)
    assert all(token["logprob"] <= 0 for token in tokens)


def test_a_second_request_reuses_the_model_and_gives_the_same(engine: Any, model_file: Path) -> None:
    first, _result = collect(engine, path=str(model_file))
    again, result = collect(engine, path=str(model_file))
    assert [token["text"] for token in first] == [token["text"] for token in again]
    assert result["load_seconds"] < 0.01  # it was not loaded again: a load takes ten times that


def test_utf8_is_never_cut_inside_a_character(engine: Any, model_file: Path) -> None:
    messages = [{"role": "user", "content": "Repeat exactly: 🦊🎉 naïve 日本語 🦊🎉"}]
    tokens, _result = collect(engine, path=str(model_file), messages=messages, max_tokens=40)
    assert any(token["text"] == "" for token in tokens), "no character spanned tokens: the case was not met"
    assert "�" not in "".join(token["text"] for token in tokens)


def test_finish_reasons(engine: Any, model_file: Path) -> None:
    assert collect(engine, path=str(model_file))[1]["finish_reason"] == "stop"
    assert collect(engine, path=str(model_file), max_tokens=2)[1]["finish_reason"] == "length"
    overflow = collect(engine, path=str(model_file), context=16)[1]
    assert (overflow["finish_reason"], overflow["tokens_out"]) == ("overflow", 0)
    looped = collect(engine, path=str(model_file), messages=HAIKU, max_tokens=500)[1]
    assert looped["finish_reason"] == "loop"  # what this model really does without a penalty
    assert looped["tokens_out"] < 200


def test_a_long_prompt_is_prefilled_in_chunks(engine: Any, model_file: Path) -> None:
    messages = [{"role": "user", "content": "The sky is blue. " * 300 + "What colour is the sky?"}]
    tokens, result = collect(engine, path=str(model_file), messages=messages, max_tokens=20)
    assert result["tokens_in"] > 1024
    assert "sky" in "".join(token["text"] for token in tokens)


def test_templates() -> None:
    turns = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
    system = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    assert render(turns, system, bos="", eos="") == "<system>S<user>U<assistant>"
    strict = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + turns
    assert render(strict, system, bos="", eos="") == "<user>S\n\nU<assistant>"
    for hostile in (
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{% if %}",
        "{{ raise_exception('no') }}",
    ):
        with pytest.raises(TemplateError):
            render(hostile, system, bos="", eos="")


def test_log_probability_of_what_is_no_number() -> None:
    import numpy as np

    from hybrid_cli.local.engine import _log_probability

    assert _log_probability(np.array([0.0, 0.0], dtype=np.float32), 0) == pytest.approx(math.log(0.5))
    assert _log_probability(np.array([float("nan"), 0.0], dtype=np.float32), 1) is None
