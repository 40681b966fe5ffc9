"""The kind of a prompt: likely right on the exam, the same everywhere, and cheap for any prompt."""

from __future__ import annotations

import math
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_cli.evaluate import exam
from hybrid_cli.gate.prompt_kinds import prompt_kinds
from hybrid_cli.prompt import Question

NO_NUMPY = """
import sys
from hybrid_cli.gate.calibration import shipped
from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.gate.verdict import LocalResult, judge
from hybrid_cli.prompt import Question, Request

calibration = shipped()[0]
criterion = Criterion(0.5, calibration, calibration.promises[0])
criterion = criterion.for_request(Request(Question("What is 2 + 2?", ""), None))
print(judge(LocalResult("4", "stop", [-0.1], tokens_in=5), criterion).confidence is not None, "numpy" in sys.modules)
"""


def shares(prompt: str, context: str = "", *, has_schema: bool = False, choices: int = 0) -> list[float]:
    return prompt_kinds().shares(Question(prompt, context), has_schema=has_schema, choices=choices)


def test_the_kinds_are_those_of_the_exam() -> None:
    assert prompt_kinds().kinds == [kind.name for kind in exam.KINDS]


def test_new_exam_questions_are_of_their_kind() -> None:
    """The classifier was trained on other seeds."""
    names, asked = prompt_kinds().kinds, exam.questions(260, 7)
    found = [
        shares(one.prompt, one.context, has_schema=one.schema is not None, choices=len(one.choices))
        for one in asked
    ]
    right = [names[share.index(max(share))] == one.kind for share, one in zip(found, asked, strict=True)]
    assert sum(right) / len(right) > 0.9
    own = [share[names.index(one.kind)] for share, one in zip(found, asked, strict=True)]
    assert sum(own) / len(own) > 0.6  # and it is sure of most


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("What is 418 * 23? Reply with the number only.", "arithmetic"),
        ("What is the capital of Peru?", "facts"),
    ],
)
def test_prompts_as_users_write_them(prompt: str, kind: str) -> None:
    found = shares(prompt)
    assert kind in sorted(prompt_kinds().kinds, key=lambda name: -found[prompt_kinds().kinds.index(name)])[:2]


@given(st.text(max_size=60), st.text(max_size=60), st.booleans(), st.integers(0, 50))
@settings(max_examples=60)
def test_shares_sum_to_1_and_depend_on_the_prompt_alone(
    prompt: str, context: str, has_schema: bool, choices: int
) -> None:
    found = shares(prompt, context, has_schema=has_schema, choices=choices)
    assert len(found) == len(prompt_kinds().kinds)
    assert all(0 <= share <= 1 for share in found)
    assert sum(found) == pytest.approx(1)
    shares("another prompt in between", "A. x\nB. y")
    assert shares(prompt, context, has_schema=has_schema, choices=choices) == found


def test_form_counts_beside_the_words() -> None:
    prompt = "Which of these is it?"
    forms = [
        shares(prompt),
        shares(prompt, has_schema=True),
        shares(prompt, choices=4),
        shares(prompt, "A long text."),
    ]
    assert len({tuple(found) for found in forms}) == 4


def test_of_a_long_prompt_the_beginning_and_end_are_read() -> None:
    ends = ("Summarise this log.\n" + "begin " * 1200, " finish" * 400 + "\nIn one line.")
    first, other = (shares(ends[0] + middle * 50_000 + ends[1]) for middle in ("quick fox ", "f(x) = {7}; "))
    assert first == other
    assert shares(f"{ends[0]}tail", "x" * 100) != shares("Translate.", "x" * 100)


@pytest.mark.parametrize(
    "prompt",
    [
        "word " * 1_000_000,
        "A. x\n" * 2000,
        "A. \n" + "\n" * 8000,
        "1 " * 5000,
        "how many " * 2000,
        "{}[]()" * 5000,
        "".join(map(chr, range(0x4E00, 0x9000))),
        "\0" * 10_000,
    ],
    ids=["words", "options", "empty lines", "numbers", "how many", "brackets", "no words", "NUL"],
)
def test_no_prompt_takes_long(prompt: str) -> None:
    started = time.process_time()
    found = shares(prompt)
    assert time.process_time() - started < 0.5  # of the processor; it is about 10 ms
    assert all(map(math.isfinite, found))


def test_a_run_needs_no_numpy_for_its_score() -> None:
    """Importing numpy takes longer than the gate's own work."""
    done = subprocess.run([sys.executable, "-c", NO_NUMPY], capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["True", "False"]
