"""Speculation by lookup: what is drafted, and that no answer differs by it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hybrid_cli.local.lookup import COSTS, MAX_DRAFT, Lookup
from hybrid_cli.local.protocol import LocalRequest, Task, Tokens

CHEAP = {tokens: 1 + 0.05 * tokens for tokens in COSTS}
"""Costs with which drafts are tried wherever they can be."""
LIST = "red, green, blue, yellow, black, white, orange, purple, brown, grey"


@given(some.lists(some.integers(0, 3), max_size=60), some.integers(0, 60))
def test_a_draft_is_what_followed_the_same_tokens_before(tokens: list[int], cut: int) -> None:
    lookup = Lookup(tokens[:cut])
    lookup.add(tokens[cut:])
    draft = lookup.draft()
    assert len(draft) <= MAX_DRAFT
    if draft:
        ends = [
            end
            for end in range(4, len(tokens))
            if tokens[end - 4 : end] == tokens[-4:] and tokens[end : end + len(draft)] == draft
        ]
        assert ends


def test_the_longest_match_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hybrid_cli.local.lookup.COSTS", CHEAP)
    lookup = Lookup([1, 2, 3, 4, 5, 9, 9, 3, 4, 6, 6, 1, 2, 3, 4])
    assert lookup.draft()[:1] == [5]


def test_text_that_stops_repeating_is_not_drafted_and_comes_back() -> None:
    again = list(range(100, 160))
    lookup = Lookup([*again, *again[:12]])
    lookup.add(again[12:20])
    assert lookup.draft() == again[20 : 20 + len(lookup.draft())] != []
    for start in range(0, 58, 2):  # two tokens of the text go on otherwise each time
        lookup.add([*again[start : start + 2], 500 + start])
    lookup.add(again[:2])
    assert lookup.draft() == []
    lookup.add(again[2:40])
    assert lookup.draft() != []


def test_the_longer_a_text_repeats_the_longer_are_the_drafts() -> None:
    again = list(range(100, 300))
    lookup = Lookup([*again, *again[:2]])
    lengths = []
    for start in range(2, 140):
        lookup.add([again[start]])
        lengths.append(len(lookup.draft()))
    assert lengths[0] < lengths[-1] == MAX_DRAFT


def test_the_costs_of_passes_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where passes of 8 are slow, and passes of 16 are not, a draft has 3 tokens or 15, never 7."""
    again = list(range(100, 300))
    lookup = Lookup([*again, *again[:100]])
    lookup.add(again[100:160])
    costs = {2: 1.5, 3: 2.1, 4: 2.5, 8: 7.9, 16: 8.0, 32: 20.0}
    monkeypatch.setattr("hybrid_cli.local.lookup.COSTS", costs)
    assert len(lookup.draft()) == 15
    monkeypatch.setattr("hybrid_cli.local.lookup.COSTS", {**costs, 16: 25.0})
    assert len(lookup.draft()) == 3


def answer(engine: Any, path: Path, prompt: str, **task: Any) -> tuple[str, list[float | None]]:
    events: list[Any] = []
    whole = Task([{"role": "user", "content": prompt}], **{"max_tokens": 96, **task})
    engine.answer(LocalRequest(str(path), [whole], threads=1), events.append)
    tokens = [event for event in events if isinstance(event, Tokens)]
    text = "".join(event.text for event in tokens)
    return text, [signal.logprob for event in tokens for signal in event.signals]


