"""`escalation.samples`: a long calculated answer near the threshold is compared with more samples of the real model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybrid_cli.cascade.samples import has_time, sampled_request
from hybrid_cli.gate.calibration import Promise, as_text
from hybrid_cli.gate.verdict import LocalResult
from hybrid_cli.local.protocol import LocalRequest, Task
from hybrid_cli.weights.catalog import shipped_catalog
from hybrid_process import Hybrid
from made_rows import made_calibration
from scripted_cloud import ScriptedCloud
from served_hybrid import serving

Profile = Callable[..., Path]
PROMPT = "Tell the history of the Eiffel Tower in one paragraph, with the year it was built."
"""The small model's answer is long enough, has a number in its last line, and calculates nothing wrongly."""
SAMPLES = "escalation: {samples: 2, target: {wrong_at_most: 0.2}}\n"
ANSWERS = SAMPLES.replace("samples", "on_denied: answer, on_cloud_failure: answer, samples")
KEY = "ghp_" + "A7b9C1d3E5f7G9h1J3k5L7m9N1p3Q5r7S9t1"


def calibrate(home: Path, shifts: list[float]) -> None:
    promises = [Promise("wrong_at_most", 0.2, 0.5, 0.5)]
    calibration = made_calibration(
        shipped_catalog()["smollm2-135m"].files[0].sha256, *promises, shifts=shifts
    )
    folder = home / "config" / "calibrations"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "made.json").write_bytes(as_text(calibration))


@pytest.fixture
def answer(
    hybrid: Hybrid, home: Path, cloud: ScriptedCloud, profile: Profile
) -> Callable[..., tuple[dict[str, Any], str]]:
    def ask(
        shifts: list[float], *arguments: str, text: str = SAMPLES, prompt: str = PROMPT
    ) -> tuple[dict[str, Any], str]:
        calibrate(home, shifts)
        path = profile(cloud.section() + text)
        done = hybrid("run", "-p", path, "--json", "-v", *arguments, prompt, HYBRID_CONSENT=cloud.origin)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr.decode()

    return ask


def test_agreement_decides_near_the_threshold(answer: Callable[..., tuple[dict[str, Any], str]]) -> None:
    """The samples' seeds are their own, but fixed: whatever they say, every order of answers says it."""
    first, told = answer([9, 0, -9])
    agreement = first["handoff"]["signals"]["agreement"]
    assert agreement in (0.0, 0.5, 1.0)
    assert f"with the same number: {round(agreement * told_count(told))}" in told
    check_cost(first, told)
    trusted, told = answer([9, -9, -9])
    assert trusted["answered_by"] == ("cloud" if agreement == 0 else "local")
    check_cost(trusted, told)
    doubted, told = answer([-9, 9, 9])
    assert doubted["answered_by"] == ("local" if agreement == 0 else "cloud")
    check_cost(doubted, told)


def check_cost(found: dict[str, Any], told: str) -> None:
    """The samples are counted apart from the answer, whichever model gave it."""
    samples, local, timings = found["samples"], found["usage"]["local"], found["timings"]
    assert samples["count"] == told_count(told)
    assert samples["in"] == samples["count"] * local["in"]  # each reads the whole prompt
    assert samples["count"] * 2 <= samples["out"] <= samples["count"] * 2 * local["out"]
    assert samples["seconds"] > 0
    assert samples["seconds"] + timings["local"] < timings["total"]


def test_the_second_sample_is_drawn_only_if_it_may_decide(
    answer: Callable[..., tuple[dict[str, Any], str]],
) -> None:
    _, one_is_enough = answer([9, -9, -9])
    _, both_are_needed = answer([9, 9, -9])
    assert told_count(one_is_enough) + told_count(both_are_needed) == 3  # by what the first sample says


