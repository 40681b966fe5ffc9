"""Where a secret ends: at the quote that closes it, at the end of its run of characters, or of its block.

No limit of length applies: a part of a secret that stays behind may be enough to guess or use the rest.
"""

from __future__ import annotations

import bisect
import re
import string
from collections.abc import Iterator

Span = tuple[int, int]

_TOKEN_RUN = re.compile(r"(?:[A-Za-z0-9_+/=~-]|[.%](?=[A-Za-z0-9_+/=-])|\\[/u](?=[A-Za-z0-9])|\\\\?/)*")
_BASE64_LINE = re.compile(r"[ \t>#|*\"'+]{0,40}[A-Za-z0-9_+/=-]{16,}(?=[\"'\\ \t+,]{0,12}\r?(?:\n|\Z))")
_LINE_END = re.compile(r"[\"'\\ \t+]{0,12}\r?\n")
_WRAPPED_AT = 40
"""Characters. A shorter value at the end of a line is not taken for a wrapped one."""


def run_end(pattern: re.Pattern[str], text: str, start: int) -> int:
    """The end of `pattern` at `start`; `start` itself if it does not match there."""
    match = pattern.match(text, start)
    return start if match is None else match.end()


def token_end(text: str, start: int, end: int) -> int:
    """The end of the token that begins at `start` and may continue after `end`, also on the next lines."""
    end = run_end(_TOKEN_RUN, text, end)
    line_start = max(start, text.rfind("\n", 0, end) + 1)
    while end - line_start >= _WRAPPED_AT and (newline := _LINE_END.match(text, end)):
        following = _BASE64_LINE.match(text, newline.end())
        if following is None:
            break
        line_start, end = following.span()
    return end


_QUOTE = re.compile(r"(?P<escapes>\\*)(?P<quote>[\"'`])\Z")
_RUN = re.compile(r"\S*")
_LINE = re.compile(r"[^\r\n]*")
_BLOCK_MARK = re.compile(r":[ \t]*[|>][+-]?[ \t]*\r?\n[ \t]*\Z")


def opens_quote(text: str, start: int) -> bool:
    """Whether a quote is directly before `start`."""
    return text[start - 1 : start] in ("'", '"', "`")


def quoted_end(text: str, start: int, opened: int | None = None) -> int | None:
    """The end of the quoted value that begins at `start`; None if it is not quoted, or its quote never closes.

    The quote is before `start`, or before `opened` if that is given. A quote with as many backslashes before it
    as the first one closes the value; one with others is part of it.
    """
    opened = start if opened is None else opened
    if not opens_quote(text, opened):
        return None
    opening = _QUOTE.search(text, max(0, opened - 16), opened)
    if opening is None:
        return None
    quote, depth = opening["quote"], len(opening["escapes"])
    place = text.find(quote, start)
    while place >= 0:
        before = text[max(start, place - 32) : place]
        escapes = len(before) - len(before.rstrip("\\"))
        closes = escapes % (2 * depth + 2) == depth
        continues = text[place + 1 : place + 2] in (quote, "\\")  # doubled, as in SQL, or joined by a shell
        if closes and not continues:
            return place - depth
        place = text.find(quote, place + (2 if closes else 1))
    return None


def value_end(text: str, start: int, *, opened: int | None, is_whole_line: bool) -> int:
    """The end of the value that begins at `start`, after the name it is assigned to.

    A value that a quote before it (or before the name, at `opened`) opens ends at its quote, one in an XML element at the next tag. Any other ends at the next blank, or
    with `is_whole_line` at the end of the line: settings in files may contain blanks.
    """
    quoted = quoted_end(text, start, opened)
    if quoted is not None:
        return quoted
    if text[start - 1 : start] == ">":
        tag = text.find("</", start)
        if tag >= 0:
            return tag
    if _BLOCK_MARK.search(text, max(0, start - 200), start):
        return _block_end(text, start)
    pattern = _LINE if is_whole_line else _RUN
    end = run_end(pattern, text, start)
    end = start + len(text[start:end].rstrip())
    return max(end, token_end(text, start, end))


def _block_end(text: str, start: int) -> int:
    """The end of a YAML block: its lines are indented at least as much as the first."""
    indent = start - text.rfind("\n", 0, start) - 1
    end = run_end(_LINE, text, start)
    following = re.compile(rf"(?:\r?\n[ \t]{{{max(indent, 1)},}}[^\r\n]+)*")
    return run_end(following, text, end)


_BLOCKS = (
    ("private key", r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----", r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"),
    ("private key", r"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----", r"---- END SSH2 ENCRYPTED PRIVATE KEY ----"),
    ("private key", r"PuTTY-User-Key-File-\d:", r"Private-MAC: ?[0-9a-f]{40,64}"),
    ("encrypted vault", r"\$ANSIBLE_VAULT;[0-9.]{1,8};AES256", r"\n(?![ \t]*[0-9a-f]{2,})"),
)  # fmt: skip
"""Secrets of many lines: the name, and the patterns of the first and the last line."""
_WORDS_OF_BLOCKS = ("private key", "putty-user-key-file-", "$ansible_vault")
_KEY_LINE = re.compile(
    r"\s*[^\n]{0,40}?(?:[A-Za-z0-9+/=]{16,}[^\n]{0,12}|[A-Za-z][A-Za-z-]{2,20}: [^\n]*)?(?:\n|\Z)"
)


def blocks(text: str, lowered: str) -> Iterator[tuple[str, Span]]:
    """The name and span of each secret with a first and a last line, also if one of the two is missing."""
    if not any(word in lowered for word in _WORDS_OF_BLOCKS):
        return
    for name, first, last in _BLOCKS:
        begins = list(re.finditer(first, text))
        ends = [match.span() for match in re.finditer(last, text)]
        starts_of_ends = [start for start, _ in ends]
        for number, begin in enumerate(begins):
            limit = begins[number + 1].start() if number + 1 < len(begins) else len(text)
            place = bisect.bisect_left(starts_of_ends, begin.end())
            if place < len(ends) and ends[place][0] < limit:
                yield name, (begin.start(), ends[place][1])
            elif (end := _key_lines_end(text, begin.end(), limit)) > begin.end():
                yield name, (begin.start(), end)
        yield from ((name, span) for span in _tails(text, ends, begins) if name == "private key")


def _key_lines_end(text: str, start: int, limit: int) -> int:
    """The end of the lines of Base64 from `start` on, for a block whose last line is missing."""
    end = start
    last = start
    while end < limit and (line := _KEY_LINE.match(text, end, limit)) and line.end() > end:
        end = line.end()
        if re.search(r"[A-Za-z0-9+/=]{16}", line[0]):
            last = start + len(text[start:end].rstrip())
    return last


_BASE64 = string.ascii_letters + string.digits + "+/="
_LINE_OF_BASE64 = re.compile(rf"[{_BASE64}]{{20,}}")


def _tails(text: str, ends: list[Span], begins: list[re.Match[str]]) -> Iterator[Span]:
    """The last lines of private keys whose first lines are missing."""
    borders = sorted([0, *(end for _, end in ends), *(begin.end() for begin in begins)])
    for start, end in ends:
        floor = borders[bisect.bisect_right(borders, start) - 1]
        rest = floor + len(text[floor:start].rstrip(_BASE64 + string.whitespace))
        first = _LINE_OF_BASE64.search(text, rest, start)
        if first is not None:
            yield first.start(), end
