"""Speculation by grammar: what is drafted, and that no answer differs by it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_lookup import CHEAP, answer

TICKET = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "kind": {"enum": ["billing", "bug"]},
        "urgent": {"type": "boolean"},
        "lines": {"type": "array", "items": {"type": "integer"}, "maxItems": 2},
    },
    "required": ["name", "kind", "urgent", "lines"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def model(model_file: Path) -> Iterator[Any]:
    from hybrid_cli.local.loading import Loader
    from hybrid_cli.local.model import Model

    loader = Loader()
    loader.load(str(model_file))
    yield Model(loader.handle)


def draft(model: Any, schema: Any, before: str) -> str:
    from hybrid_cli.local.forced_text import ForcedText
    from hybrid_cli.local.grammar import grammar_of
    from hybrid_cli.local.grammar_filter import Grammar

    grammar = Grammar(grammar_of(json.dumps(schema)), model.vocabulary)
    produced = model.tokens_within(before)
    for token in produced:
        grammar.accept(token)
    tokens = ForcedText(model, grammar).draft(produced)
    grammar.close()
    return b"".join(map(model.piece, tokens)).decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '{"name": "'),
        ('{"name"', ': "'),
        ('{"name": "Li', ""),  # the name may go on
        ('{"name": "Li"', ', "kind": "b'),
        ('{"name": "Li", "kind": "b', ""),
        ('{"name": "Li", "kind": "bi', 'lling", "urgent":'),
        ('{"name":"Li","kind":"bug"', ',"urgent":'),  # blanks as the model wrote them before
        ('{"name": "Li", "kind": "bug", "urgent": t', 'rue, "lines": ['),
        ('{"name": "Li", "kind": "bug", "urgent": true, "lines": [1', ""),
        ('{"name": "Li", "kind": "bug", "urgent": true, "lines": [1]', "}"),
        ('{"name": "Li", "kind": "bug", "urgent": true, "lines": [1]}', ""),
    ],
)
def test_what_only_one_text_can_follow_is_drafted(model: Any, before: str, after: str) -> None:
    assert draft(model, TICKET, before) == after


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"const": "日本語"}, '"日本語"'),
        ({"const": "<|im_end|>"}, ""),  # its tokens would end the answer
        ({"const": "x" * 300}, '"' + "x" * 95),
        ({"enum": ["é", "è"]}, ""),  # within a character
        ({"type": "string"}, '"'),
        ({"type": "object"}, "{"),
        ({}, ""),  # any value
    ],
    ids=str,
)
def test_drafts_are_text_that_tokens_can_write(model: Any, schema: Any, text: str) -> None:
    assert draft(model, schema, "") == text


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_answers_and_signals_are_those_without_drafts(
    model_file: Path, monkeypatch: pytest.MonkeyPatch, penalty: float
) -> None:
    from hybrid_cli.local.decode import Decoder
    from hybrid_cli.local.inference import Inference
    from hybrid_cli.local.loading import Loader

    passes: list[int] = []
    whole = Decoder._decode

    def count(self: Decoder, entries: Any) -> None:
        passes.append(len(entries))
        whole(self, entries)

    monkeypatch.setattr(Decoder, "_decode", count)
    monkeypatch.setattr("hybrid_cli.local.lookup.COSTS", CHEAP)
    engine = Inference(Loader())
    task = {"schema": json.dumps(TICKET), "repeat_penalty": penalty}
    prompt = f"Anna Weber was charged twice. Answer with JSON of this schema: {json.dumps(TICKET)}"
    plain, signals = answer(engine, model_file, prompt, drafts=False, **task)
    without = len(passes)
    drafted, other = answer(engine, model_file, prompt, **task)
    assert drafted == plain
    assert other == pytest.approx(signals, abs=2e-3)
    assert len(passes) - without < without
