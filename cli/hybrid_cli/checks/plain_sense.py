"""Checks of plain sense: answers that nobody needs a score to doubt."""

from __future__ import annotations

import re

from hybrid_cli.checks.arithmetic import miscalculation
from hybrid_cli.checks.asked_language import wrong_language

_WORD = re.compile(r"\w+")
_LONG = 8
"""Words of an answer from which it counts as a repetition if it stands in the prompt."""
_EMPTY = re.compile(
    r"""\s*(?:```\w*\s*)?
    (?: \[\s*\] | \{\s*\} | "" | '' | (?:null|none|n/a)\.? | (?:\s*(?:[-*•]|\d+[.)]))+ )
    \s*(?:```)?\s*""",
    re.IGNORECASE | re.VERBOSE,
)
"""A list or object without members, or list markers without text."""
_ASKS_YES_OR_NO = re.compile(
    r"\s*(?:is|are|was|were|does|do|did|can|could|will|has|have|had|should|must)\s(?P<rest>[^?.]+)\??",
    re.IGNORECASE,
)
_YES_OR_NO = re.compile(r"\W*(?P<head>yes|no)\b[,.;:!—–\s-]+(?P<rest>[^.;!\n]+)", re.IGNORECASE)
_NEGATION = re.compile(r"\b(?:not|no|never|none|cannot|neither|nor)\b|n['’]t\b", re.IGNORECASE)
_FILLER = frozenset(
    [
        "a",
        "an",
        "the",
        "it",
        "its",
        "is",
        "are",
        "was",
        "were",
        "does",
        "do",
        "did",
        "can",
        "could",
        "will",
        "has",
        "have",
        "had",
        "should",
        "must",
        "be",
        "been",
        "to",
        "of",
        "that",
        "this",
        "there",
        "indeed",
        "really",
        "actually",
        "also",
        "so",
    ]
)


def nonsense(answer: str, prompt: str, context: str = "") -> str | None:
    """Return what is senseless in `answer`, as in "the local answer repeats the prompt"; None if nothing is."""
    if _EMPTY.fullmatch(answer):
        return "is empty"
    return (
        _repetition(answer, prompt, context)
        or _contradiction(answer, prompt)
        or miscalculation(answer, prompt, context)
        or wrong_language(answer, prompt)
    )


def _repetition(answer: str, prompt: str, context: str) -> str | None:
    """Find an answer that is the context unchanged, the prompt, or a long part of the prompt.

    A part of the context is no repetition: to extract one is what many prompts ask for.
    """
    words = _words(answer)
    if not words:
        return None
    if len(words) > 2 and words == _words(context):
        return "repeats its input"
    asked = _words(prompt)
    if (len(words) > 2 and words == asked) or (
        len(words) >= _LONG and f" {' '.join(words)} " in _spaced(asked)
    ):
        return "repeats the prompt"
    if len(asked) >= _LONG and f" {' '.join(asked)} " in _spaced(words):
        return "repeats the prompt"
    return None


def _contradiction(answer: str, prompt: str) -> str | None:
    """Find a yes or no whose own sentence says the opposite of it: "No, 91 is prime."."""
    question, reply = _ASKS_YES_OR_NO.match(prompt), _YES_OR_NO.match(answer)
    if question is None or reply is None or _NEGATION.search(question["rest"]):
        return None
    sentence = re.split(r"\b(?:because|since|as|but|and)\b|,", reply["rest"], maxsplit=1)[0]
    stated, asked = _content(_NEGATION.sub(" ", sentence)), _content(question["rest"])
    if not stated or not stated <= asked or 2 * len(stated) < len(asked):
        return None  # the sentence says something else than the question
    affirms = _NEGATION.search(sentence) is None
    return None if affirms == (reply["head"].lower() == "yes") else "contradicts itself"


def _content(text: str) -> set[str]:
    return {word for word in _words(text) if word not in _FILLER}


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _spaced(words: list[str]) -> str:
    return f" {' '.join(words)} "