def test_pipe_and_serve_count_what_samples_cost(
    command: str, hybrid: Hybrid, home: Path, cloud: ScriptedCloud, profile: Profile
) -> None:
    calibrate(home, [9, 0, -9])
    text = profile(cloud.section() + SAMPLES).read_text()
    (home / "config" / "profiles").mkdir(parents=True, exist_ok=True)
    (home / "config" / "profiles" / "sampling.yaml").write_text(text)
    done = hybrid(
        "pipe", "-q", "-p", "sampling", "--jsonl", PROMPT, stdin=b"Paris\n", HYBRID_CONSENT=cloud.origin
    )
    piped = json.loads(done.stdout)["hybrid"]
    assert piped["samples"]["count"] >= 1, done.stderr
    assert piped["samples"]["in"] == piped["samples"]["count"] * piped["usage"]["local"]["in"]
    with serving(command, home, cloud) as served:
        answered = served.client().chat.completions.create(
            model="hybrid/sampling", messages=[{"role": "user", "content": PROMPT}]
        )
        own = answered.model_extra["hybrid"]
        assert own["samples"]["count"] >= 1
        for direction in ("in", "out"):
            whole = own["samples"][direction] + own["usage"]["local"][direction]
            assert served.metric(f'hybrid_tokens_total{{side="local",direction="{direction}"}}') == whole
        served.close_clients()


def told_count(told: str) -> int:
    """Return how many samples were drawn, by the line of `-v`."""
    found = re.search(r"near the threshold; samples drawn: (\d)", told)
    assert found is not None, told
    return int(found[1])


@pytest.mark.parametrize(
    ("shifts", "arguments", "text", "prompt"),
    [
        pytest.param([0, 0, 0], [], SAMPLES, PROMPT, id="it cannot change the decision"),
        pytest.param([9, 0, -9], ["--escalation", "forbid"], SAMPLES, PROMPT, id="nothing may leave"),
        pytest.param([9, 0, -9], [], SAMPLES, "Say hello.", id="a short answer"),
        pytest.param([9, 0, -9], [], SAMPLES.replace("2,", "0,", 1), PROMPT, id="it is off"),
        pytest.param([9, 0, -9], [], ANSWERS, f"{PROMPT} My key is {KEY}.", id="a secret may not leave"),
        pytest.param([9, 0, -9], ["--escalation", "ask"], ANSWERS, PROMPT, id="nobody can be asked"),
        pytest.param(
            [9, 0, -9], [], f"{ANSWERS}limits: {{calls_per_day: 0}}\n", PROMPT, id="the limit is reached"
        ),
    ],
)
def test_no_sample_is_drawn_in_vain(
    answer: Callable[..., tuple[dict[str, Any], str]],
    shifts: list[float],
    arguments: list[str],
    text: str,
    prompt: str,
) -> None:
    found, told = answer(shifts, *arguments, text=text, prompt=prompt)
    assert "agreement" not in found["handoff"]["signals"]
    assert "samples drawn" not in told
    assert found["samples"] == {"count": 0, "in": 0, "out": 0, "seconds": 0.0}


def test_no_sample_is_much_longer_than_the_answer() -> None:
    tasks = [Task([{"role": "user", "content": "2 + 2?"}], most) for most in (512, 100)]
    answers = [LocalResult("4", logprobs=[-0.1] * 60) for _ in tasks]
    request = sampled_request(LocalRequest("m.gguf", tasks), answers, [1, 2])
    assert [(task.sample, task.max_tokens) for task in request.tasks] == [
        (1, 120),
        (2, 120),
        (1, 100),
        (2, 100),
    ]


@pytest.mark.parametrize(
    ("limit", "elapsed", "expected"), [(None, 1e6, True), (60, 10, True), (60, 40, False), (60, 70, False)]
)
def test_a_sample_needs_as_much_time_as_the_answer(
    limit: float | None, elapsed: float, expected: bool
) -> None:
    assert has_time(LocalResult("4", seconds=30.0), elapsed, limit) == expected
