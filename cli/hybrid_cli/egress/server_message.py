"""An excerpt of a server's error message that holds nothing of the prompt and no key: some servers repeat both."""

from __future__ import annotations

import re
from collections.abc import Collection

from hybrid_cli.privacy.scan import find
from hybrid_cli.ui.sanitize import one_line, shorten

_LONGEST = 200
"""Characters of the excerpt."""
_WORD = re.compile(r"\w+")
_LONG_TOKEN = re.compile(r"\S{31,}")
"""Text without spaces can be the prompt or the key in another encoding."""
_SPELLED = re.compile(r"(?:\b\w\W{1,3}){6}")
"""A text that is spelled out, character by character."""
_SHORTEST_PART = 3
"""Characters. Shorter parts of a prompt say nothing, except digits."""
_SHORTEST_INSIDE = 4
"""Characters of a word of the prompt, or of a part of the key, that hide a longer word around them."""
_MASK = "\u2026"
_COMMON = frozenset(
    [
        "a",
        "all",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "by",
        "can",
        "could",
        "does",
        "for",
        "from",
        "has",
        "have",
        "if",
        "in",
        "input",
        "into",
        "invalid",
        "is",
        "it",
        "its",
        "json",
        "length",
        "less",
        "limit",
        "loaded",
        "loading",
        "long",
        "longer",
        "many",
        "max",
        "maximum",
        "message",
        "messages",
        "model",
        "models",
        "must",
        "no",
        "not",
        "of",
        "on",
        "only",
        "or",
        "output",
        "parameter",
        "please",
        "prompt",
        "provided",
        "request",
        "requested",
        "requires",
        "role",
        "roles",
        "schema",
        "server",
        "should",
        "stream",
        "supported",
        "system",
        "temperature",
        "than",
        "that",
        "the",
        "this",
        "to",
        "token",
        "tokens",
        "too",
        "unknown",
        "unsupported",
        "use",
        "user",
        "value",
        "was",
        "were",
        "with",
        "without",
        "you",
        "your",
        "context",
        "window",
        "exceeded",
        "exceeds",
    ]
)
"""Words of such messages that are shown even if the prompt has them, too."""


def safe_excerpt(message: str, texts: Collection[str], key: str | None) -> str:
    """The beginning of `message` without the words that `texts`, which were sent, or the key contain.

    Returns "" if it may hold a secret, or one of the texts spelled out.
    """
    shown = " ".join(one_line(message[: 10 * _LONGEST]).split())
    if _SPELLED.search(shown) or find(shown, ["secret"]):
        return ""
    sent = "\n".join(texts).casefold()
    words = {word for word in _WORD.findall(sent) if len(word) >= _SHORTEST_INSIDE} - _COMMON
    words |= {key.casefold()[at : at + _SHORTEST_INSIDE] for at in range(len(key or ""))} if key else set()

    def masked(match: re.Match[str]) -> str:
        word = match[0].casefold()
        if word in _COMMON:
            return match[0]
        is_part = (len(word) >= _SHORTEST_PART or word.isdigit()) and word in sent
        return _MASK if is_part or any(one in word for one in words) else match[0]

    return shorten(_WORD.sub(masked, _LONG_TOKEN.sub(_MASK, shown)), _LONGEST)
