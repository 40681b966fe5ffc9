"""A text of any kind takes a time that grows with its length, not with its square: no answer can make hybrid hang."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from hybrid_cli.checks.choices import matching_choice
from hybrid_cli.checks.code_block import first_code_block, unfenced
from hybrid_cli.local.stop_strings import StopStrings
from hybrid_cli.local.thinking import cloud_splitter
from hybrid_cli.privacy.harmless import without_embedded_files
from hybrid_cli.privacy.redact import Restorer, Vault
from hybrid_cli.privacy.scan import find
from hybrid_cli.ui.ci import json_without_runner_commands, without_runner_commands
from hybrid_cli.ui.sanitize import EscapeFilter

TIMES = 4
"""How many times as long the second text is as the first. In linear time it takes 4 times as long, in quadratic 16."""
MOST = 9
_SECONDS = 30
"""Of processor time, for a text that takes far longer still."""


def fed(new: Callable[[], Any]) -> Callable[[str], None]:
    """A reader of text that arrives in small pieces, as from a model."""

    def read(text: str) -> None:
        reader = new()
        for start in range(0, len(text), 5):
            reader.feed(text[start : start + 5])
        end = getattr(reader, "flush", None) or reader.finish
        end()

    return read


SPACES = (" ", "\n", "\r\n", "\t")
CONTROLS = ("\x9d", "\x90a", "\x1b]", "\x1b[1", "\x1b]\x9d")
TAGS = ("<think>", "<think>a</think> ", "<|channel|>", "<|start|>assistant", "<answer>", "</answer> ")
CASES: dict[str, tuple[int, tuple[str, ...], Callable[[str], object]]] = {
    "thinking": (40_000, SPACES + TAGS, fed(cloud_splitter)),
    "terminal sequences": (2_000, CONTROLS, fed(EscapeFilter)),
    "stop strings": (20_000, ("<|", "a", "aa"), fed(lambda: StopStrings(["<|im_end|>", "aab"]))),
    "placeholders": (10_000, ("[", "[[", "[[A_1_", '"', '[{"'), fed(lambda: Restorer(Vault([""])))),
    "runner commands": (5_000, (*SPACES, "\r", "#", "##a", ":", "\u200b"), without_runner_commands),
    "runner commands in JSON": (20_000, ("#", "##a", "#\u200b"), json_without_runner_commands),
    "code block": (5_000, ("~", "`", "~~~\n", "```\n", " "), first_code_block),
    "fence": (5_000, ("~", "`", "~~~\n", "```a\nb\n", " "), lambda text: unfenced(text, "only the code")),
    "choices": (4_000, ('"', "*a", "'\"", "```\n", "."), lambda text: matching_choice(text, ("yes", "no"))),
    "scan": (10_000, ("password=", 'key="', "eyJ", "://a:", "a,b\n", "|a|\n"), lambda text: find(text, ["secret"])),
    "embedded files": (100_000, ("-----begin public key-----", "-----begin public key-----\nab+c==\n", ";base64,"), lambda text: list(without_embedded_files(text, []))),
}  # fmt: skip
"""The length of the first text, what it repeats, and what reads it."""


def seconds(read: Callable[[str], object], text: str) -> float:
    """The processor time that `text` takes; it is ended after a while."""

    def end(_number: int, _frame: object) -> None:
        pytest.fail(f"{text[:20]!r} {len(text)} times takes over {_SECONDS} s")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, _SECONDS)
    begun = time.process_time()
    try:
        read(text)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return time.process_time() - begun


@pytest.mark.parametrize("name", CASES)
def test_no_text_takes_quadratic_time(name: str) -> None:
    size, units, read = CASES[name]
    for unit in units:
        text = (unit * TIMES * size)[: TIMES * size]
        short, long = (min(seconds(read, one) for _ in range(2)) for one in (text[:size], text))
        assert long < MOST * short + 0.05, (unit, short, long)


def test_spaces_and_headers_without_end_stay_text() -> None:
    """What is no thinking after all is delivered, whole."""
    for text in (" " * 30_000 + "Yes.", "<think>a</think>\n<think>" + "word " * 40_000):
        splitter = cloud_splitter()
        answer = "".join(splitter.feed(text[at : at + 7]).answer for at in range(0, len(text), 7))
        answer += splitter.flush().answer
        assert answer.strip() == text.removeprefix("<think>a</think>").strip()
