"""No part of a secret leaves, whatever stands around it, and no letter beside a credential hides it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from drawn_text import drawn_match
from hybrid_cli.privacy.credentials import CREDENTIALS
from hybrid_cli.privacy.harmless import is_placeholder
from hybrid_cli.privacy.scan import find
from hybrid_cli.privacy.screen import screen
from hybrid_cli.profile.schema import Privacy
from secret_samples import BARE, CONTEXTS, NAMELESS, SECRETS, UNUSUAL

REDACTS = Privacy(on_secret="redact", redact=[])  # noqa: S106  a word, no password
PART = 12
"""Characters of a secret that may not stay behind."""


def sent(text: str) -> str:
    return screen([{"role": "user", "content": text}], REDACTS, {}).messages[-1]["content"]


def parts_left(written: str, left: str) -> list[str]:
    """The parts of a secret, as it was written into the text, that are in what is sent."""
    lines = [line.strip() for line in written.split("\n")]
    return [
        line[at : at + PART]
        for line in lines
        if "-----" not in line
        for at in range(len(line) - PART + 1)
        if line[at : at + PART] in left
    ]


def cases() -> list[tuple[str, str, bool]]:
    named = [
        (secret, context, True)
        for secret in SECRETS
        for context in CONTEXTS
        if context not in UNUSUAL.get(secret, ())
    ]
    bare = [(secret, context, False) for secret in SECRETS for context in BARE if secret not in NAMELESS]
    return named + bare


def check(seed: int, secret: str, context: str, named: bool) -> None:
    value = SECRETS[secret](random.Random(seed))
    if named:
        frame, write = CONTEXTS[context]
        written = write(value)
    else:
        frame, written = BARE[context], value
    before = "The question is about this text.\n" if seed % 2 else ""
    left = sent(before + frame.replace("%s", written))
    assert parts_left(written, left) == [], (secret, context, left[:400])


@pytest.mark.parametrize(("secret", "context", "named"), cases())
def test_no_part_of_a_secret_is_left(secret: str, context: str, named: bool) -> None:
    for seed in range(2):
        check(seed, secret, context, named)


@pytest.mark.slow
def test_no_part_of_a_secret_is_left_in_ten_thousand_cases() -> None:
    every = cases()
    for seed in range(10_000):
        check(seed, *every[seed % len(every)])


SCRIPTS: dict[str, Any] = {
    "Chinese": "的", "Japanese": "は", "Katakana": "ン", "Korean": "는", "Cyrillic": "я", "Greek": "ω", "Thai": "ก",
    "Arabic": "ل", "Hebrew": "ש", "Devanagari": "क", "accented": "é", "German": "ß",
}  # fmt: skip


_chance = random.Random(3)
FORMATS = [
    (row.name, token)
    for row in CREDENTIALS
    if "?P<value>" not in row.pattern
    and (token := drawn_match(row.pattern, _chance)) is not None
    and not is_placeholder(token)
]


def test_most_formats_can_be_drawn() -> None:
    assert len(FORMATS) > 100


@pytest.mark.parametrize("letter", SCRIPTS.values(), ids=SCRIPTS)
def test_letters_of_other_scripts_hide_no_credential(letter: str) -> None:
    missed = []
    for name, token in FORMATS:
        for text in (
            f"{name}: {letter}{token}{letter}",
            f"{name}: a{letter}{token} b",
            f"{name}: {token}{letter}b",
        ):
            found = find(text, ["secret"])
            if not any(token in text[one.start : one.end] for one in found):
                missed.append((name, text))
    assert missed == []


@pytest.mark.parametrize("letter", SCRIPTS.values(), ids=SCRIPTS)
def test_letters_of_other_scripts_hide_no_personal_data(letter: str) -> None:
    values = {
        "card": "4111111111111111",
        "iban": "DE89370400440532013000",
        "ip": "10.11.12.13",
        "email": "ann@mail.example.org",
        "phone": "+842838234567",
    }
    for kind, value in values.items():
        text = f"{letter}{value}{letter}"
        assert any(value in text[one.start : one.end] for one in find(text, [kind])), kind
