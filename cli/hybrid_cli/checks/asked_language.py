"""The language that a prompt asks an answer in, and answers in another one."""

from __future__ import annotations

import re

LANGUAGES = {
    "ar": "arabic arabisch arabe",
    "cs": "czech tschechisch čeština česky",
    "da": "danish dansk dänisch",
    "de": "german deutsch allemand alemán tedesco",
    "el": "greek griechisch ελληνικά",
    "en": "english englisch anglais inglés inglese inglês",
    "es": "spanish spanisch español espagnol castellano",
    "fi": "finnish finnisch suomi suomeksi",
    "fr": "french französisch français francés francese",
    "he": "hebrew hebräisch",
    "hi": "hindi",
    "hu": "hungarian ungarisch magyarul magyar",
    "it": "italian italienisch italiano italien",
    "ja": "japanese japanisch japonais 日本語",
    "ko": "korean koreanisch 한국어",
    "nl": "dutch niederländisch nederlands néerlandais",
    "pl": "polish polnisch polsku polski",
    "pt": "portuguese portugiesisch português portugais",
    "ro": "romanian rumänisch română",
    "ru": "russian russisch russe русском русский",
    "sv": "swedish schwedisch svenska",
    "tr": "turkish türkisch türkçe",
    "uk": "ukrainian ukrainisch українською",
    "vi": "vietnamese vietnamesisch",
    "zh": "chinese chinesisch chinois mandarin 中文",
}
"""The names that users write, by ISO 639-1 code."""

_CODES = {name: code for code, names in LANGUAGES.items() for name in names.split()}
_NAME = "|".join(sorted(map(re.escape, _CODES), key=len, reverse=True))
_REQUEST = re.compile(
    rf"""
    \b(?:translat\w*|answer\w*|repl\w+|respond\w*|write|rewrite|übersetz\w*|antworte\w*|schreib\w*|tradui\w+|traduc\w+|respond\w+)
        \b[^.\n]{{0,80}}?\b(?:(?:into|to|ins|al|na|po)\s+(?P<one>{_NAME})\b|(?:in|auf|en|em)\s+(?P<in>{_NAME})\b(?!\s+\w))
    | \b(?:in|into|to|auf|en|em)\s+(?P<two>{_NAME})\s*(?:[:.!,]|$)
    """,
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)
_ASKS_ABOUT = re.compile(
    r"\b(?:how (?:do|to|would|can)|what(?:'s| is| does)|word for|mean|means|pronounce)\b", re.IGNORECASE
)
"""Prompts about a language, whose answer may be in another."""
_LEAST_WORDS = 4
_SURE = 20.0
"""Nats by which the likeliest language must be ahead of the requested one."""


def asked_language(prompt: str) -> str | None:
    """Return the ISO 639-1 code of the language that `prompt` asks the answer in; None if it names none."""
    if _ASKS_ABOUT.search(prompt):
        return None
    found = [one["one"] or one["in"] or one["two"] for one in _REQUEST.finditer(prompt)]
    return _CODES[found[-1].lower()] if found else None


def wrong_language(answer: str, prompt: str) -> str | None:
    """Return, for a message, that `answer` is not in the language that `prompt` asks for; None if it may be."""
    wanted = asked_language(prompt)
    if wanted is None or (answer.isascii() and len(answer.split()) < _LEAST_WORDS):
        return None
    import py3langid  # takes half a second

    scores = dict(py3langid.rank(answer))
    likeliest = max(scores, key=scores.__getitem__)
    ahead = scores[likeliest] - scores.get(wanted, scores[likeliest])
    return f"is in another language than `{wanted}`" if ahead > _SURE else None
