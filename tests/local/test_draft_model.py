"""Speculation by a second model: when it drafts, that no answer differs by it, and which models are refused."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.devices import kernels
from hybrid_cli.local.layouts import Layouts, Speed
from hybrid_cli.local.protocol import LocalRequest, SecondModel, Task, Tokens
from token_tables import CONTROL, with_more_tokens

NORMAL = 1
"""The type of usual tokens in GGUF files."""
STORY = "Write a short story about a fox."
SHORT = {"max_tokens": 12}


def layouts(answer: float, pass_of_16: float) -> Layouts:
    """Return speeds of this machine: seconds of an answer's token alone, and of a pass with 16."""
    speed = Speed(0.01, answer / 4, answer, pass_of_16 / 16)
    return Layouts(speed, speed, kernels())


QUICK_PASSES = layouts(0.040, 0.060)
"""A pass with 16 tokens takes half as long again as one with one."""
SLOW_PASSES = layouts(0.037, 0.200)
"""As measured on two cores of an x86 server."""
SMALL = layouts(0.004, 0.020)
"""A model with a tenth of the others' weights."""


def slower(**speeds: float) -> Layouts:
    """Return `SMALL` with other speeds."""
    speed = msgspec.structs.replace(SMALL.in_file, **speeds)
    return msgspec.structs.replace(SMALL, in_file=speed, rearranged=speed)


@pytest.fixture(scope="module")
def copy_with(
    model_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[bytes, bytes, bytes], Path]:
    """Return a copy of the model in which `new` stands in the place of `old`, both behind `before`."""

    def copied(before: bytes, old: bytes, new: bytes) -> Path:
        data = model_file.read_bytes()
        assert data.count(before + old) == 1
        assert len(old) == len(new)
        path = tmp_path_factory.mktemp("copy") / "copy.gguf"
        path.write_bytes(data.replace(before + old, before + new))
        return path

    return copied


@pytest.fixture(scope="module")
def confused(copy_with: Any) -> Path:
    """The model with another base of its rotary positions: it reads all tokens as if they stood close together."""
    float32 = struct.pack("<I", 6)
    return copy_with(b"llama.rope.freq_base" + float32, struct.pack("<f", 100_000), struct.pack("<f", 2))


@pytest.fixture(scope="module")
def other_vocabulary(copy_with: Any) -> Path:
    """The model with another text of one token."""
    return copy_with(struct.pack("<Q", 7), b"ectable", b"ectablE")


class Outcome:
    """An answer, and what the first model decoded for it."""

    def __init__(self) -> None:
        self.text = ""
        self.logprobs: list[float | None] = []
        self.passes: list[int] = []
        """Tokens of each pass."""
        self.second: Any = None
        """The second model's handle; None if it was not loaded."""

    def __call__(self, event: object) -> None:
        if isinstance(event, Tokens):
            self.text += event.text
            self.logprobs += [signal.logprob for signal in event.signals]


@contextmanager
def counted(passes: list[int], *, is_busy: bool = False) -> Iterator[None]:
    """Record the passes of the first model in the block."""
    from hybrid_cli.local.decode import Decoder

    whole = Decoder._decode

    def count(self: Decoder, entries: Any) -> None:
        passes.append(len(entries))
        if is_busy and len(passes) % 3 == 0:
            time.sleep(0.05)
        whole(self, entries)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Decoder, "_decode", count)
        yield


def answer(
    path: Path,
    draft: SecondModel | None = None,
    *tasks: dict[str, Any],
    speeds: Layouts | None = QUICK_PASSES,
    is_busy: bool = False,
) -> Outcome:
    """Answer with the model at `path`, without lookup unless a task says otherwise."""
    from hybrid_cli.local.inference import Inference
    from hybrid_cli.local.loading import Loader

    loader, outcome = Loader(), Outcome()
    question = [{"role": "user", "content": STORY}]
    whole = [
        Task(**{"messages": question, "max_tokens": 32, "drafts": False, **task}) for task in tasks or ({},)
    ]
    with counted(outcome.passes, is_busy=is_busy):
        request = LocalRequest(str(path), whole, threads=1, layouts=speeds, draft=draft)
        Inference(loader).answer(request, outcome)
    outcome.second = loader.second.handle
    return outcome


def second(path: Path, *, is_named: bool = True, speeds: Layouts | None = SMALL) -> SecondModel:
    return SecondModel("other", str(path), is_named, speeds)


