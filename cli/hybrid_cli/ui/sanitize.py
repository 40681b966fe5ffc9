"""Make text safe to show: remove terminal control sequences (ECMA-48), reveal bidi controls (UAX 9)."""

from __future__ import annotations

import re
import unicodedata

# Every C0 and C1 control except newline and tab. Without ESC and CSI, no control sequence reaches a terminal.
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}

# Embeddings, overrides and isolates become visible escapes. Marks occur in honest text, so they are dropped.
_BIDI = {
    **{code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))},
    **dict.fromkeys((0x200E, 0x200F, 0x061C)),
}

_MAX_STRING = 4096
"""Longest string sequence, in characters. An unterminated one must not swallow the rest of the text."""
_CSI = r"(?:\x1b\[|\x9b)[0-?]{0,256}[ -/]{0,16}"
# OSC, DCS, SOS, PM, APC. Another one cannot begin inside: many without an end would take quadratic time.
_STRING = rf"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x90\x98\x9b-\x9f]{{0,{_MAX_STRING}}}"
_ESCAPE = r"\x1b[ -/]{0,16}"
_COMPLETE = re.compile(rf"{_CSI}[@-~]|{_STRING}(?:\x07|\x1b\\|\x9c)|{_ESCAPE}[0-OQ-WYZ`-~\\]")
_INCOMPLETE = re.compile(rf"(?:{_CSI}|{_STRING}\x1b?|{_ESCAPE})\Z")


class EscapeFilter:
    """Remove control sequences from text that arrives in pieces, which may split a sequence anywhere."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return the text that is safe so far; hold back an incomplete sequence at its end."""
        text = _COMPLETE.sub("", self._held + text)
        incomplete = _INCOMPLETE.search(text)
        end = incomplete.start() if incomplete else len(text)
        self._held = text[end:]
        return without_controls(text[:end])

    def flush(self) -> str:
        """Return the text held back: no sequence after all, and harmless without its first character."""
        held, self._held = self._held, ""
        return without_controls(held)


def plain(text: str) -> str:
    """Return `text` without control sequences and without control characters except newline and tab."""
    escapes = EscapeFilter()
    return escapes.feed(text) + escapes.flush()


def without_controls(text: str) -> str:
    """Return `text` without control characters except newline and tab; the rest of a sequence stays."""
    return text.translate(_CONTROLS)


def reveal_bidi(text: str) -> str:
    """Return `text` with bidi controls escaped, so that a terminal shows it in the order programs read it."""
    return text.translate(_BIDI)


def one_line(text: str) -> str:
    """Return `text` fit for a message: on one line, with invisible and reordering characters escaped."""
    if text.isascii() and text.isprintable():
        return text
    shown = []
    for character in text:
        category = unicodedata.category(character)
        if category in ("Cc", "Zl", "Zp"):
            shown.append(" ")
        elif category in ("Cf", "Co", "Cs"):
            shown.append(f"\\u{ord(character):04x}")
        else:
            shown.append(character)
    return "".join(shown)


def shorten(text: str, longest: int = 80) -> str:
    """Return `text` on one line, cut to `longest` characters: for foreign text inside a message."""
    text = one_line(text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
