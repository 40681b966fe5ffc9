"""The tokens that a grammar allows, found by few questions, against llama.cpp's answer for the whole vocabulary."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_engine import engine, make

__all__ = ["engine"]

SCHEMAS = {
    "object": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "age": {"type": "integer"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "weight": {"type": "number"},
            "fits": {"type": "boolean"},
        },
        "required": ["name", "age", "tags", "weight", "fits"],
        "additionalProperties": False,
    },
    "enum": {"enum": ["yes", "no", "not sure", "日本", "Ärger"]},
    "pattern": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3,5}$"},
    "unicode": {"type": "string", "pattern": "^[à-ÿ日本語]{3,6}$"},
    "any": {},
}
STEPS = 40


@pytest.fixture(scope="module")
def vocab(model_file: Path) -> Iterator[Any]:
    from hybrid_cli.local.loading import Loader
    from hybrid_cli.local.model import Model

    loader = Loader()
    loader.load(str(model_file))
    yield Model(loader.handle).vocab


def rows(size: int, generator: np.random.Generator) -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
    """Yield rows of logits: flat ones, where many tokens are likely, and peaked ones, where few are."""
    while True:
        for width in (0.5, 3.0, 8.0):
            yield generator.normal(0, width, size).astype(np.float32)


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("seed", [0, 1])
def test_few_questions_find_what_the_whole_vocabulary_would(vocab: Any, name: str, seed: int) -> None:
    from hybrid_cli.local.bindings import llama_cpp
    from hybrid_cli.local.grammar import grammar_of
    from hybrid_cli.local.grammar_filter import FirstBytes, Grammar
    from hybrid_cli.local.logits import Meter

    size = llama_cpp.llama_vocab_n_tokens(vocab)
    generator = np.random.default_rng(seed)
    first_bytes, meter = FirstBytes(vocab), Meter(size)
    grammar = Grammar(vocab, grammar_of(json.dumps(SCHEMAS[name])), first_bytes)
    spared = 0
    for logits in itertools.islice(rows(size, generator), STEPS):
        meter.read(logits)
        every = grammar.permitted(np.arange(size), logits)
        found = grammar.allowed(logits, meter, 65)
        assert (np.diff(found) > 0).all()
        if len(found) != len(every):
            spared += 1
            assert len(found) >= 65
            assert set(found) < set(every)
            missing = np.setdiff1d(every, found)
            assert logits[missing].max() <= logits[found].max()
            weights = np.exp(logits.astype(float))
            assert weights[missing].sum() <= 5e-3 * weights[found].sum()
        else:
            assert (found == every).all()
        token = int(generator.choice(found))
        if llama_cpp.llama_vocab_is_eog(vocab, token):
            break
        grammar.accept(token)
    grammar.close()
    assert spared or name != "object"  # its texts are recognized by their likely tokens


def test_the_candidates_are_few_where_few_characters_can_follow(vocab: Any) -> None:
    from hybrid_cli.local.bindings import llama_cpp
    from hybrid_cli.local.grammar import grammar_of
    from hybrid_cli.local.grammar_filter import FirstBytes, Grammar

    size = llama_cpp.llama_vocab_n_tokens(vocab)
    first_bytes, logits = FirstBytes(vocab), np.zeros(size, dtype=np.float32)
    grammar = Grammar(vocab, grammar_of(json.dumps(SCHEMAS["object"])), first_bytes)
    asked = [len(first_bytes.candidates(grammar, logits)) for _ in range(10)]
    assert asked[0] == size  # the table is not built for a short answer
    assert asked[-1] < size / 20  # nothing but `{` can follow
    grammar.close()


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("temperature", [0.0, 1.2])
def test_answers_and_signals_are_those_of_the_whole_vocabulary(
    engine: Any, model_file: Path, monkeypatch: pytest.MonkeyPatch, schema: str, temperature: float
) -> None:
    from hybrid_cli.local.grammar_filter import Grammar

    settings = {"schema": json.dumps(SCHEMAS[schema]), "temperature": temperature, "max_tokens": 40}
    messages = [{"role": "user", "content": "Describe Rex, a dog of 3 years that weighs 12.5 kg, as JSON."}]
    quick = make(engine, model_file, messages=messages, **settings)
    monkeypatch.setattr(
        Grammar,
        "allowed",
        lambda grammar, logits, _meter, _enough: grammar.permitted(np.arange(len(logits)), logits),
    )
    whole = make(engine, model_file, messages=messages, **settings)
    assert quick.text == whole.text
    assert [signal.kind for signal in quick.signals] == [signal.kind for signal in whole.signals]
    assert [signal.logprob for signal in quick.signals] == pytest.approx(
        [signal.logprob for signal in whole.signals], abs=6e-3
    )


def test_an_answer_that_no_token_fits_ends_with_a_reason(vocab: Any) -> None:
    """Damaged weights compute what is no number; llama.cpp would abort at a token that its grammar forbids."""
    from hybrid_cli.exit_status import ExitStatus, Failure
    from hybrid_cli.local.bindings import llama_cpp
    from hybrid_cli.local.grammar import grammar_of
    from hybrid_cli.local.grammar_filter import FirstBytes
    from hybrid_cli.local.logits import Meter
    from hybrid_cli.local.protocol import Task
    from hybrid_cli.local.sampler import Sampler

    size = llama_cpp.llama_vocab_n_tokens(vocab)
    logits, meter = np.full(size, np.nan, dtype=np.float32), Meter(size)
    meter.read(logits)
    grammar = grammar_of(json.dumps(SCHEMAS["object"]))
    sampler = Sampler(Task([], 1), "", vocab, grammar, FirstBytes(vocab), lambda _token: b"")
    with pytest.raises(Failure, match="no numbers") as raised:
        sampler.choose(logits, meter, constrain=True)
    sampler.close()
    assert raised.value.status is ExitStatus.WEIGHTS
