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
def model(model_file: Path) -> Iterator[Any]:
    from hybrid_cli.local.loading import Loader
    from hybrid_cli.local.model import Model

    loader = Loader()
    loader.load(str(model_file))
    yield Model(loader.handle)


@pytest.fixture(scope="module")
def vocabulary(model: Any) -> Any:
    return model.vocabulary


def rows(size: int, generator: np.random.Generator) -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
    """Yield rows of logits: flat ones, where many tokens are likely, and peaked ones, where few are."""
    while True:
        for width in (0.5, 3.0, 8.0):
            yield generator.normal(0, width, size).astype(np.float32)


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("seed", [0, 1])
def test_few_questions_find_what_the_whole_vocabulary_would(vocabulary: Any, name: str, seed: int) -> None:
    from hybrid_cli.local.bindings import llama_cpp
    from hybrid_cli.local.grammar import grammar_of
    from hybrid_cli.local.grammar_filter import Grammar
    from hybrid_cli.local.logits import Meter

    size = vocabulary.size
    generator, meter = np.random.default_rng(seed), Meter(size)
    grammar = Grammar(grammar_of(json.dumps(SCHEMAS[name])), vocabulary)
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
        if llama_cpp.llama_vocab_is_eog(vocabulary.vocab, token):
            break
        grammar.accept(token)
    grammar.close()
    assert spared or name != "object"  # its texts are recognized by their likely tokens


@pytest.mark.parametrize("before", ["", '{"name"', '{"name":', '{"name": "Rex",', '{"name": "Rex", "age": 3'])
def test_the_candidates_are_few_where_few_characters_can_follow(
    vocabulary: Any, model: Any, before: str
) -> None:
    """Half of all tokens begin with a blank, which can follow nearly everywhere."""
    from hybrid_cli.local.grammar import grammar_of
    from hybrid_cli.local.grammar_filter import Grammar

    grammar = Grammar(grammar_of(json.dumps(SCHEMAS["object"])), vocabulary)
    for token in model.tokens_within(before):
        grammar.accept(token)
    candidates = grammar._candidates()
    every = grammar.permitted(np.arange(vocabulary.size), vocabulary.starts.even)
    assert set(every) <= set(candidates)
    assert len(candidates) < vocabulary.size / 20
    grammar.close()


def test_texts_read_at_once_are_those_read_one_by_one(
    vocabulary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hybrid_cli.local import token_starts
    from hybrid_cli.local.bindings import llama_cpp

    vocab, size = vocabulary.vocab, vocabulary.size
    at_once = token_starts._read_at_once(vocab, size)
    assert at_once is not None
    each, lengths = token_starts._read_each(vocab, size)
    kept = np.arange(size) != llama_cpp.llama_vocab_eos(vocab)  # stands between the texts
    assert (at_once[1] == lengths)[kept].all()
    assert (at_once[0][:, 0] == each[:, 0])[kept & (lengths > 0)].all()
    assert (at_once[0][:, 1] == each[:, 1])[kept & (lengths > 1)].all()
    ends = [token for token in range(size) if llama_cpp.llama_vocab_is_eog(vocab, token)]
    assert list(token_starts._ends(vocab, size)) == ends


@pytest.mark.parametrize("change", [{"_CLEANED": b"no text"}, {"_USUAL": 1}], ids=["cleaned", "too long"])
def test_texts_that_cannot_be_told_apart_are_read_one_by_one(
    vocabulary: Any, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    """llama.cpp takes blanks out of the whole text of some vocabularies; none of them is small enough for a test."""
    from hybrid_cli.local import token_starts

    usual = vocabulary.starts
    for name, value in change.items():
        monkeypatch.setattr(token_starts, name, value)
    assert token_starts._read_at_once(vocabulary.vocab, vocabulary.size) is None
    slow = token_starts.TokenStarts(vocabulary.vocab)
    assert (slow._order == usual._order).all()
    assert (slow._bounds == usual._bounds).all()


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


def test_an_answer_that_no_token_fits_ends_with_a_reason(vocabulary: Any) -> None:
    """Damaged weights compute what is no number; llama.cpp would abort at a token that its grammar forbids."""
    from hybrid_cli.exit_status import ExitStatus, Failure
    from hybrid_cli.local.grammar import grammar_of
    from hybrid_cli.local.logits import Meter
    from hybrid_cli.local.protocol import Task
    from hybrid_cli.local.sampler import Sampler

    size = vocabulary.size
    logits, meter = np.full(size, np.nan, dtype=np.float32), Meter(size)
    meter.read(logits)
    grammar = grammar_of(json.dumps(SCHEMAS["object"]))
    sampler = Sampler(Task([], 1), "", vocabulary, grammar, lambda _token: b"")
    with pytest.raises(Failure, match="no numbers") as raised:
        sampler.choose(logits, meter, constrain=True)
    sampler.close()
    assert raised.value.status is ExitStatus.WEIGHTS
