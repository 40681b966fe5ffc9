"""Answers that are doubted whatever their confidence, and answers like them that are not."""

from __future__ import annotations

import pytest

from hybrid_cli.checks.arithmetic import miscalculation
from hybrid_cli.checks.asked_language import LANGUAGES, asked_language
from hybrid_cli.checks.plain_sense import nonsense
from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.gate.verdict import LocalResult, judge

FRUIT = "pear\napple\nfig\n"
LONG = "the weather is nice today and I am happy to see you"


@pytest.mark.parametrize(
    ("answer", "prompt", "context", "finding"),
    [
        ("pear\napple\nfig", "Sort these lines.", FRUIT, "repeats its input"),
        ("- pear\n- apple\n- fig", "Sort these lines.", FRUIT, "repeats its input"),
        (LONG.upper(), f"Translate to French: {LONG}", "", "repeats the prompt"),
        (f"You asked: Translate to French: {LONG}", f"Translate to French: {LONG}", "", "repeats the prompt"),
        ("No, 91 is prime.", "Is 91 prime?", "", "contradicts itself"),
        ("Yes, 91 is not a prime number.", "Is 91 a prime number?", "", "contradicts itself"),
        ("No. The sky is blue!", "Is the sky blue?", "", "contradicts itself"),
        ("**No**, 91 is prime.", "Is 91 prime?", "", "contradicts itself"),
        ("No, 91 is prime.", "Answer yes or no: is 91 prime?", "", "contradicts itself"),
        ("Yes. 91 is not a prime number.", "Is 91 prime?", "", "contradicts itself"),
        ("[]", "List the errors as JSON.", "a log", "is empty"),
        ('{"fruits": ["", ""]}', "Extract the fruits.", "a text", "is empty"),
        ("...", "Continue the story.", "", "is empty"),
        ("4096", "What is 17 times 23?", "", "is not 17 * 23"),
        ("22", "Whats 15+6?", "", "is not 15+6"),
        ("```json\n{}\n```", "Extract the name as JSON.", "a text", "is empty"),
        ("- \n- \n", "List two colours.", "", "is empty"),
        ("17 * 23 = 4096", "What is 17 * 23?", "", "says that 17 * 23 = 4096"),
        ("He has 3 + 4 = 8 apples.", "How many apples?", "", "says that 3 + 4 = 8"),
        (r"so 2 \times 3 = 7.", "How many?", "", "says that 2 * 3 = 7"),
        ("5 x 5 = 20", "How many?", "", "says that 5 * 5 = 20"),
        ("$1,200 + $300 = $1,600", "What does it cost?", "", "says that $1,200 + $300 = $1,600"),
        ("10 / 4 = 2.4", "How much?", "", "says that 10 / 4 = 2.4"),
        ('{"value": 3248}', "Calculate 76 * 44.", "", "is not 76 * 44"),
        ("5", "((-7 * -9 + 8 * -3) * (5 + -7 - 4 * -5)) =", "", "is not ((-7 * -9 + 8 * -3) * (5 + -7 - 4 * -5))"),
        ("The cat is on the mat today.", "Translate to German: le chat", "", "is in another language than `de`"),
        ("Die Katze sitzt heute auf der Matte.", "Antworte auf Englisch: wo?", "", "is in another language than `en`"),
    ],
)  # fmt: skip
def test_senseless_answers_are_found(answer: str, prompt: str, context: str, finding: str) -> None:
    assert nonsense(answer, prompt, context) == finding


