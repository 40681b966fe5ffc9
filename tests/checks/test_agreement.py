"""Agreement of calculated answers: the number that each comes to."""

from __future__ import annotations

import pytest

from hybrid_cli.checks.agreement import result_of


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("17 + 25 is 42.", 42),
        ("First 17, then 25.\n\nThe answer is 42 apples.\n", 42),
        ("#### 1,234.50", 1234.5),
        ("It costs $3.40.", 3.4),
        ("The change is -7 degrees.", -7),
        ("3 * 4 = 12", 12),
        ("1. 42", 42),
        ("2) nothing follows", None),
        ("- 8", 8),
        ("42\nThat is all.", None),
        ("So it is:\n\\[\n\\boxed{61}\n\\]\n", 61),
        ("3 + 5 = 8 arms.\n\n#### <number>", 8),
        ("```\n42\n```", 42),
        ("no number", None),
        ("<3>", None),
        ("", None),
        (" \n ", None),
    ],
)
def test_the_number_an_answer_comes_to(text: str, number: float | None) -> None:
    assert result_of(text) == number
