"""Calibrations: which promise counts, which file is used, and what becomes of damaged ones."""

from __future__ import annotations

import copy
import io
import json
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_cli.evaluate.fit_cloud import CloudOutcome, fit_cloud
from hybrid_cli.gate import calibration as module
from hybrid_cli.gate.calibration import Calibration, Promise, as_text, find, shipped, store
from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.gate.features import CHECKPOINTS, VERSION
from hybrid_cli.gate.verdict import LocalResult, judge
from hybrid_cli.prompt import Question, Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.catalog import shipped_catalog
from made_rows import made_calibration

WEIGHTS = "a" * 64
REQUEST = Request(Question("What is 2 + 2?", "Some text."), None)
RESULT = LocalResult("4", "stop", [-0.1] * 40, tokens_in=5, tokens_out=40)


def environment(home: Path) -> Environment:
    return Environment(None, None, io.StringIO(), {"HYBRID_HOME": str(home)})


def notes(world: Environment) -> str:
    assert isinstance(world.stderr, io.StringIO)
    return world.stderr.getvalue()


def whole() -> Calibration:
    """Return a calibration with every field."""
    promises = [
        Promise("wrong_at_most", 0.2, 0.3, 0.5, 0.19, [-2.0, None, -1.0]),
        Promise("escalate_at_most", 0.3, 0.7, 0.3, 0.25, [None] * 3),
        Promise("quality_at_least", 0.9, None),
    ]
    score = fit_cloud(
        [CloudOutcome("1", "a", "a", [3, 5], right=True), CloudOutcome("2", "a", "a", [5], right=False)]
    )
    return made_calibration(WEIGHTS, *promises, delta=0.1, cloud="m", cloud_score=score)


def promised(*values: float, target: str = "wrong_at_most", none: tuple[float, ...] = ()) -> Calibration:
    kept = [Promise(target, value, None if value in none else value) for value in values]  # type: ignore[arg-type]
    return made_calibration(WEIGHTS, *kept)


@pytest.mark.parametrize(
    ("target", "value", "found"),
    [
        ("wrong_at_most", 0.2, 0.2),
        ("wrong_at_most", 0.19, 0.1),
        ("wrong_at_most", 0.21, 0.2),
        ("wrong_at_most", 0.9, 0.3),
        ("wrong_at_most", 0.09, None),
        ("wrong_at_most", 0.1 + 1e-12, 0.1),
        ("escalate_at_most", 0.25, 0.2),
        ("escalate_at_most", 0.05, None),
        ("quality_at_least", 0.15, 0.2),
        ("quality_at_least", 0.3, 0.3),
        ("quality_at_least", 0.31, None),
    ],
)
def test_the_next_stricter_promise_counts(target: str, value: float, found: float | None) -> None:
    promise = promised(0.3, 0.1, 0.2, target=target).promise(target, value)
    assert (promise.value if promise else None) == found
    others = {"wrong_at_most", "escalate_at_most", "quality_at_least"} - {target}
    assert all(promised(0.1, 0.2, 0.3, target=target).promise(other, 0.2) is None for other in others)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(0, 1))
@settings(max_examples=50)
def test_a_promise_is_never_weaker_than_asked(values: list[float], asked: float) -> None:
    for target, sign in (("wrong_at_most", -1), ("escalate_at_most", -1), ("quality_at_least", 1)):
        found = promised(*values, target=target).promise(target, asked)
        stricter = [value for value in values if (value - asked) * sign >= 0]
        if found is None:
            assert not stricter
        else:
            assert (found.value - asked) * sign >= -1e-9
            assert all(abs(found.value - asked) <= abs(value - asked) for value in stricter)


def test_a_promise_that_cannot_be_kept_is_not_replaced_by_a_stricter_one() -> None:
    found = promised(0.1, 0.2, none=(0.2,)).promise("wrong_at_most", 0.2)
    assert found is not None
    assert found.keep_to is None


def test_quality_counts_on_one_cloud_only() -> None:
    with_cloud = made_calibration(WEIGHTS, cloud="m")
    assert with_cloud.misfit("quality_at_least", "m") is None
    assert with_cloud.misfit("quality_at_least", "other") == "it counts on the cloud m"
    assert with_cloud.misfit("wrong_at_most", "other") is None
    assert made_calibration(WEIGHTS).misfit("quality_at_least", "m") == "it knows no cloud's answers"


def test_a_stored_calibration_is_found_again(tmp_path: Path) -> None:
    world, made = environment(tmp_path), whole()
    path = store(made, world)
    assert find(WEIGHTS, world) == made
    assert find("b" * 64, world) is None
    again = msgspec.structs.replace(made, rows=777)
    assert store(again, world) == path
    assert find(WEIGHTS, world) == again
    assert path.read_bytes() == as_text(again)
    assert notes(world) == ""


def test_the_users_calibration_comes_before_the_shipped_one(tmp_path: Path) -> None:
    world, known = environment(tmp_path), shipped()[0]
    assert find(known.weights, world) == known
    own = msgspec.structs.replace(known, rows=1)
    store(own, world)
    assert find(known.weights, world) == own


def test_another_versions_calibration_is_ignored(tmp_path: Path) -> None:
    """Its signals mean something else. The shipped one is used then."""
    world, known = environment(tmp_path), shipped()[0]
    for version in (VERSION - 1, VERSION + 1):
        store(msgspec.structs.replace(known, version=version), world)
        assert find(known.weights, world) == known
        store(msgspec.structs.replace(made_calibration(WEIGHTS), version=version), world)
        assert find(WEIGHTS, world) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"9" * 5000, b"[" * 100_000])
