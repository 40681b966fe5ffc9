"""The forms of a text that a pattern is searched in, so that no way of writing it hides a word from a rule.

They are the readings of the privacy scan (`privacy.readings`) for whole texts, without places. They keep accents,
because words differ by them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from hybrid_cli.privacy.escapes import ESCAPE, decoded
from hybrid_cli.privacy.visible_text import look_of, visible, with_tags_shown
from hybrid_cli.profile.patterns import compiled

_SPACES = re.compile(r"[^\S\n]")
_MANY_SPACES = re.compile(r"\s+")
_MARKS = re.compile("[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+")
"""Marks that no composed letter has, such as a line through the letters."""
_MARKS_ON_LETTERS = re.compile(rf"(?<=\w){_MARKS.pattern}")
_PLUS = re.compile(r"(?<=\w)\+(?=\w)")
_MARKUP = re.compile(
    r"[*`~]{1,3}|(?<!\w)_{1,3}|_{1,3}(?!\w)|</?[A-Za-z][^<>]*>|<!--[^<>]{0,400}-->|\n[ \t>#|*/]{1,40}"
)
"""Emphasis, tags and comments, and the signs that begin the lines of quotations and comments."""


def readable_forms(text: str) -> Iterator[str]:
    """Yield `text` as a reader sees it: plain, with escapes decoded, and without markup; each in two widths of space."""
    seen = _seen(text)
    yield from _plain_forms(seen)
    shown = with_tags_shown(text)
    if shown is not None:
        yield _seen(shown)
    for _ in range(2):  # JSON in JSON, or in a URL
        if ESCAPE.search(seen) is None:
            break
        is_form = "%" in seen
        seen = _seen(ESCAPE.sub(lambda found: decoded(found[0]), seen))
        yield from _plain_forms(seen)
        if is_form:
            yield _PLUS.sub(" ", seen)
    if _MARKUP.search(seen):
        without = _MARKUP.sub(lambda found: "\n" if found[0][0] == "\n" else "", seen)
        yield from _plain_forms(without)


def readable_patterns(pattern: str) -> Iterator[Any]:
    """Yield `pattern` compiled for readable forms; nothing if it is about invisible characters alone."""
    seen, places = visible(pattern)
    literal = (  # a full-width bracket is no group
        f"\\{character}" if character != pattern[place] and not character.isalnum() else character
        for character, place in zip(seen, places, strict=True)
    )
    readable = _MARKS_ON_LETTERS.sub("", _SPACES.sub(" ", unicodedata.normalize("NFC", "".join(literal))))
    forms = [readable]
    if "[" not in readable:  # a range of letters would become another one
        forms.append(with_plain_letters(readable))
    for form in dict.fromkeys(forms):
        with suppress(ValueError):
            yield compiled(form)


def _seen(text: str) -> str:
    """`text` without invisible characters, with composed letters and plain spaces."""
    return _SPACES.sub(" ", unicodedata.normalize("NFC", visible(text)[0]).replace("\r\n", "\n"))


def _plain_forms(seen: str) -> Iterator[str]:
    compatible = unicodedata.normalize("NFKC", seen)
    plain = _without_marks(seen)
    for form in dict.fromkeys((seen, compatible, plain, with_plain_letters(plain))):
        yield form
        yield _MANY_SPACES.sub(" ", form)


def _without_marks(text: str) -> str:
    return text if text.isascii() else _MARKS.sub("", text)


def with_plain_letters(text: str) -> str:
    """`text` with ASCII letters for those of other scripts that look like them."""
    looks = {
        ord(one): look
        for one in set(text)
        if not one.isascii() and (look := look_of(one)) is not None and look.isalpha()
    }
    return text.translate(looks)
