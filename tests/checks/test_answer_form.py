"""The form of an answer: said to the model, counted, measured against chance, and turned into exit codes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from hybrid_cli.checks.answer_form import alternatives, form_instruction
from hybrid_cli.checks.json_schema import checked_schema
from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.gate.features import answer_signals
from hybrid_process import Hybrid
from scripted_cloud import Reply, ScriptedCloud

NESTED = {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "null"}}}}}


@pytest.mark.parametrize(
    ("schema", "said", "count"),
    [
        ({"enum": ["yes", "no"]}, 'Answer with exactly one of: "yes", "no".', 2),
        ({"type": "boolean"}, "Answer with exactly one of: true, false.", 2),
        ({"const": 7}, "Answer with exactly one of: 7.", 1),
        (
            {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "level": {"enum": ["low", "high"]},
                    "tags": {"type": "array", "items": {"type": "string"}},
                },
            },
            'Answer as JSON with the keys name (string), level (one of "low", "high"), tags (list of string).',
            None,
        ),
        (NESTED, f"Answer as JSON that matches this schema: {json.dumps(NESTED)}", None),
        ({"type": "object", "properties": {"x" * 3000: {"type": "string"}}}, "Answer as JSON.", None),
    ],
)
def test_a_schema_is_said_in_few_words(schema: dict[str, Any], said: str, count: int | None) -> None:
    checked = checked_schema(schema, "test")
    assert form_instruction(checked, ()) == said
    assert alternatives(checked, ()) == count


def test_choices_come_before_a_schema_and_a_free_answer_needs_no_words() -> None:
    assert form_instruction(None, ("a", "b")) == "Answer with exactly one of: a, b."
    assert (form_instruction(None, ()), alternatives(None, ()), alternatives(None, ("a", "b", "c"))) == (
        "",
        None,
        3,
    )


@pytest.mark.parametrize(
    ("share", "count", "confidence"),
    [(0.5, 2, 0.0), (1.0, 2, 1.0), (0.75, 2, 0.5), (0.2, 4, 0.0), (0.3, 1, 1.0)],
)
def test_a_share_counts_only_above_chance(share: float, count: int, confidence: float) -> None:
    signals = answer_signals([math.log(share)], 10, None)
    assert Criterion(0.4, alternatives=count).confidence(signals) == pytest.approx(confidence)
    assert Criterion(0.4, alternatives=count).confidence(answer_signals([None], 10, None)) is None


def test_an_enums_confidence_is_its_share_among_the_values(hybrid: Hybrid) -> None:
    """Both ways of asking give the model the same two answers, so the shares must nearly agree."""

    def confidence(*arguments: str) -> float:
        done = hybrid("run", "-p", "offline", "--json", *arguments, "Is Paris in France?")
        return float(json.loads(done.stdout)["handoff"]["confidence"])

    by_schema = confidence("--schema", '{"enum": ["yes", "no"]}')
    by_choices = confidence("--choices", '"""yes""","""no"""')
    assert by_schema == pytest.approx(by_choices, abs=0.15)
    assert by_schema > 0.2  # without the share it was 0.00 to 0.03 for right answers


def test_the_exit_code_is_the_choice(
    hybrid: Hybrid, profile: Callable[..., Any], cloud: ScriptedCloud
) -> None:
    path = profile(cloud.section() + "escalation: {mode: force}\n")
    codes = {}
    for word in ("yes", "No.", "maybe"):
        cloud.respond = lambda _body, word=word: Reply(pieces=(word,))
        done = hybrid(
            "run",
            "-p",
            path,
            "--choices",
            "yes,no,maybe",
            "--exit-code",
            "Is it?",
            HYBRID_CONSENT=cloud.origin,
        )
        codes[done.stdout] = done.returncode
    assert codes == {b"yes\n": 0, b"no\n": 10, b"maybe\n": 11}
    assert "Answer with exactly one of: yes, no, maybe." in cloud.received[0].body["messages"][0]["content"]
    cloud.respond = lambda _body: Reply(pieces=("neither",))
    done = hybrid(
        "run", "-p", path, "--choices", "yes,no", "--exit-code", "Is it?", HYBRID_CONSENT=cloud.origin
    )
    assert (done.returncode, done.stdout) == (7, b"")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--exit-code",), b"--exit-code needs --choices"),
        (("--choices", "a,b", "--schema", '{"type": "null"}'), b"use --choices or --schema, not both"),
        (
            ("--choices", ",".join(map(str, range(92))), "--exit-code"),
            b"--exit-code allows at most 91 choices",
        ),
    ],
)
def test_choices_that_cannot_be_used(hybrid: Hybrid, arguments: tuple[str, ...], message: bytes) -> None:
    done = hybrid("run", *arguments, "hi")
    assert (done.returncode, done.stdout) == (2, b"")
    assert message in done.stderr
