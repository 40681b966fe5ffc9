"""Text in pieces: thinking split off, stop strings, whole characters, control sequences removed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hybrid_cli.local.stop_strings import StopStrings
from hybrid_cli.local.stream import AnswerStream
from hybrid_cli.local.thinking import splitter_for, style_of
from hybrid_cli.ui.sanitize import EscapeFilter, plain

HARMONY = (
    "<|channel|>analysis<|message|>Let me think < 2.<|end|><|start|>assistant<|channel|>commentary to=x"
    "<|message|>{}<|call|><|start|>assistant<|channel|>final<|message|>It is <b> 4.<|return|>"
)


def cuttings(text: str) -> Iterator[list[str]]:
    """Yield the text as a whole, as single characters, and cut in two at each place."""
    yield [text]
    yield list(text)
    for place in range(1, len(text)):
        yield [text[:place], text[place:]]


@pytest.mark.parametrize(
    ("style", "prompt", "text", "answer", "thinking"),
    [
        ("none", "", "<think>a</think>b", "<think>a</think>b", ""),
        ("think", "", "<think>\nhm </ thin\n</think>\n\nfour", "\n\nfour", "\nhm </ thin\n"),
        ("think", "", "\n <think>hm</think>four", "four", "hm"),
        ("think", "", "four, not <think>five</think>", "four, not <think>five</think>", ""),
        ("think", "", "<thin air", "<thin air", ""),
        ("think", "", "<think", "<think", ""),
        ("think", "...<think>\n", "hm</think>four</think>", "four</think>", "hm"),
        ("think", "...<think>\n", "never ends </thi", "", "never ends </thi"),
        ("harmony", "", HARMONY, "It is <b> 4.", "Let me think < 2.{}"),
        ("harmony", "", "<|channel|>final<|message|>cut of", "cut of", ""),
        ("harmony", "", "<|channel|>ana", "", ""),
        ("harmony", "", "no channel", "", ""),
    ],
)
def test_thinking_is_split_from_the_answer(
    style: str, prompt: str, text: str, answer: str, thinking: str
) -> None:
    for pieces in cuttings(text):
        splitter = splitter_for(style, prompt)
        splits = [*(splitter.feed(piece) for piece in pieces), splitter.flush()]
        assert "".join(split.answer for split in splits) == answer
        assert "".join(split.thinking for split in splits) == thinking


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary"
            ' to=functions.web_search <|constrain|>json<|message|>{"query": "a"}<|call|>',
            '<tool_call>{"name": "web_search", "arguments": {"query": "a"}}</tool_call>',
        ),
        (
            "<|start|>assistant to=functions.handoff<|channel|>commentary json<|message|>{}",
            '<tool_call>{"name": "handoff", "arguments": {}}</tool_call>',
        ),
        ("<|channel|>commentary<|message|>I will search.<|end|>", ""),
        ("<|channel|>analysis to=python<|message|>1+1<|call|>", ""),
    ],
)
def test_a_harmony_tool_call_is_part_of_the_answer_if_tools_are_offered(text: str, answer: str) -> None:
    for pieces in cuttings(text):
        splitter = splitter_for("harmony", "", has_tools=True)
        assert "".join(split.answer for split in [*map(splitter.feed, pieces), splitter.flush()]) == answer
        untold = splitter_for("harmony", "")
        assert "".join(split.answer for split in [*map(untold.feed, pieces), untold.flush()]) == ""


def test_the_thinking_style_follows_the_template() -> None:
    assert style_of("{{ messages[0].content.split('</think>')[-1] }}") == "think"
    assert style_of("<|start|>assistant<|channel|>final<|message|>") == "harmony"
    assert style_of("<|im_start|>user") == "none"


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
    assert [split.answer for split, _kind in taken] == ["", "", "", "\n", "", "🦊", " ok", "", ""]
    assert stream.stopped


def test_an_unfinished_character_is_dropped_at_the_end() -> None:
    stream = AnswerStream(splitter_for("none", ""), [])
    texts = [stream.take(piece, forced=False)[0].answer for piece in (b"a", b"\xff", b"\xf0\x9f")]
    assert ["".join(texts), stream.finish().answer] == ["a�", ""]


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
