"""Thinking styles: the thinking is split off the answer, wherever the text is cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hybrid_cli.local.thinking import (
    CONTROL_ENVELOPES,
    ENVELOPES,
    TAGS,
    cloud_splitter,
    splitter_for,
    style_of,
)
from hybrid_cli.local.unopened_thinking import UnopenedThinking, without_unopened_thinking
from text_pieces import cuttings

HARMONY = (
    "<|channel|>analysis<|message|>Let me think < 2.<|end|><|start|>assistant<|channel|>commentary to=x"
    "<|message|>{}<|call|><|start|>assistant<|channel|>final<|message|>It is <b> 4.<|return|>"
)


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
        ("seed", "", "<seed:think>hm</seed:think>four", "four", "hm"),
        ("mistral", "", "[THINK]hm[/THINK]four", "four", "hm"),
        ("kimi", "...\u25c1think\u25b7", "hm\u25c1/think\u25b7four", "four", "hm"),
        ("thought", "", "<thought>hm</thought>four", "four", "hm"),
        ("think", "", "<think>hm</think><response>four</response>\n", "four", "hm"),
        ("think", "", "<think>hm</think>\n<answer>\nfour\n</answer>", "\nfour\n", "hm"),
        ("think", "", "<think>hm</think><answer>a</answer> b", "a</answer> b", "hm"),
        ("think", "", "<think>hm</think><ans", "<ans", "hm"),
        ("think", "", "<answer>four</answer>", "<answer>four</answer>", ""),
        (
            "cohere",
            "",
            "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>four<|END_RESPONSE|>",
            "four",
            "hm",
        ),
        ("think", "", "<think>a</think>\n <think>b</think>\nfour", "\nfour", "ab"),
        ("think", "<think>", "a</think><think>b</think><think>c</think><answer>four</answer>", "four", "abc"),
        ("think", "", "<think>a</think>\n<think> opens the thinking", "\n<think> opens the thinking", "a"),
        ("think", "", "<think>a</think>four<think>b</think>", "four<think>b</think>", "a"),
        ("think", "", "<think>a</think>\n<thin", "\n<thin", "a"),
        ("mistral", "", "[THINK]a[/THINK][THINK]b[/THINK]four", "four", "ab"),
        ("cohere", "<|START_THINKING|><|END_THINKING|>", "<|START_TEXT|>four<|END_TEXT|>", "four", ""),
        ("cohere", "<|START_THINKING|>", "hm<|END_THINKING|>\n<|START_RESPONSE|>four", "four", "hm"),
        ("apertus", "", "<|inner_prefix|>hm<|inner_suffix|>four", "four", "hm"),
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


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        *((f"{opening}hm{closing}four", "four") for opening, closing in TAGS.values()),
        ("\n<think>\nhm\n</think>\n\nfour", "\n\nfour"),
        ("<think></think>\n\nfour", "\n\nfour"),
        ("<think>never ends", ""),
        ("four", "four"),
        ("<b>four</b>", "<b>four</b>"),
        ("R1 writes <think>hm</think>four", "R1 writes <think>hm</think>four"),
        ("<thinking>as you asked</thinking>four", "<thinking>as you asked</thinking>four"),
        ("<", "<"),
        ("[1, 2]", "[1, 2]"),
        (HARMONY, "It is <b> 4."),
        ("<|start|>assistant" + HARMONY, "It is <b> 4."),
        ("<|channel", "<|channel"),
        ("<|start|>user", "<|start|>user"),
        ("<|START_RESPONSE|>four<|END_RESPONSE|>", "four"),
    ],
)
def test_a_clouds_thinking_is_split_from_its_answer(text: str, answer: str) -> None:
    for pieces in cuttings(text):
        splitter = cloud_splitter()
        assert "".join(split.answer for split in [*map(splitter.feed, pieces), splitter.flush()]) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("hm, 2+2\n</think>\n\n4", "\n\n4"),
        ("hm</think>four", "four"),
        ("hm[/THINK]four", "four"),
        ("Qwen ends it with `</think>` and goes on.", "Qwen ends it with `</think>` and goes on."),
        ("Between <think> and </think> it thinks.", "Between <think> and </think> it thinks."),
        ("four</think>", "four</think>"),
        ("analysis2+2 is easy.assistantfinalfour", "four"),
        ("analysisHm.assistantcommentaryI will add.assistantfinalfour", "four"),
        ("assistantfinalfour", "four"),
        ("analysis of assistantfinal", "analysis of assistantfinal"),
        ("The word assistantfinal is a leak.", "The word assistantfinal is a leak."),
        ("hm</think><think>more</think>\nfour", "\nfour"),
        ("hm</think>four </think>", "four </think>"),
        ("`</think>` ends it. </think>four", "`</think>` ends it. </think>four"),
        ("hm</thin", "hm</thin"),
    ],
)
def test_thinking_whose_opening_tag_is_missing(text: str, answer: str) -> None:
    assert without_unopened_thinking(text) == answer
    for pieces in cuttings(text):
        found = UnopenedThinking()
        splits = [*map(found.feed, pieces), found.flush()]
        assert found.has_ended == (answer != text)
        joined = ["".join(split[part] for split in splits) for part in (0, 1)]
        assert joined[0 if found.has_ended else 1] == answer
        assert text.startswith(joined[1]), "the thinking is shown as it comes"


TEXTS = st.text(st.sampled_from("a b\n<>|/[]\u25c1think"), max_size=12)
MARKS = [mark for pair in (*TAGS.values(), *ENVELOPES, *CONTROL_ENVELOPES) for mark in pair]


def family(name: str, thinking: str, answer: str) -> str:
    """The text of a model: its thinking and its answer in the form that its family gives them."""
    if name == "harmony":
        return f"<|channel|>analysis<|message|>{thinking}<|end|><|start|>assistant<|channel|>final<|message|>{answer}<|return|>"
    opening, closing = TAGS[name]
    envelope = {"cohere": CONTROL_ENVELOPES[0], "think": ENVELOPES[0]}.get(name, ("", ""))
    return f"{opening}{thinking}{closing}{envelope[0]}{answer}{envelope[1]}"


@pytest.mark.parametrize("name", [*TAGS, "harmony"])
@given(thinking=TEXTS, answer=TEXTS.filter(str.strip), sizes=st.lists(st.integers(1, 9), min_size=1))
@settings(max_examples=40)
def test_every_family_is_split_alike_from_a_local_model_and_a_cloud(
    name: str, thinking: str, answer: str, sizes: list[int]
) -> None:
    assume(not any(mark in thinking or mark in answer for mark in MARKS))
    text = family(name, thinking, answer)
    pieces, rest = [], text
    for size in itertools.cycle(sizes):
        pieces, rest = [*pieces, rest[:size]], rest[size:]
        if not rest:
            break
    for splitter in (splitter_for(name, ""), cloud_splitter()):
        splits = [*map(splitter.feed, pieces), splitter.flush()]
        assert "".join(split.answer for split in splits) == answer
        assert "".join(split.thinking for split in splits) == thinking


def test_the_thinking_style_follows_the_template() -> None:
    assert style_of("{{ '<|START_THINKING|>' }}{{ message.thinking }}{{ '<|END_THINKING|>' }}") == "cohere"
    assert style_of("{{ '<|inner_prefix|>' }}{{ block.text }}{{ '<|inner_suffix|>' }}") == "apertus"
    assert style_of("<|channel>thought\n<channel|>") == "gemma"
    assert style_of("{{ messages[0].content.split('</think>')[-1] }}") == "think"
    assert style_of("<|start|>assistant<|channel|>final<|message|>") == "harmony"
    assert style_of("<|im_start|>user") == "none"