def test_a_file_that_is_no_calibration_is_told_and_ignored(tmp_path: Path, content: bytes) -> None:
    world = environment(tmp_path)
    path = store(whole(), world)
    bad = path.with_name("0bad.json")  # it is read first
    bad.write_bytes(content)
    assert find(WEIGHTS, world) == whole()
    assert notes(world) == f"hybrid: {bad} is not a valid calibration; ignored\n"


def test_nothing_in_the_folder_blocks(tmp_path: Path) -> None:
    world = environment(tmp_path)
    folder = store(whole(), world).parent
    os.mkfifo(folder / "0fifo.json")
    (folder / "1folder.json").mkdir()
    (folder / "2loop.json").symlink_to(folder / "2loop.json")
    assert find(WEIGHTS, world) == whole()
    assert notes(world).count("is not a valid calibration; ignored") == 3


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value in a JSON value; of a long list the first two."""
    if at:
        yield at
    items = (
        value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    )
    for key, part in items:
        yield from paths(part, (*at, key))


WHOLE: dict[str, Any] = json.loads(as_text(whole()))
MISSING = object()
JUNK: tuple[Any, ...] = (
    MISSING,
    None,
    "",
    "AAAA",
    0,
    -1,
    1e308,
    -1e308,
    10**30,
    True,
    [],
    [None],
    {},
    {"x": 1},
)


@pytest.mark.parametrize("at", list(paths(WHOLE)), ids=lambda at: ".".join(map(str, at)))
def test_a_damaged_field_never_crashes_a_run(tmp_path: Path, at: tuple[Any, ...]) -> None:
    """Either the file is ignored with a note, or a run can use it."""
    world = environment(tmp_path)
    path = store(whole(), world)
    for junk in JUNK:
        data = copy.deepcopy(WHOLE)
        *outer, last = at
        part = data
        for key in outer:
            part = part[key]
        if junk is MISSING:
            del part[last]
        else:
            part[last] = junk
        path.write_text(json.dumps(data))
        found = find(WEIGHTS, world)
        if found is None:
            assert f"{path} is not a valid calibration; ignored" in notes(world) or at[0] in (
                "weights",
                "version",
            )
            continue
        judged(found)


def judged(calibration: Calibration) -> None:
    """Judge an answer by each promise; a confidence is a probability."""
    for promise in calibration.promises:
        threshold = 1.0 if promise.keep_to is None else 1 - promise.keep_to
        criterion = Criterion(threshold, calibration, promise).for_request(REQUEST)
        criterion.fails_early(RESULT.logprobs)
        confidence = judge(RESULT, criterion).confidence
        assert confidence is not None
        assert 0 <= confidence <= 1, promise


def test_damaged_bytes_never_crash_a_run(tmp_path: Path) -> None:
    world, generator = environment(tmp_path), random.Random(1)
    path, text = store(whole(), world), as_text(whole())
    ignored = 0
    for _ in range(120):
        place = generator.randrange(len(text))
        path.write_bytes(
            text[:place]
            + generator.randbytes(generator.randrange(4))
            + text[place + generator.randrange(60) :]
        )
        found = find(WEIGHTS, world)
        if found is None:
            ignored += 1
        else:
            judged(found)
    assert ignored > 60
    assert notes(world).count("is not a valid calibration; ignored") >= ignored - 20


def test_early_floors_belong_to_this_versions_checkpoints() -> None:
    with pytest.raises(ValueError, match="checkpoints"):
        Promise("wrong_at_most", 0.1, 0.1, early=[None])
    assert Promise("wrong_at_most", 0.1, 0.1, early=[None] * len(CHECKPOINTS)).early


def test_shipped_calibrations_fit_models_of_the_catalog() -> None:
    """They are for weights that `hybrid pull` gets, and for the signals of this version."""
    catalog = {
        name: {file.sha256: file.size for file in entry.files} for name, entry in shipped_catalog().items()
    }
    found = shipped()
    assert {one.model for one in found} == {"smollm2-135m", "qwen2.5-coder-1.5b"}
    assert {path.stem for path in module.SHIPPED.glob("*.json")} == {one.model for one in found}
    assert [one.size for one in found] == sorted(one.size for one in found)
    for one in found:
        assert catalog[one.model][one.weights] == one.size
        assert one.version == VERSION
        assert one.rows >= 300
        assert one.cloud is None
        assert one.delta is None


@pytest.mark.parametrize("value", [0.1, 0.2, 0.35])
def test_shipped_calibrations_have_the_promises_of_shipped_profiles(value: float) -> None:
    for one in shipped():
        promise = one.promise("wrong_at_most", value)
        assert promise is not None
        assert promise.value == value
        if promise.keep_to is not None:
            assert promise.wrong is not None
            assert promise.wrong <= value
            assert 0 < 1 - promise.keep_to < 1


def test_the_larger_shipped_model_is_the_better_one() -> None:
    small, large = shipped()
    assert large.score.wrong < small.score.wrong
    shares = [one.promise("wrong_at_most", 0.35) for one in (small, large)]
    assert all(shares)
    assert shares[1].handed_off < shares[0].handed_off  # type: ignore[union-attr]


def test_an_own_calibration_folder_that_is_missing_is_no_error(tmp_path: Path) -> None:
    world = replace(environment(tmp_path), verbosity=1)
    assert find(WEIGHTS, world) is None
    assert notes(world) == ""
