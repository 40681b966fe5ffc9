"""Find secret values by the names that they are assigned to: `api_key = "..."`, `--token ...`.

After a name that can only mean a secret, a value counts if it looks random. After a name with other
meanings, such as `key`, or at some distance from it, a value counts only if it looks machine-generated.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

Span = tuple[int, int]

PLACEHOLDER = re.compile(
    r"example|changeme|placeholder|your[-_]|redacted|dummy|x{4}|\*{3}|\.{3}|^pass(word)?$|^[$%]",
    re.IGNORECASE,
)

_SEPARATOR = re.compile(r"(?:=>|:=|[:=])\s{0,4}\\{0,3}[\"'`]?(?=(?P<value>[^\s\"'`,;<>(){}\[\]|\\]{6,256}))")
_NAME = re.compile(
    r"(?:passw(?:or)?d|passphrase|paswd|pswd|pwd|pass|(?<![a-z])pw|(?P<token>(?:api|access|auth|private|encryption|signing|master"
    r"|account|client|service|storage|shared|webhook|consumer|deploy|app)[_.-]?key|secret(?:[_.-]?(?:key|id))?"
    r"|token|credentials?))(?:[_.-]?(?:base|value|prod|live|test|\d{1,2}))?[\\\"'`\]]{0,4}\s{0,4}\Z",
    re.IGNORECASE,
)
_WORDS = ("key", "token", "secret", "passw", "passphrase", "pwd", "credential", "_pat")
_AFTER_NAME = re.compile(
    r"[A-Za-z0-9_.-]{0,24}(?![\w.-])[\\\"'`\])>]{0,6}\s{0,20}(?:=>|:=|[|?]{2}|[-:=,({]|is\b)?"
    r"[\s\\\"'`({\[]{0,20}(?P<value>[A-Za-z0-9_+/=.~%@:!-]{16,400})"
)
_MIXED_RUN = re.compile(r"[A-Za-z0-9]{6,}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SWITCH = re.compile(r"(?<=[A-Za-z])[0-9]|(?<=[0-9])[A-Za-z]")
_MIN_ENTROPY = 3.0
"""Bits per character. English words have about 2.5 to 3, 32 random hexadecimal digits 3.6."""
_MIN_GENERATED_RUN = 10
_MIN_SWITCHES = 3
"""Changes from letter to digit or back. Names with a version or a year have one or two."""


def assignments(text: str, lowered: str) -> Iterator[Span]:
    """The spans of secret values after names in `text`; `lowered` is the same text in lower case."""
    yield from _after_clear_names(text)
    yield from _after_any_name(text, lowered)


def _after_clear_names(text: str) -> Iterator[Span]:
    for match in _SEPARATOR.finditer(text):
        value = match["value"]
        if not any(character.isdigit() for character in value) or PLACEHOLDER.search(value):
            continue
        named = _NAME.search(text, max(0, match.start() - 40), match.start())
        if named is None or text[match.end("value") : match.end("value") + 1] in ("(", "[", "{"):
            continue
        if _looks_random(value, least_run=12 if named["token"] else 6):
            yield match.span("value")


def _after_any_name(text: str, lowered: str) -> Iterator[Span]:
    for word in _WORDS:
        place = lowered.find(word)
        while place >= 0:
            match = _AFTER_NAME.match(text, place + len(word))
            if (
                match is not None
                and _looks_generated(match["value"])
                and not PLACEHOLDER.search(match["value"])
            ):
                yield match.span("value")
            place = lowered.find(word, place + len(word))


def _looks_random(value: str, least_run: int) -> bool:
    """Whether `value` contains a run that mixes letters and digits, and has enough entropy."""
    mixed = any(
        len(run) >= least_run and not run.isalpha() and not run.isdigit() for run in _MIXED_RUN.findall(value)
    )
    return (mixed or _UUID.fullmatch(value) is not None) and _entropy(value) >= min(
        _MIN_ENTROPY, math.log2(len(value)) * 0.8
    )


def _looks_generated(value: str) -> bool:
    """Whether letters and digits alternate as in generated keys. Not for UUIDs, which also name things."""
    if _UUID.search(value):
        return False
    runs = (run for run in _MIXED_RUN.findall(value) if len(run) >= _MIN_GENERATED_RUN)
    alternates = any(len(_SWITCH.findall(run)) >= _MIN_SWITCHES for run in runs)
    return alternates and _entropy(value) >= _MIN_ENTROPY


def _entropy(value: str) -> float:
    """The Shannon entropy of `value`, in bits per character."""
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())
