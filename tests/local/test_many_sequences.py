"""More sequences in parallel than usual, where the stored speeds say that they pay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hybrid_cli.local import memory, scheduler
from hybrid_cli.local.context import Size, common_length
from hybrid_cli.local.decode import Decoder
from hybrid_cli.local.devices import kernels
from hybrid_cli.local.layouts import Layouts, Speed
from hybrid_cli.local.model import Model
from hybrid_cli.local.protocol import (
    Event,
    Finished,
    LocalRequest,
    SchedulerRequest,
    Task,
    Tokens,
    TokenSignal,
)
from hybrid_cli.local.request_layout import rearranging_pays, slots

MEASURED = Speed(0.35, 0.0072, 0.0457, 0.0140)
"""A model of 1.5 billion parameters with the weights as in its file: each row of a pass with 64 takes half as long."""
LEVEL = Speed(0.35, 0.0130, 0.0457, 0.0140)
"""Each row takes as long in a large pass as in a small one."""


def layouts(in_file: Speed) -> Layouts:
    return Layouts(in_file, LEVEL, kernels())


@pytest.mark.parametrize(
    ("speed", "answer", "seconds", "expected"),
    [
        (MEASURED, 512, None, 64),
        (MEASURED, 512, 600, 64),
        (MEASURED, 512, 500, 48),
        (MEASURED, 512, 400, 32),
        (MEASURED, 512, 320, 16),
        (MEASURED, 4, 100, 64),
        (MEASURED, 4, 30, 16),
        (LEVEL, 512, None, 16),
    ],
)
def test_as_many_answers_run_together_as_are_complete_in_time(
    speed: Speed, answer: int, seconds: float | None, expected: int
) -> None:
    examples = [Task([], answer), Task([], answer)]
    request = SchedulerRequest("m", examples, None, seconds=seconds)
    assert slots(request, layouts(speed), speed) == expected
    if seconds is not None:
        each = 100 * speed.prompt_token + answer * speed.answer_token_among(expected)
        assert expected == 16 or expected * each <= seconds / 2


def test_what_was_not_measured_gets_the_usual_number() -> None:
    examples = [Task([], 4), Task([], 4)]
    assert slots(SchedulerRequest("m", examples, None), Layouts(MEASURED, LEVEL), MEASURED) == 16


def test_jobs_win_and_prompts_of_users_keep_the_usual_number() -> None:
    examples = [Task([], 4), Task([], 4)]
    assert slots(SchedulerRequest("m", examples, 3), layouts(MEASURED), MEASURED) == 3
    assert slots(SchedulerRequest("m", [], None), layouts(MEASURED), MEASURED) == 16


def test_the_time_of_a_pass_grows_between_its_figures() -> None:
    passes = [count * MEASURED.answer_token_among(count) for count in range(1, 65)]
    assert passes == sorted(passes)
    assert passes[0] == pytest.approx(MEASURED.answer_token)
    assert passes[15] == pytest.approx(16 * MEASURED.batched_token)
    assert passes[63] == pytest.approx(64 * MEASURED.prompt_token)


def test_a_layout_that_is_faster_for_many_is_chosen_for_many() -> None:
    """One answer at a time is faster with rearranged weights here, 64 at a time with those of the file."""
    both = Layouts(MEASURED, Speed(0.97, 0.0097, 0.0370, 0.0125), kernels())
    examples = [Task([], 512), Task([], 512)]
    assert not rearranging_pays(SchedulerRequest("m", examples, None), both)
    assert rearranging_pays(SchedulerRequest("m", examples, 1), both)
    assert rearranging_pays(SchedulerRequest("m", [], None), both)


def test_a_large_prefix_is_stored_once_only_where_copies_have_no_room() -> None:
    plenty = Size.for_scheduler(1200, 1000, 64, 100_000)
    assert (plenty.slots, plenty.unified) == (64, False)
    little = Size.for_scheduler(1200, 1000, 64, 20_000)
    assert (little.slots, little.unified, little.cells) == (16, True, 4352)


class Recorder:
    """The texts and signals of each sequence."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.signals: dict[int, list[TokenSignal]] = {}
        self.finished: list[int] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Tokens):
            self.texts[event.sequence] = self.texts.get(event.sequence, "") + event.text
            self.signals.setdefault(event.sequence, []).extend(event.signals)
        elif isinstance(event, Finished):
            self.finished.append(event.sequence)


class Everything(scheduler.Inbox):
    """All tasks wait from the beginning."""

    def __init__(self, tasks: list[Task]) -> None:
        super().__init__()
        for number, task in enumerate(tasks):
            self._begin(number, task)
        self.ended = True

    def poll(self) -> None:
        """Nothing arrives later."""


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[int, int, int, bool]]]:
    """What each call of llama.cpp decodes: token, position, slot, and whether its logits are read."""
    found: list[list[tuple[int, int, int, bool]]] = []
    decode = Decoder._decode

    def listen(decoder: Decoder, entries: Any) -> None:
        found.append(list(entries))
        decode(decoder, entries)

    monkeypatch.setattr(Decoder, "_decode", listen)
    return found


