"""A local answer's text in pieces: stop strings, and whole characters."""

from __future__ import annotations

import pytest

from hybrid_cli.local.stop_strings import StopStrings
from hybrid_cli.local.stream import AnswerStream
from hybrid_cli.local.thinking import splitter_for
from text_pieces import cuttings


@pytest.mark.parametrize(
    ("words", "text", "kept", "met"),
    [
        (["END"], "a EN END b", "a EN ", True),
        (["END"], "a ENE", "a ENE", False),
        (["abc", "bx"], "aabx", "aa", True),
        (["aab"], "aaab", "a", True),
        (["\n\n"], "one\ntwo\n\nthree", "one\ntwo", True),
        ([""], "all of it", "all of it", False),
        ([], "all of it", "all of it", False),
    ],
)
def test_stop_words(words: list[str], text: str, kept: str, met: bool) -> None:
    for pieces in cuttings(text):
        stop = StopStrings(words)
        assert "".join([*(stop.feed(piece) for piece in pieces), stop.flush()]) == kept
        assert stop.met == met


def test_tokens_are_joined_to_characters_and_classified() -> None:
    stream = AnswerStream(splitter_for("think", ""), ["!"])
    pieces = [b"<think>", b"hm", b"</think>", b"\n", b"\xf0\x9f", b"\xa6\x8a", b" ok", b"!", b" more"]
    taken = [stream.take(piece, forced=piece == b" ok") for piece in pieces]
    assert [kind for _split, kind in taken] == [
        *("hidden", "hidden", "hidden", "content", "first", "content", "forced", "content", "content")
    ]
    assert [split.answer for split, _kind in taken] == ["", "", "", "", "", "\n🦊", " ok", "", ""]
    assert stream.stopped


def test_an_unfinished_character_is_dropped_at_the_end() -> None:
    stream = AnswerStream(splitter_for("none", ""), [])
    texts = [stream.take(piece, forced=False)[0].answer for piece in (b"a", b"\xff", b"\xf0\x9f")]
    assert ["".join(texts), stream.finish().answer] == ["a�", ""]
