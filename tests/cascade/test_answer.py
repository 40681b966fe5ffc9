"""The text of an answer, whole and in pieces."""

from __future__ import annotations

import pytest

from hybrid_cli.cascade.answer import AnswerStart, without_blank_lines
from text_pieces import cuttings


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("\n    code\n", "    code"),
        ("\n\n\tcode\n    more\n\n", "\tcode\n    more"),
        ("  \n \t\n  - item", "  - item"),
        ("\r\n  code\r\n", "  code"),
        (" Paris", "Paris"),
        ("\n Paris \n", "Paris"),
        ("  two", "  two"),
        ("plain", "plain"),
        ("\u3000full width", "\u3000full width"),
        (" \n\n ", ""),
        ("", ""),
    ],
)
def test_only_blank_lines_are_dropped(text: str, answer: str) -> None:
    assert without_blank_lines(text) == answer
    for pieces in cuttings(text):
        start = AnswerStart()
        assert "".join(map(start.feed, pieces)).rstrip() == answer
