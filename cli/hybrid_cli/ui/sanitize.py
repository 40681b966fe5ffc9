"""Making a text safe to show: terminal control sequences (ECMA-48), and characters that turn its direction."""

from __future__ import annotations

import re

from hybrid_cli.ui.environment import printable

_LONGEST = 4096  # characters of a string sequence; without an end, what follows must not vanish with it
_CSI = r"(?:\x1b\[|\x9b)[0-?]{0,256}[ -/]{0,16}"
_STRING = rf"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]{{0,{_LONGEST}}}"  # OSC, DCS, SOS, PM, APC
_OTHER = r"\x1b[ -/]{0,16}"
_WHOLE = re.compile(rf"{_CSI}[@-~]|{_STRING}(?:\x07|\x1b\\|\x9c)|{_OTHER}[0-OQ-WYZ`-~\\]")
_BEGUN = re.compile(rf"(?:{_CSI}|{_STRING}\x1b?|{_OTHER})\Z")


class EscapeFilter:
    """Takes the text in pieces of any cut; a sequence that is not whole yet waits for the next piece."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """What of the text so far may be shown."""
        text = _WHOLE.sub("", self._held + text)
        begun = _BEGUN.search(text)
        cut = begun.start() if begun else len(text)
        self._held = text[cut:]
        return printable(text[:cut])

    def flush(self) -> str:
        """What still waited, at the end: no sequence after all, and harmless without its first character."""
        held, self._held = self._held, ""
        return printable(held)


def plain(text: str) -> str:
    """`text` without control sequences and control characters, but for newlines and tabs."""
    stripper = EscapeFilter()
    return stripper.feed(text) + stripper.flush()


# Embeddings, overrides and isolates (UAX 9) are made visible; marks, which stand in honest text, are dropped.
_DIRECTIONS = {
    **{code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))},
    **dict.fromkeys((0x200E, 0x200F, 0x061C)),
}


def undirected(text: str) -> str:
    """`text` in which nothing can make a terminal show it in another order than it is read by programs."""
    return text.translate(_DIRECTIONS)
