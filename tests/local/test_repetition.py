"""Detection of answers that repeat themselves."""

from __future__ import annotations

import pytest

from hybrid_cli.local.repetition import is_looping


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
