"""Control sequences are removed from text, wherever it is cut."""

from __future__ import annotations

import pytest

from hybrid_cli.ui.sanitize import EscapeFilter, plain
from text_pieces import cuttings


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mred\x1b[0m b", "ared b"),
        ("a\x1b[38;5;1mb\x9b2Jc", "abc"),
        ("a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "ablink"),
        ("a\x1bP1$r0m\x1b\\b\x90q\x9cc\x1b^pm\x1b\\\x1b_apc\x1b\\\x1bXsos\x1b\\", "abc"),
        ("a\x1b(Bb\x1b7c\x1b=d", "abcd"),
        ("a\rb\x08c\x00d\te\n", "abcd\te\n"),
        ("a\x1b[31", "a[31"),
        ("a\x1b", "a"),
        ("a\x1b]0;never ends", "a]0;never ends"),
        ("a\x1b]" + "x" * 5000 + "b", "a]" + "x" * 5000 + "b"),
        ("日本\x1b[1m語", "日本語"),
    ],
)
def test_control_sequences_are_removed_whole(text: str, shown: str) -> None:
    assert plain(text) == shown
    for pieces in cuttings(text) if len(text) < 100 else [[text[:3000], text[3000:]]]:
        stripper = EscapeFilter()
        assert "".join([*(stripper.feed(piece) for piece in pieces), stripper.flush()]) == shown
