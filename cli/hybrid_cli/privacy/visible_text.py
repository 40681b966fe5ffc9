"""A text as a reader sees it: without invisible characters, and with plain letters for styled ones."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

# Soft hyphens, zero-width characters, direction and variation marks, tags and fillers, which text copied from
# web pages and PDF files contains; control characters, the escape sequences that colour terminal output or make links
# in it, and letters that are struck over, as in manual pages.
INVISIBLE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90-\x9f\n]{0,2000}(?:\x07|\x1b\\|\x9c)"
    r"|[^\n\x08]\x08|[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffc"
    r"\U000e0000-\U000e01ef]"
)
# Full-width and mathematical letters and digits, which look like the plain ones.
_STYLED = re.compile("[\uff01-\uff5e\U0001d400-\U0001d7ff]+")


def visible(text: str) -> tuple[str, Sequence[int]]:
    """`text` in plain, visible characters, and the place of each of them in `text`."""
    letters = "".join(set(text))
    if _STYLED.search(letters):
        text = _STYLED.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)  # keeps the length
    if INVISIBLE.search(letters) is None:
        return text, range(len(text))
    places: list[int] = []
    end = 0
    for found in INVISIBLE.finditer(text):
        places += range(end, found.start())
        end = found.end()
    places += range(end, len(text))
    return "".join(text[place] for place in places), places


_TAG_CHARACTERS = {0xE0000 + code: chr(code) for code in range(0x20, 0x7F)}


def with_tags_shown(text: str) -> str | None:
    """`text` with the ASCII characters that its tag characters encode, which only a model reads; None without any."""
    shown = text.translate(_TAG_CHARACTERS)
    return None if shown == text else shown


_CHEROKEE = "ᎠᎡᎢᎥᎪᎫᎬᎳᎷᎻᏀᏃᏎᏒᏔᏙᏚᏞᏟᏢᏦᏧᏳᏴ"
_LOOKALIKES = dict(
    zip(
        "АВЕЅІЈКМНОРСТХУаеорсухіјѕһԁԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧαονικρυıɡɑ‐‑‒–—―−"
        "ՏՕԼՍօսհոցզյꓐꓑꓒꓓꓔꓖꓗꓙꓚꓜꓝꓟꓠꓡꓢꓣꓦꓧꓪꓫꓬꓮꓰꓲꓳꓴ" + _CHEROKEE + _CHEROKEE.lower(),
        "ABESIJKMHOPCTXYaeopcyxijshdqwABEZHIKMNOPTYXaovikpuiga-------"
        "SOLUouhngqjBPdDTGKJCZFMNLSRVHWXYAEIOU" + 2 * "DRTiAJEWMHGZ4RWVSLCPKdGB",
        strict=True,
    )
)
"""Letters of other scripts, hyphens and quotes, with the ASCII characters that they look like."""
_SINGLE_LETTER = re.compile(r"(?:(?:.+ )?LATIN|REGIONAL INDICATOR SYMBOL) (?!.*SHARP)(?:.+ )?([A-Z])")
"""The name of a character that shows one letter: a small capital, a letter in a square or a circle, half a flag."""


@cache
def look_of(character: str) -> str | None:
    """The ASCII character that `character` is a form of, or looks like; None if there is no single one."""
    plain = _LOOKALIKES.get(character) or unicodedata.normalize("NFKC", character)
    if len(plain) == 1 and not plain.isascii():
        digit = unicodedata.decimal(plain, None)
        plain = plain if digit is None else str(digit)
    if len(plain) == 1 and plain.isascii():
        return plain
    name = unicodedata.name(character, "")
    letter = _SINGLE_LETTER.fullmatch(name)
    if letter is None:
        return None
    return letter[1].lower() if "SMALL" in name else letter[1]