@pytest.mark.parametrize(
    ("answer", "prompt", "context"),
    [
        ("apple\nfig\npear", "Sort these lines.", FRUIT),
        ("apple", "Which is red?", FRUIT),
        ("pear\napple", "Print the first two lines.", FRUIT),
        ('{\n  "a": 1\n}', "Format this JSON.", '{"a": 1}'),
        ("THE CAT SAT DOWN", "Upper case.", "the cat sat down"),
        ("one, two and three", "Fix the spelling.", "one, two and three"),
        (
            "the cat sat on the mat and it was warm",
            "Repeat after me: the cat sat on the mat and it was warm",
            "",
        ),
        (
            "THE CAT SAT ON THE MAT AND IT WAS WARM",
            "Uppercase this: the cat sat on the mat and it was warm",
            "",
        ),
        ("No, Python is older than Java.", "Is Java older than Python?", ""),
        ("No, the sun is bigger than the earth.", "Is the earth bigger than the sun?", ""),
        ("none", "Name the owner, or answer none if there is none.", "a text"),
        ("[]", "Extract the mails as JSON, [] if there are none.", "a text"),
        ("It is buona notte; you say it late in the evening.", "How do you say 'good night' in Italian?", ""),
        ("You bow and say arigato, which is thanks.", "Explain how to say thank you in Japanese.", ""),
        ("No, 2 + 2 = 5 is wrong.", "Is 2 + 2 = 5?", ""),
        ("negative 3", "What is 4 - 7?", ""),
        ("12k", "What is 4 * 3000?", ""),
        ("0.30000000000000004", "What is 0.1 + 0.2?", ""),
        ("2 / 3 = 0.66", "How much?", ""),
        ("all day, every day", "What is 24/7?", ""),
        ("0x10 + 1 = 17", "How much?", ""),
        ("Paris", "Is Paris or Lyon the capital?", ""),
        ("No, 91 is divisible by 7.", "Is 91 prime?", ""),
        ("No, 91 is not prime.", "Is 91 prime?", ""),
        ("Yes, 97 is prime.", "Is 97 prime?", ""),
        ("No, it is prime because it has no divisors.", "Isn't 7 composite?", ""),
        ("Yes, it is.", "Is it raining?", ""),
        ("None of them is.", "Which one is red?", ""),
        ("[1, 2]", "List two numbers as JSON.", ""),
        ("391", "What is 17 * 23?", ""),
        ("17 × 23 = 391", "What is 17 × 23?", ""),
        ("It is 8 * 4 = 32 * 2 = 64.", "How many?", ""),
        ("10 / 3 = 3.33", "How much?", ""),
        ("3", "Round 10 / 3 to a whole number.", ""),
        ("3", "Give me 3 - 4 tips.", ""),
        ("2024-05-01", "What day is 2024-04-30 plus a day?", ""),
        ("x = 5", "Solve 2x + 3 = 13.", ""),
        ("y - 5 + 2 = 9", "Simplify.", ""),
        ("5% of 20 + 1 = 2", "How much?", ""),
        ("if a == 3 - 1: x = 4 - 2 + y", "Write code.", ""),
        ("1. Start at 08:00.\n- 08 + 8 = 16", "What time is it?", ""),
        ("Die Katze sitzt heute auf der Matte.", "Translate to German: the cat sits on the mat", ""),
        ("Katze", "Translate to German: cat", ""),
        ("It has four cases, which mark the role of nouns.", "Explain the cases in German grammar.", ""),
    ],
)
def test_answers_that_may_be_right_are_left_alone(answer: str, prompt: str, context: str) -> None:
    assert nonsense(answer, prompt, context) is None


def test_a_senseless_answer_is_handed_off_but_usable_where_that_is_denied() -> None:
    verdict = judge(
        LocalResult("No, 91 is prime.", "stop", [-0.01], doubt="contradicts itself"), Criterion(0.4)
    )
    assert (verdict.reason, verdict.explanation) == ("check_failed", "the local answer contradicts itself")
    assert verdict.failure is None


def test_a_calculation_out_of_bounds_is_not_judged() -> None:
    nested = "((((9^64)^64)^64)^64)^64"
    for text in (
        "9^9^9^9 = 1",
        "1 / 0 = 5",
        "2^100000 = 7",
        f"{nested} = 3",
        "(" * 500 + "1 + 1" + ")" * 500 + " = 3",
    ):
        assert miscalculation(text, "", "") is None
    assert miscalculation(" " * 20_000 + "1 +" * 20_000 + "= 5", "", "") is None


def test_a_long_text_is_checked_in_linear_time() -> None:
    for text in (" " * 50_000, "- " * 50_000, "no, " * 50_000, "[" * 50_000, "1 + " * 20_000, "A" * 200_000):
        assert nonsense(text, "x", "") in (None, "is empty")
        assert nonsense("x", text, text) is None


def test_each_language_is_recognised_by_each_of_its_names() -> None:
    for code, names in LANGUAGES.items():
        for name in names.split():
            assert asked_language(f"Translate this text to {name.title()}: x") == code
