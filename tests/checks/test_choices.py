"""An answer that names one of the choices."""

from __future__ import annotations

import pytest

from hybrid_cli.checks.choices import matching_choice


@pytest.mark.parametrize(
    ("text", "choices", "chosen"),
    [
        ("*****", ("*", "**", "***", "****", "*****"), "*****"),
        ("***", ("*", "**", "***", "****", "*****"), "***"),
        ("**", ("*", "**"), "**"),
        ("```\n***\n```", ("*", "**", "***"), "***"),
        (".NET", ("NET", ".NET"), ".NET"),
        ("**.NET**", ("NET", ".NET"), ".NET"),
        ("NET.", ("NET", ".NET"), "NET"),
        ("us", ("US", "us"), "us"),
        ("`us`", ("US", "us"), "us"),
        ("US.", ("US", "us"), "US"),
        ("C++", ("C", "C++", "C#"), "C++"),
        ("C++.", ("C", "C++", "C#"), "C++"),
        ("c#", ("C", "C++", "C#"), "C#"),
        ("+", ("+", "-"), "+"),
        ("1.", ("1", "1."), "1."),
        ("-1", ("1", "-1"), "-1"),
        ("yes", ("yes", "no"), "yes"),
        ("\n\u201cYes\u201d\u3002\n", ("yes", "no"), "yes"),
        ("\u00abNein\u00bb", ("ja", "nein"), "nein"),
        ("\u300cはい\u300d", ("はい", "いいえ"), "はい"),
        ("**Yes!**", ("yes", "no"), "yes"),
        ("*Yes*.", ("yes", "no"), "yes"),
        ("```text\nyes\n```", ("yes", "no"), "yes"),
        ("Cafe\u0301", ("café", "tee"), "café"),
        ("Yes\u200b", ("yes", "no"), "yes"),
        ("too  late", ("too late", "on time"), "too late"),
        ("\\boxed{yes}", ("yes", "no"), "yes"),
    ],
)
def test_the_exact_choice_wins_and_a_loose_one_counts(
    text: str, choices: tuple[str, ...], chosen: str
) -> None:
    assert matching_choice(text, choices) == chosen


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("Us", ("US", "us")),
        ("Net!?", ("NET", "net")),
        ("yes and no", ("yes", "no")),
        ("Yes, but no", ("yes", "no")),
        ("", ("*", "**")),
        ("******", ("*", "**", "***")),
        ("not yes", ("yes", "no")),
        ("-", ("+", "*")),
        ("C+", ("C", "C++")),
    ],
)
def test_what_names_no_choice_or_two_stays_as_it_is(text: str, choices: tuple[str, ...]) -> None:
    assert matching_choice(text, choices) not in choices
