"""Table-driven tests of pure functions: gate, loops, origins, messages, exit codes."""

from __future__ import annotations

import math

import pytest

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.gate.features import answer_signals
from hybrid_cli.gate.verdict import LocalResult, judge
from hybrid_cli.local.repetition import is_looping
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.prompt import Question, Request


@pytest.mark.parametrize(
    ("result", "reason", "stage", "code"),
    [
        (LocalResult("yes", "stop", [-0.1]), "none", "end", None),
        (LocalResult("yes", "stop", [-1.0]), "unsure", "end", None),
        (LocalResult("yes", "stop", [-0.1, None]), "unsure", "end", None),
        (LocalResult("yes", "stop", []), "unsure", "end", None),
        (LocalResult(" \n", "stop", [-0.1]), "check_failed", "checks", ExitStatus.CHECK),
        (LocalResult("yes", "length", [-0.1]), "check_failed", "checks", ExitStatus.CHECK),
        (LocalResult("yes", "loop", [-0.1]), "check_failed", "checks", ExitStatus.CHECK),
        (LocalResult("", "overflow"), "context", "fit", ExitStatus.DENIED),
    ],
)
def test_the_gate_judges_results(
    result: LocalResult, reason: str, stage: str, code: ExitStatus | None
) -> None:
    verdict = judge(result, Criterion(0.5))
    assert (verdict.reason, verdict.stage) == (reason, stage)
    assert (verdict.failure.status if verdict.failure else None) == code


def test_a_missing_signal_is_never_confident() -> None:
    def confidence(logprobs: list[float | None]) -> float | None:
        return Criterion(0.5).confidence(answer_signals(logprobs, 3, None))

    assert confidence([]) is None
    assert confidence([0.0, None, 0.0]) is None
    assert confidence([math.log(0.25), math.log(1.0)]) == pytest.approx(0.5)
    assert judge(LocalResult("yes", "stop", [None]), Criterion(0.0)).reason == "unsure"


@pytest.mark.parametrize(
    ("tokens", "looping"),
    [
        ([], False),
        (list(range(200)), False),
        ([1, 2] * 20, True),
        ([1, 2] * 10, False),  # 20 tokens: a short refrain is no loop
        ([7] * 31, False),
        ([7] * 32, True),
        ([*range(50), *([1, 2, 3] * 20)], True),
        ([*([1, 2, 3] * 20), 4], False),
        (list(range(64)) * 4, True),
        (list(range(64)) * 3, False),
        (list(range(65)) * 5, False),
    ],
)
def test_loops_are_detected(tokens: list[int], looping: bool) -> None:
    assert is_looping(tokens) is looping


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com"),
        ("HTTPS://API.OpenAI.com:443", "https://api.openai.com"),
        ("https://example.com:8443/v1/", "https://example.com:8443"),
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080"),
        ("http://[::1]:80", "http://[::1]"),
        ("http://localhost", "http://localhost"),
        ("http://example.com", None),
        ("http://127.0.0.1.example.com", None),
        ("http://localhost@example.com", None),
        ("https://user:password@example.com", None),
        ("ftp://example.com", None),
        ("https://", None),
        ("https://example.com:port", None),
        ("example.com", None),
        ("", None),
    ],
)
def test_origins_are_normalised(url: str, origin: str | None) -> None:
    if origin is None:
        with pytest.raises(Failure) as raised:
            origin_of(url)
        assert raised.value.status is ExitStatus.USAGE
    else:
        assert origin_of(url) == origin


def test_messages_put_context_before_the_prompt() -> None:
    request = Request(Question("Which city?", "In Paris.\n"), "Be brief.")
    assert request.messages() == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "In Paris.\n\nWhich city?"},
    ]
    assert Request(Question("Hi", " \n"), None).messages() == [{"role": "user", "content": "Hi"}]


def test_exit_codes_are_the_contracts() -> None:
    assert {status.value for status in ExitStatus} == {0, 1, 2, 3, 4, 5, 6, 7, 8, 124, 130, 141, 143}
    assert all(status.meaning for status in ExitStatus)