@pytest.mark.parametrize(
    "task",
    [
        {},
        {"temperature": 0.8, "seed": 3},
        {
            "max_tokens": 48,
            "drafts": True,
            "schema": '{"type": "array", "items": {"type": "string"}, "minItems": 6}',
        },
    ],
    ids=str,
)
def test_answers_and_signals_are_those_without_a_second_model(
    model_file: Path, confused: Path, task: dict[str, Any]
) -> None:
    """The model itself drafts best; one that is confused is mostly wrong, and what it drafted has to be taken back."""
    plain = answer(model_file, None, {**task, "drafts": False})
    for path in (model_file, confused):
        drafted = answer(model_file, second(path), task)
        assert drafted.text == plain.text
        assert drafted.logprobs == pytest.approx(
            plain.logprobs, abs=2e-3
        )  # the last digits depend on the pass
        assert max(drafted.passes[1:]) > 1
        if path is model_file:
            assert len(drafted.passes) < (1.0 if "schema" in task else 0.8) * len(plain.passes)


def test_drafts_depend_on_tokens_and_stored_speeds_alone(model_file: Path) -> None:
    idle, busy = (answer(model_file, second(model_file), SHORT, is_busy=is_busy) for is_busy in (False, True))
    assert (idle.text, idle.logprobs, idle.passes) == (
        busy.text,
        busy.logprobs,
        busy.passes,
    )  # to the last bit
    assert max(idle.passes[1:]) > 1


def test_what_was_read_is_in_step_with_the_sequence(model_file: Path) -> None:
    """After tokens that were not accepted the model continues as one that has never read them."""
    from hybrid_cli.local.context import Size, new_context
    from hybrid_cli.local.draft_model import _Reader
    from hybrid_cli.local.loading import Loader
    from hybrid_cli.local.model import Model
    from hybrid_cli.local.threads import ThreadCount

    loader, threads = Loader(), ThreadCount(1)
    loader.load(str(model_file))
    model = Model(loader.handle)
    size = Size(1, several=False, unified=False, cells=256, longest=256)

    def reader(room: int = 256, common: int = model.vocabulary.size) -> _Reader:
        return _Reader(model, new_context(model, size, 1, loader), common, room, threads)

    count = "one, two, three, four, five, six, seven, eight, nine, ten, one, two, three, four,"
    tokens = model.tokens_within(count)
    one = reader()
    drafted = one.continuation(tokens, 6)
    assert model.piece(drafted[0]) == b" five"
    assert len(drafted) == 6
    accepted = [
        *tokens,
        *drafted[:2],
        *model.tokens_within(" but after a long rest she said: one, two, three,"),
    ]
    one.keep(len(tokens) + 2)
    assert one.continuation(accepted, 6) == reader().continuation(accepted, 6) != []
    assert one.continuation(accepted[:-2], 6) == reader().continuation(accepted[:-2], 6) != []
    assert reader(room=len(tokens) + 5).continuation(tokens, 6) == []
    assert reader(common=max(tokens)).continuation(tokens, 6) == []


@pytest.mark.parametrize(
    ("first", "other", "drafts", "drafts_if_named"),
    [
        (QUICK_PASSES, SMALL, True, True),
        (SLOW_PASSES, SMALL, False, True),
        (SLOW_PASSES, layouts(0.009, 0.050), False, True),  # a pair of 7 and 1.5 billion parameters
        (QUICK_PASSES, QUICK_PASSES, False, True),  # a draft costs as much as an answer
        (QUICK_PASSES, slower(load=0.3), False, True),
        (QUICK_PASSES, slower(prompt_token=0.008), False, True),
        (None, SMALL, False, True),
        (QUICK_PASSES, None, False, True),
        (msgspec.structs.replace(QUICK_PASSES, kernels="of another machine"), SMALL, False, True),
    ],
)
def test_only_what_pays_by_the_stored_speeds_drafts_unless_it_is_named(
    model_file: Path, first: Layouts | None, other: Layouts | None, *, drafts: bool, drafts_if_named: bool
) -> None:
    for is_named, expected in ((False, drafts), (True, drafts_if_named)):
        made = answer(model_file, second(model_file, is_named=is_named, speeds=other), SHORT, speeds=first)
        assert (max(made.passes[1:]) > 1, made.second is not None) == (expected, expected)