@pytest.fixture(scope="module")
def loader() -> Any:
    from hybrid_cli.local.loading import Loader

    return Loader()


def tasks(count: int) -> list[Task]:
    """Prompts of different lengths whose answers end at different times."""
    return [
        Task(
            [{"role": "user", "content": f"Tell me of {number} foxes{' and a dog' * (number % 7)}."}],
            3 + 5 * number % 11,
        )
        for number in range(count)
    ]


def scheduled(loader: Any, model: Path, chosen: list[Task], **request: Any) -> Recorder:
    recorder = Recorder()
    asked = SchedulerRequest(str(model), chosen[:2], None, threads=1, **request)
    loader.load_for(asked)
    scheduler.Scheduler(loader, asked, Everything(chosen), recorder).run()
    return recorder


def test_forty_at_once_are_what_each_is_alone(
    loader: Any, model_file: Path, passes: list[list[tuple[int, int, int, bool]]]
) -> None:
    from hybrid_cli.local.inference import Inference

    chosen = tasks(60)
    together = scheduled(loader, model_file, chosen, layouts=layouts(MEASURED))
    assert sorted(together.finished) == list(range(60))
    assert max(sum(wanted for *_, wanted in entries) for entries in passes) >= 40
    assert all(_is_one_pass(entries) for entries in passes if len(entries) <= 64)

    for number in (0, 1, 6, 17, 30, 47, 59):
        alone = Recorder()
        Inference(loader).answer(LocalRequest(str(model_file), [chosen[number]], threads=1), alone)
        assert together.texts[number] == alone.texts[0]
        for one, other in zip(together.signals[number], alone.signals[0], strict=True):
            assert one[:3] == pytest.approx(other[:3], abs=0.001)


def _is_one_pass(entries: list[tuple[int, int, int, bool]]) -> bool:
    """Whether llama.cpp decodes the batch at once: equally many tokens of slots that follow each other."""
    slots = [slot for _, _, slot, _ in entries]
    counts = {slots.count(slot) for slot in slots}
    return len(counts) == 1 and sorted(set(slots)) == list(range(min(slots), max(slots) + 1))


def test_prompts_of_similar_length_are_read_together(
    loader: Any, model_file: Path, passes: list[list[tuple[int, int, int, bool]]]
) -> None:
    scheduled(loader, model_file, tasks(60), layouts=layouts(MEASURED))
    reading = [entries for entries in passes if len({slot for *_, slot, _ in entries}) < len(entries)]
    prompts = [len({slot for *_, slot, _ in entries}) for entries in reading]
    assert sum(prompts) / len(prompts) > 3


def test_sequences_share_what_fits_into_a_small_memory(
    loader: Any,
    model_file: Path,
    passes: list[list[tuple[int, int, int, bool]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No test can take the machine's memory away, so the figure is set: it has room for five slots."""
    loader.load(str(model_file))
    need = 6 * 256 * memory.cache_bytes(loader.handle)
    monkeypatch.setattr(scheduler.memory, "available", lambda: 4 * need)
    made = scheduled(loader, model_file, tasks(20))
    assert len(made.finished) == 20
    together = max(sum(wanted for *_, wanted in entries) for entries in passes)
    assert together == 5


def test_a_prompt_that_fills_its_buffer_is_read_beside_a_longer_rest(loader: Any, model_file: Path) -> None:
    """A prompt without the common prefix has more left to read; padding the full one to that length has no room."""
    head = "red " * 175
    examples = [message(f"{head}{word}") for word in ("fox", "dog")]
    asked = SchedulerRequest(str(model_file), examples, 8, threads=1)
    loader.load_for(asked)
    model = Model(loader.handle)
    lengths = {length_of(model, task): task for task in (message(f"{head}fox {'a ' * n}") for n in range(80))}
    prefix = common_length([model.tokens(model.prompt(task)) for task in examples])
    full = lengths[255]
    other = next(
        task
        for task in (message("c " * n, system="b") for n in range(80))
        if length_of(model, task) == 255 - prefix + 4
    )
    recorder = Recorder()
    scheduler.Scheduler(loader, asked, Everything([message("c"), full, other, full, other]), recorder).run()
    assert sorted(recorder.finished) == [0, 1, 2, 3, 4]


def test_a_prompt_that_is_too_long_makes_no_context_large(
    loader: Any, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hybrid_cli.local import inference

    cells: list[int] = []
    new_context = inference.new_context

    def listen(model: Model, size: Size, *rest: Any) -> Any:
        cells.append(size.cells)
        return new_context(model, size, *rest)

    monkeypatch.setattr(inference, "new_context", listen)
    recorder = Recorder()
    asked = [message("c"), message("d"), message("red " * 9000)]
    inference.Inference(loader).answer(LocalRequest(str(model_file), asked, threads=1), recorder)
    assert sorted(recorder.finished) == [0, 1, 2]
    assert cells == [3 * 256]


def message(text: str, system: str = "") -> Task:
    """A task of one token."""
    before = [{"role": "system", "content": system}] if system else []
    return Task([*before, {"role": "user", "content": text}], 1)


def length_of(model: Model, task: Task) -> int:
    return len(model.tokens(model.prompt(task)))
