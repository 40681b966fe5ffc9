"""No part of a secret leaves, whatever stands around it, and no letter beside a credential hides it."""

from __future__ import annotations

import base64
import html
import json
import random
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from drawn_text import drawn_match
from hybrid_cli.exit_status import Failure
from hybrid_cli.privacy.credentials import CREDENTIALS
from hybrid_cli.privacy.harmless import is_placeholder
from hybrid_cli.privacy.known_values import KnownValue, known_spans
from hybrid_cli.privacy.scan import find
from hybrid_cli.privacy.screen import screen
from hybrid_cli.profile.schema import Privacy
from secret_samples import BARE, CONTEXTS, NAMELESS, SECRETS, UNUSUAL, mixed

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


AGAIN: dict[str, tuple[str, Callable[[str], str]]] = {
    "alone": ("%s", str),
    "in a sentence": ("I typed %s , and it failed.", str),
    "in a longer word": ("x%sx", str),
    "with an invisible character": ("%s", lambda value: f"{value[:5]}\u200b{value[5:]}"),
    "in Base64": ("YW5uOn%s", lambda value: base64.b64encode(f"ann:{value}".encode()).decode()[6:]),
    "in hexadecimal": ("%s", lambda value: value.encode().hex()),
    "in a URL": ("?q=%s", lambda value: quote(value, safe="")),
    "in HTML": ("<p>%s</p>", html.escape),
}


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_that_was_found_is_found_in_the_whole_request(secret: str) -> None:
    """A password is found beside its name, and known from then on: in another line, turn or encoding."""
    value = SECRETS[secret](random.Random(4))
    named = f'{{"db_password": {json.dumps(value)}}}'
    for name, (frame, write) in AGAIN.items():
        written = write(value)
        again = frame.replace("%s", written)
        for texts in ([f"{named}\n\n{again}"], [f"{again}\n\n{named}"], [named, again, "And now?"]):
            messages = [{"role": "user", "content": text} for text in texts]
            left = "\n".join(one["content"] for one in screen(messages, REDACTS, {}).messages)
            assert parts_left(written, left) == [], (name, left[:600])


def test_a_tool_gets_no_secret_that_only_the_rest_of_the_prompt_reveals() -> None:
    argument = [{"role": "user", "content": "Who uses Xk92mQ7pLz4t?"}]
    kept = ["db_password=Xk92mQ7pLz4t", "find out"]
    with pytest.raises(Failure, match="line 1 of the tool's argument looks like a password or key"):
        screen(argument, Privacy(), {}, kept=kept, names=["the tool's argument"])
    (message,) = screen(argument, REDACTS, {}, kept=kept).messages[1:]
    assert message["content"].startswith("Who uses [[SECRET_1_")
    assert screen(argument, Privacy(), {}).messages == argument


def test_known_values_are_found_as_words_only() -> None:
    """Other people's data, and short passwords, are parts of many words."""
    texts = [
        "ip 10.1.2.3, mail a@b.example, card 4111111111111111",
        "order id: 4111111111111111, x110.1.2.34",
    ]
    privacy = Privacy(on_secret="redact", redact=["ip", "email", "card"])  # noqa: S106  a word, no password
    first, second = (
        one["content"]
        for one in screen([{"role": "user", "content": one} for one in texts], privacy, {}).messages[1:]
    )
    assert not any(one in first for one in ("10.1", "a@b", "4111"))
    assert re.fullmatch(r"order id: \[\[CARD_1_\w+\]\], x110\.1\.2\.34", second)
    text = "identified by 'pin7'; the pin7 of a pin78"
    left = sent(text)
    assert "pin78" in left
    assert left.count("[[SECRET_1_") == 2


def test_many_secrets_take_no_longer_than_their_text() -> None:
    chance = random.Random(7)
    values = [KnownValue("eyJhbGciOiJIUzI1NiIs" + mixed(chance, 40), "secret", "x") for _ in range(4_000)]
    text = "\n".join(one.text for one in values)
    begun = time.process_time()
    spans = known_spans(text, values)
    assert {text[one.start : one.end] for one in spans} == {one.text for one in values}
    assert time.process_time() - begun < 20  # looked for one by one: minutes


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