@pytest.mark.parametrize(
    "task",
    [
        {},
        {"repeat_penalty": 1.1},
        {"temperature": 0.8, "seed": 3},
        {"schema": '{"type": "array", "items": {"type": "string"}, "minItems": 12}'},
        {"stop": ["white"]},
        {"max_tokens": 13},
    ],
    ids=str,
)
def test_answers_and_signals_are_those_without_drafts(
    model_file: Path, task: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hybrid_cli.local.decode import Decoder
    from hybrid_cli.local.inference import Inference
    from hybrid_cli.local.loading import Loader

    passes: list[int] = []
    whole = Decoder._decode

    def count(self: Decoder, entries: Any) -> None:
        passes.append(len(entries))
        for job in self.active:  # what would follow the end of an answer is decoded in vain
            assert not any(map(self._model.ends, job.draft))
        whole(self, entries)

    monkeypatch.setattr(Decoder, "_decode", count)
    monkeypatch.setattr("hybrid_cli.local.lookup.COSTS", CHEAP)
    engine = Inference(Loader())
    prompt = f"Repeat this list three times: {LIST}."
    plain, signals = answer(engine, model_file, prompt, drafts=False, **task)
    without = len(passes)
    drafted, other = answer(engine, model_file, prompt, drafts=True, **task)
    assert drafted == plain
    assert other == pytest.approx(signals, abs=2e-3)  # llama.cpp's last digits depend on the tokens of a pass
    if len(signals) > 40 and "temperature" not in task:
        assert len(passes) - without < without


def test_a_busy_machine_changes_nothing(model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes that take long now and then are drafted, rounded and chosen as on an idle machine."""
    from hybrid_cli.local.decode import Decoder
    from hybrid_cli.local.inference import Inference
    from hybrid_cli.local.loading import Loader

    passes: list[list[int]] = []
    whole = Decoder._decode

    def slow(self: Decoder, entries: Any) -> None:
        passes[-1].append(len(entries))
        if len(passes) == 2 and len(passes[-1]) % 3 == 0:
            time.sleep(0.05)
        whole(self, entries)

    monkeypatch.setattr(Decoder, "_decode", slow)
    engine = Inference(Loader())
    answers = []
    for _ in range(2):
        passes.append([])
        answers.append(answer(engine, model_file, f"Repeat this list three times: {LIST}."))
    assert answers[0] == answers[1]  # to the last bit
    assert passes[0] == passes[1]
    assert max(passes[0][1:]) > 1


@pytest.mark.parametrize("close", [2.0, 1e9])
def test_a_close_choice_is_decoded_alone(
    model_file: Path, monkeypatch: pytest.MonkeyPatch, close: float
) -> None:
    """Wherever a draft is given up, and even if all of them are, the answer goes on from there."""
    from hybrid_cli.local import decode
    from hybrid_cli.local.inference import Inference
    from hybrid_cli.local.loading import Loader

    engine = Inference(Loader())
    prompt = f"Repeat this list three times: {LIST}."
    plain = answer(engine, model_file, prompt, drafts=False)
    left: list[bool] = []
    whole = decode.Decoder._is_close

    def is_close(self: decode.Decoder, job: decode.SequenceJob, row: int) -> bool:
        left.append(whole(self, job, row))
        return left[-1]

    monkeypatch.setattr(decode, "_CLOSE", close)
    monkeypatch.setattr(decode.Decoder, "_is_close", is_close)
    monkeypatch.setattr("hybrid_cli.local.lookup.COSTS", CHEAP)
    text, signals = answer(engine, model_file, prompt)
    assert text == plain[0]
    assert signals == pytest.approx(plain[1], abs=2e-3)
    assert any(left)
    assert all(left) == (close == 1e9)


@pytest.mark.parametrize(
    ("penalty", "produced", "lead"),
    [(1.0, [], 1.0), (1.0, [0], 1.0), (2.0, [], 1.0), (2.0, [0], 1.0), (2.0, [0, 1], 0.5), (2.0, [2], 1.0)],
)
def test_the_lead_counts_the_penalty(
    model_file: Path, penalty: float, produced: list[int], lead: float
) -> None:
    import numpy as np

    from hybrid_cli.local.loading import Loader
    from hybrid_cli.local.logits import Meter
    from hybrid_cli.local.model import Model
    from hybrid_cli.local.sampler import Sampler

    loader = Loader()
    loader.load(str(model_file))
    model = Model(loader.handle)
    sampler = Sampler(Task([], 1, repeat_penalty=penalty), "", model.vocabulary, None, model.piece)
    logits = np.full(model.vocabulary.size, -9.0, dtype=np.float32)
    logits[:3] = 4.0, 3.0, 1.0  # with a penalty of 2 the first falls to 2, the second to 1.5
    meter = Meter(model.vocabulary.size)
    meter.read(logits)
    assert sampler.lead(logits, meter, produced, constrain=False) == pytest.approx(lead)
    sampler.close()
