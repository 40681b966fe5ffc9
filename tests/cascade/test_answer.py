"""The text of an answer, whole and in pieces."""

from __future__ import annotations

import pytest

from hybrid_cli.cascade.answer import without_blank_lines
from hybrid_cli.cascade.streamed_text import StreamedText
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
        streamed = StreamedText()
        shown = "".join([*map(streamed.feed, pieces), streamed.flush()])
        assert shown.rstrip() == answer
        assert shown == answer + text[len(text.rstrip()) :] * bool(answer)


@pytest.mark.parametrize(
    ("text", "shown", "has_thinking"),
    [
        ("It rains.\n</think>\n\n  Rain.\n", "It rains.\n\n  Rain.\n", True),
        ("It rains. </think>    code", "It rains.\n\n    code", True),
        ("analysisIt rains.assistantfinalRain.", "analysisIt rains.\n\nRain.", True),
        ("\n</think>\nRain.", "Rain.", False),
        ("It rains.</think>", "It rains.</think>", False),
        ("`</think>` ends it.", "`</think>` ends it.", False),
    ],
)
def test_a_blank_line_takes_the_place_of_a_tag_after_thinking(
    text: str, shown: str, has_thinking: bool
) -> None:
    for pieces in cuttings(text):
        streamed = StreamedText()
        assert "".join([*map(streamed.feed, pieces), streamed.flush(), streamed.flush()]) == shown
        assert streamed.has_shown_thinking == has_thinking
