"""The ways that a text can be read: as written, without invisible characters, with escapes decoded, joined.

A credential that is hidden in one reading is visible in another. Each reading is made from the one before it, and
only of the lines that it changes, so a plain text has one reading.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hybrid_cli.privacy.escapes import ESCAPE, decoded
from hybrid_cli.privacy.visible_text import INVISIBLE, look_of, with_tags_shown


@dataclass(frozen=True)
class Reading:
    """A reading of a text, and the place of each of its characters in the text."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]
    is_joined: bool = False
    """Line ends and quotes inside of values are gone, so only formats with a prefix of their own are searched."""

    def place(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original text that `start` to `end` of this reading came from."""
        return self.starts[start], self.ends[end - 1]

    def is_word_start(self, start: int) -> bool:
        """Whether `start` does not follow an ASCII letter, digit or underscore."""
        first, before = self.text[start : start + 1], self.text[start - 1 : start]
        if not (first.isalnum() or first == "_"):
            return True
        is_word = before.isascii() and (before.isalnum() or before == "_")
        return not is_word or (self.is_joined and self.ends[start - 1] != self.starts[start])


def readings(text: str) -> Iterator[Reading]:
    """All different readings of `text`: the text itself, then those of the lines that can be read otherwise."""
    yield Reading(text, range(len(text)), range(1, len(text) + 1))
    reading = _lines_to_read_again(text)
    if reading is None:
        return
    shown = with_tags_shown(reading.text)
    if shown is not None:
        yield Reading(shown, reading.starts, reading.ends)
    for change in (_visible, _plain, _decoded, _decoded, _joined):
        changed = change(reading)
        if changed is not None:
            reading = changed
            yield reading


_UNSEEN = re.compile(f"{INVISIBLE.pattern}|[\u0300-\u036f]")
"""Invisible characters, and marks over and under letters."""


def _visible(reading: Reading) -> Reading | None:
    """Without invisible characters and combining marks."""
    return _replaced(reading, _UNSEEN, lambda _found: "")


def _plain(reading: Reading) -> Reading | None:
    """With plain letters, digits and signs for characters that look like them."""
    looks = {ord(one): plain for one in set(reading.text) if not one.isascii() and (plain := look_of(one))}
    if not looks:
        return None
    return Reading(reading.text.translate(looks), reading.starts, reading.ends)


def _decoded(reading: Reading) -> Reading | None:
    """With escapes decoded."""
    return _replaced(reading, ESCAPE, lambda found: decoded(found[0]))


_TOKEN = r"[A-Za-z0-9_+/=~%.-]"  # noqa: S105  the characters of keys
_STRINGS = rf"[\"'`](?<={_TOKEN}[\"'`])\s{{0,40}}(?:[+.&|<>~\\]{{1,2}}\s{{0,40}})?[\"'`](?={_TOKEN})"
_WRAP = rf"\n(?<=[A-Za-z0-9_+/=~%.\\\r-]\n)[ \t>#|*+\"']{{0,40}}(?={_TOKEN}{{4}})"
_TABS = rf"\t(?<={_TOKEN}\t)[ \t]{{0,8}}(?={_TOKEN}{{4}})"
_EMPHASIS = rf"[*`<](?<={_TOKEN}[*`<])(?:(?<=\*)\*{{0,2}}|(?<=`)|(?<=<)/?[a-z][^<>\n]{{0,60}}>)(?={_TOKEN})"
_SEAM = re.compile(f"{_STRINGS}|[ \\t]{{0,8}}\\\\?\\r?{_WRAP}|{_TABS}|{_EMPHASIS}")
_WRAPPED = re.compile(rf"(?={_TOKEN}*\d)(?:{_TOKEN}){{12,}}[ \t]{{0,8}}\\?\r?\Z")
"""The end of a line that may be continued: twelve characters of a key or more, with a digit."""


def _joined(reading: Reading) -> Reading | None:
    """With the parts of values put together: wrapped lines, joined strings, and emphasis inside of them."""
    return _replaced(reading, _SEAM, lambda found: "" if _is_seam(found) else found[0], is_joined=True)


def _is_seam(found: re.Match[str]) -> bool:
    """Whether a value may continue after `found`: a line end or a tab counts only after what looks like a key."""
    is_sure = found[0][0] in "\"'`" or {"\n", "\t"}.isdisjoint(found[0])
    return is_sure or _may_wrap(found.string, found.start())


def _may_wrap(text: str, end: int) -> bool:
    line = text[max(0, end - 60) : end]
    return _WRAPPED.search(line[max(line.rfind("\n"), line.rfind(" ")) + 1 :]) is not None


_TRIGGERS = (
    (("\\",), re.compile(r"\\(?:[uxU][0-9A-Fa-f{]|[\\/\"']|[nrtbf](?=\w)|N\{|[01][0-7]{2})")),
    (("%",), re.compile(r"%[0-9A-Fa-f]{2}")),
    (("=3D", "=\n", "=\r\n"), re.compile(r"=[0-9A-F]{2}|=\r?\n")),
    (("&",), re.compile(r"&(?:#|[A-Za-z]{2,8};)")),
    (('"', "'", "`"), re.compile(_STRINGS)),
    (("\n",), re.compile(_WRAP)),
    (("\t",), re.compile(_TABS)),
    (("*", "`", "<"), re.compile(_EMPHASIS)),
)
"""Where a text can be read otherwise: characters that must be in it, and the pattern of the places."""
GAP = "\n\ufffd\n"
"""Replaces lines that were left out; no secret contains it."""


def _lines_to_read_again(text: str) -> Reading | None:
    """The lines of `text` that another reading would change, each with the lines beside it."""
    patterns = [pattern for marks, pattern in _TRIGGERS if any(mark in text for mark in marks)]
    others = [one for one in set(text) if (look_of(one) if not one.isascii() else one < " " or one == "\x7f")]
    invisible = filter(_UNSEEN.fullmatch, set(text))
    unusual = "".join({*(one for one in others if one not in "\t\n\r\v\f"), *invisible})
    if unusual:
        patterns.append(re.compile(f"[{re.escape(unusual)}]"))
    lines: list[tuple[int, int]] = []
    found = (match for pattern in patterns for match in pattern.finditer(text))
    for start, end in sorted(
        one.span() for one in found if one[0][0] not in "\n\t" or _may_wrap(text, one.start())
    ):
        if lines and end <= lines[-1][1]:
            continue
        first = text.rfind("\n", 0, max(0, text.rfind("\n", 0, start))) + 1
        after = text.find("\n", end)
        last = text.find("\n", after + 1) if after >= 0 else -1
        last = len(text) if last < 0 else last
        if lines and first <= lines[-1][1]:
            lines[-1] = (lines[-1][0], last)
        else:
            lines.append((first, last))
    if not lines:
        return None
    pieces, starts, ends = [], [], []
    for start, end in lines:
        pieces += [text[start:end], GAP]
        starts += [*range(start, end), *[end] * len(GAP)]
        ends += [*range(start + 1, end + 1), *[end] * len(GAP)]
    return Reading("".join(pieces), starts, ends)


def _replaced(
    reading: Reading,
    pattern: re.Pattern[str],
    replacement: Callable[[re.Match[str]], str],
    *,
    is_joined: bool = False,
) -> Reading | None:
    """`reading` with a replacement, of at most one character, for each match; None if nothing changes."""
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    kept = 0
    for found in pattern.finditer(reading.text):
        new = replacement(found)
        if new == found[0]:
            continue
        pieces += [reading.text[kept : found.start()], new]
        starts += reading.starts[kept : found.start()]
        ends += reading.ends[kept : found.start()]
        if new:
            starts.append(reading.starts[found.start()])
            ends.append(reading.ends[found.end() - 1])
        kept = found.end()
    if kept == 0:
        return None
    starts += reading.starts[kept:]
    ends += reading.ends[kept:]
    return Reading("".join([*pieces, reading.text[kept:]]), starts, ends, is_joined)