def test_a_model_that_is_mostly_wrong_drafts_no_longer_unless_it_is_named(
    model_file: Path, confused: Path
) -> None:
    costly = layouts(0.016, 0.020)
    named, chosen = (
        answer(model_file, second(confused, is_named=is_named, speeds=costly), {"max_tokens": 48})
        for is_named in (True, False)
    )
    drafts_of = [[tokens > 1 for tokens in made.passes[1:]] for made in (named, chosen)]
    assert sum(drafts_of[0]) > sum(drafts_of[1]) > 0
    assert not any(drafts_of[1][20:])


@pytest.mark.parametrize("tasks", [({}, {}), ({"choices": ["yes", "no"]},)], ids=["two", "choice"])
def test_it_is_not_loaded_where_it_has_nothing_to_draft(model_file: Path, tasks: Any) -> None:
    few = [{**task, "max_tokens": 4} for task in tasks]
    assert answer(model_file, second(model_file), *few).second is None


def test_a_model_with_another_vocabulary_is_refused_if_it_is_named(
    model_file: Path, other_vocabulary: Path
) -> None:
    with pytest.raises(
        Failure, match="other cannot draft: its vocabulary differs from the model's at token 49151"
    ) as one:
        answer(model_file, second(other_vocabulary))
    assert one.value.status is ExitStatus.USAGE
    plain, without = (
        answer(model_file, draft, SHORT) for draft in (None, second(other_vocabulary, is_named=False))
    )
    assert (without.text, without.passes) == (plain.text, plain.passes)


@pytest.mark.parametrize(
    ("kind", "texts", "problem"),
    [
        (CONTROL, ["[PAD1]", "[PAD2]"], None),
        (NORMAL, ["xylographs"], "its vocabulary has 49153 tokens, the model's 49152"),
    ],
)
def test_only_padding_may_follow_the_common_vocabulary(
    model_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: int,
    texts: list[str],
    problem: str | None,
) -> None:
    from hybrid_cli.local.bindings import llama_cpp
    from hybrid_cli.local.draft_model import _problem
    from hybrid_cli.local.loading import Loader
    from hybrid_cli.local.model import Model

    _loader = Loader()  # sets llama.cpp up
    monkeypatch.setattr(
        llama_cpp, "llama_model_n_ctx_train", lambda _handle: 1024
    )  # a vocabulary alone has none
    models = []
    for path in (model_file, with_more_tokens(model_file, texts, kind, tmp_path / "longer.gguf")):
        parameters = llama_cpp.llama_model_default_params()
        parameters.vocab_only = True
        models.append(Model(llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)))
    assert models[1].vocabulary.size == models[0].vocabulary.size + len(texts)
    assert _problem(*models) == problem
    assert (_problem(*reversed(models)) is None) == (problem is None)


@pytest.mark.parametrize("free", ["of the file", "beside the mapped file", "of both caches"])
def test_a_model_that_does_not_fit_is_refused_if_it_is_named(
    model_file: Path, monkeypatch: pytest.MonkeyPatch, free: str
) -> None:
    """The machine's free memory cannot be chosen: only the figure that the engine reads of it is replaced."""
    from hybrid_cli.local.inference import Inference
    from hybrid_cli.local.loading import Loader

    size, cell = model_file.stat().st_size, 23_040
    left = {
        "of the file": size,
        "beside the mapped file": 2 * size - 1,
        "of both caches": 2 * size + 50 * cell,
    }
    task = Task([{"role": "user", "content": STORY}], 4, drafts=False)
    loader = Loader()
    loader.load(str(model_file), rearranges=False)
    assert loader.mapped == size
    monkeypatch.setattr("hybrid_cli.local.memory.available", lambda: left[free])
    request = LocalRequest(str(model_file), [task], threads=1, layouts=QUICK_PASSES, draft=second(model_file))
    with pytest.raises(
        Failure, match=r"other needs \d+ MB of memory to draft, but only .* are free beside the model"
    ) as one:
        Inference(loader).answer(request, Outcome())
    assert one.value.status is ExitStatus.FAILURE
    chosen = msgspec.structs.replace(request, draft=second(model_file, is_named=False))
    outcome = Outcome()
    Inference(loader).answer(chosen, outcome)
    assert outcome.text
    assert loader.second.handle is None


def test_a_damaged_model_is_refused_if_it_is_named(model_file: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(Failure, match=r'llama\.cpp cannot load .*; set local.draft to "off"') as one:
        answer(model_file, second(damaged))
    assert one.value.status is ExitStatus.FAILURE, "WEIGHTS would hand the prompt off"
    assert answer(model_file, second(damaged, is_named=False), {"max_tokens": 4}).text
