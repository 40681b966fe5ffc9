"""Integer bounds as a grammar: exactly the integers of the range, and nothing else."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_cli.local.grammar import grammar_of
from hybrid_cli.local.integer_range import integer_rule
from hybrid_process import Hybrid


def pattern_of(rule: str) -> re.Pattern[str]:
    """The rule as a regular expression: these rules have only literals, classes, groups and alternatives."""
    return re.compile(re.sub(r'"([^"]*)"', lambda text: re.escape(text[1]), rule).replace(" ", ""))


@settings(max_examples=200)
@given(st.integers(-3000, 3000), st.integers(0, 3000), st.data())
def test_a_range_matches_its_integers_alone(low: int, width: int, data: st.DataObject) -> None:
    high = low + width
    pattern = pattern_of(integer_rule(low, high))
    near = data.draw(st.integers(low - 50, high + 50))
    for value in {low - 1, low, high, high + 1, near, 0, -near}:
        assert bool(pattern.fullmatch(str(value))) == (low <= value <= high), (low, high, value)
    assert pattern.fullmatch(f"0{abs(near)}") is None
    assert pattern.fullmatch("-0") is None


@pytest.mark.parametrize(
    ("low", "high", "inside", "outside"),
    [
        (0, None, [0, 7, 10**15 - 1], [-1]),
        (18, None, [18, 99, 100, 123456], [17, 9, 0, -18]),
        (None, 5, [5, 0, -7, -(10**14)], [6, 10]),
        (None, -1, [-1, -10], [0, 1]),
        (10**17, None, [10**17], [10**17 - 1]),
    ],
)
def test_a_range_may_have_one_end(
    low: int | None, high: int | None, inside: list[int], outside: list[int]
) -> None:
    pattern = pattern_of(integer_rule(low, high))
    assert all(pattern.fullmatch(str(value)) for value in inside)
    assert not any(pattern.fullmatch(str(value)) for value in outside)


@pytest.mark.parametrize(
    ("schema", "inside", "outside"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 5}, ["1", "5"], ["0", "6", "15"]),
        ({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 4}, ["2", "3"], ["1", "4"]),
        ({"type": "integer", "minimum": 1.5, "maximum": 3.5}, ["2", "3"], ["1", "4"]),
    ],
)
def test_the_grammar_of_a_schema_has_the_range(schema: object, inside: list[str], outside: list[str]) -> None:
    for wanted in (schema, {"type": "object", "properties": {"n": schema}, "required": ["n"]}):
        rules = dict(line.split(" ::= ", 1) for line in grammar_of(json.dumps(wanted)).splitlines())
        rule = rules["root" if wanted is schema else "n"]
        pattern = pattern_of(rule.removesuffix(" space"))
        assert all(pattern.fullmatch(text) for text in inside)
        assert not any(pattern.fullmatch(text) for text in outside)


@pytest.mark.parametrize(("low", "high"), [(7, 9), (-3, -2), (1000, 1009), (10**14, None)])
def test_the_real_model_keeps_the_range(hybrid: Hybrid, low: int, high: int | None) -> None:
    bounds = {"minimum": low} | ({} if high is None else {"maximum": high})
    done = hybrid(
        "run", "-p", "offline", "--schema", json.dumps({"type": "integer", **bounds}), "How many legs?"
    )
    assert done.returncode == 0, done.stderr
    assert low <= int(done.stdout) <= (high or 10**15)
