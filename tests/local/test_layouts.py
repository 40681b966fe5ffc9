"""The layout of the weights: measured after a pull, and chosen by what a request will probably take."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hybrid_cli.cascade.measured_layouts import measure_layouts, read_layouts
from hybrid_cli.local import loading
from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.devices import kernels
from hybrid_cli.local.layout_speeds import measure
from hybrid_cli.local.layouts import UNMEASURED, Layouts, Speed
from hybrid_cli.local.protocol import LocalRequest, SchedulerRequest, Task
from hybrid_cli.local.request_layout import rearranging_pays
from hybrid_cli.ui.environment import Environment
from hybrid_process import Hybrid

QUESTION = [{"role": "user", "content": "Is ice cold?"}]
TEXT = [{"role": "user", "content": "Ice is cold. " * 300}]  # some 1,000 tokens
AVX512 = Layouts(Speed(0.35, 0.0073, 0.0423, 0.0142), Speed(0.89, 0.0096, 0.0339, 0.0122))
"""Prompts are read faster as in the file, answers written faster with rearranged weights."""


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each load may rearrange the weights. Whether llama.cpp does so depends on format and processor."""
    found: list[bool] = []
    whole = llama_cpp.llama_model_load_from_file

    def load(path: bytes, parameters: Any) -> Any:
        found.append(parameters.use_extra_bufts)
        return whole(path, parameters)

    monkeypatch.setattr(llama_cpp, "llama_model_load_from_file", load)
    monkeypatch.setattr(loading, "has_sound_kernels", lambda: True)
    return found


@pytest.mark.parametrize(
    ("layouts", "task", "rearranges"),
    [
        (UNMEASURED, Task(QUESTION, 512), True),
        (UNMEASURED, Task(QUESTION, 64), False),
        (UNMEASURED, Task(QUESTION, 512, choices=["yes", "no"]), False),
        (UNMEASURED, Task(TEXT, 64), True),  # on some processors such a prompt is read faster rearranged
        (UNMEASURED, Task(QUESTION, 64, images=[b"x"]), True),
        (AVX512, Task(QUESTION, 512), True),
        (AVX512, Task(QUESTION, 48), False),
        (AVX512, Task(TEXT, 512), False),
        (AVX512, Task(QUESTION, 512, images=[b"x"]), False),
    ],
)
def test_the_faster_layout_is_chosen(layouts: Layouts, task: Task, *, rearranges: bool) -> None:
    assert rearranging_pays(LocalRequest("m", [task]), layouts) is rearranges
    if len(task.messages[0]["content"]) < 100 and not task.images:
        with_a_long_one = LocalRequest("m", [task, Task(QUESTION, 512)])
        assert rearranging_pays(with_a_long_one, layouts), "the longest answer decides"


def test_an_error_of_the_measurement_changes_nothing() -> None:
    equal = msgspec.structs.replace(AVX512, rearranged=AVX512.in_file)
    slower = msgspec.structs.replace(AVX512.in_file, answer_token=AVX512.in_file.answer_token * 1.02)
    for layouts in (equal, msgspec.structs.replace(equal, rearranged=slower)):
        assert rearranging_pays(LocalRequest("m", [Task(QUESTION, 512)]), layouts)
        assert rearranging_pays(SchedulerRequest("m", [], None), layouts)


def test_an_engine_for_many_prompts_does_not_count_the_load() -> None:
    for layouts, of_short_answers in ((UNMEASURED, True), (AVX512, False)):
        assert rearranging_pays(SchedulerRequest("m", [], None), layouts)
        examples = [Task(QUESTION, 4), Task(TEXT, 4)]
        assert rearranging_pays(SchedulerRequest("m", examples, None), layouts) is of_short_answers


def test_what_is_loaded_stays_as_it_is(model_file: Path, loads: list[bool]) -> None:
    loader = loading.Loader()
    for task in (Task(QUESTION, 4), Task(QUESTION, 512)):
        loader.load_for(LocalRequest(str(model_file), [task]))
    assert loads == [False]


def test_speeds_of_another_processor_do_not_count(model_file: Path, loads: list[bool]) -> None:
    own = msgspec.structs.replace(AVX512, kernels=kernels())
    for layouts in (own, AVX512):
        loading.Loader().load_for(LocalRequest(str(model_file), [Task(TEXT, 512)], layouts=layouts))
    assert loads == [False, True]


def test_a_pull_measures_once(
    hybrid: Hybrid, weights_home: Path, model_file: Path, home: Path, tmp_path: Path
) -> None:
    """The speeds of a pulled model are those of this machine, and are deleted with it."""
    (measured,) = (weights_home / "data" / "speeds").glob("*.json")
    assert measured.stem == model_file.stem
    layouts = msgspec.json.decode(measured.read_bytes(), type=Layouts)
    assert layouts.kernels == kernels()
    for speed in (layouts.in_file, layouts.rearranged):
        # How they compare depends on what else the machine does.
        assert min(speed.prompt_token, speed.answer_token, speed.batched_token, speed.load) > 0

    (home / "data").unlink()
    assert hybrid("pull", model_file, "--name", "own").returncode == 0
    (own,) = (home / "data" / "speeds").glob("*.json")
    before = own.read_bytes()
    assert hybrid("models", "import", model_file, "--name", "again").returncode == 0
    assert own.read_bytes() == before
    (own.parent / "folder").mkdir()
    assert hybrid("models", "rm", "own").returncode == 0
    assert own.exists(), "the other name has the same weights"
    assert hybrid("models", "rm", "again").returncode == 0
    assert list(own.parent.iterdir()) == []


def test_a_model_that_cannot_be_measured_is_pulled_all_the_same(tmp_path: Path) -> None:
    environment = Environment(None, None, None, {"HYBRID_HOME": str(tmp_path)})
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF" + bytes(100))
    measure_layouts("0" * 64, damaged, 1 << 30, environment)
    assert read_layouts("0" * 64, environment) is None
    speeds = tmp_path / "data" / "speeds" / f"{'0' * 64}.json"
    speeds.parent.mkdir(parents=True)
    good = msgspec.json.encode(AVX512)
    speeds.write_bytes(good)
    assert read_layouts("0" * 64, environment) == AVX512
    below = good.replace(b"0.0096", b"-0.0096")
    endless = b'{"x":' + b"[" * 3000
    for content in (b"{", b'{"in_file": 1}', b"", below, endless, good + b" " * 5000):
        speeds.write_bytes(content)
        assert read_layouts("0" * 64, environment) is None
    speeds.unlink()
    os.mkfifo(speeds)
    assert read_layouts("0" * 64, environment) is None


def test_scarce_memory_is_not_measured(model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mock of the free memory: the pages of a model would come and go, and the disk would be measured."""
    size = model_file.stat().st_size
    monkeypatch.setattr("hybrid_cli.local.memory.available", lambda: 2 * size)
    assert measure(str(model_file), "") is None
