"""Checks of plain sense: answers that nobody needs a score to doubt."""

from __future__ import annotations

import json
import re
from typing import Any

from hybrid_cli.checks.arithmetic import miscalculation
from hybrid_cli.checks.asked_language import wrong_language

_WORD = re.compile(r"\w+")
_LONG = 8
"""Words of an answer from which it counts as a repetition if it is a part of the prompt."""
_NO_TEXT = re.compile(r"(?:(?:[-*•]|\d+[.)])\s*)+|\.{3,}|…")
"""List markers without text, or dots."""
_SHORT = 200
_MAY_BE_EMPTY = re.compile(
    r"\b(?:empty|none|null|nothing|no (?:match|result|such)|if any|if there)\b", re.IGNORECASE
)
_MAY_REPEAT = re.compile(
    r"\b(?:repeat|quote|copy|echo|print|show|cat|fix|correct|proofread|check|format|lint|clean|tidy|verbatim)",
    re.IGNORECASE,
)
"""Prompts whose right answer may be the input unchanged."""
_TRANSFORMS = re.compile(
    r"\b(?:translat|übersetz|tradui|summar|shorten|paraphras|rephras|simplif|explain)", re.IGNORECASE
)
"""Prompts whose right answer is never a part of them."""
_ASKS_YES_OR_NO = re.compile(
    r"(?:^|[:.!?]\s)\s*(?:is|are|was|were|does|do|did|can|could|will|has|have|had|should|must)\s(?P<rest>[^?.]+)\??",
    re.IGNORECASE,
)
_YES_OR_NO = re.compile(r"\W*(?P<head>yes|no)\b[*_,.;:!—–\s-]+(?P<rest>[^.;!\n]+)", re.IGNORECASE)
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|cannot|neither|nor|wrong|false|incorrect)\b|n['’]t\b", re.IGNORECASE
)
_FILLER = frozenset(
    re.findall(
        r"\w+",
        "a an the it its is are was were does do did can could will has have had should must be been to of that this"
        " there indeed really actually also so",
    )
)


def nonsense(answer: str, prompt: str, context: str = "") -> str | None:
    """Return what is senseless in `answer`, as in "the local answer repeats the prompt"; None if nothing is."""
    answer, context = answer.strip(), context.strip()
    return (
        _emptiness(answer, prompt)
        or _repetition(answer, prompt, context)
        or _contradiction(answer, prompt)
        or miscalculation(answer, prompt, context)
        or wrong_language(answer, prompt)
    )


def _emptiness(answer: str, prompt: str) -> str | None:
    """Find list markers without text, and JSON without a value."""
    bare = re.sub(r"^```\w*\n|\n?```$", "", answer).strip()
    if len(bare) > _SHORT or _MAY_BE_EMPTY.search(prompt):
        return None
    if _NO_TEXT.fullmatch(bare):
        return "is empty"
    if bare[:1] not in ("[", "{", '"'):
        return None
    try:
        return None if _has_value(json.loads(bare)) else "is empty"
    except ValueError:
        return None


def _has_value(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_value, value.values()))
    if isinstance(value, list):
        return any(map(_has_value, value))
    return value not in ("", None)


def _repetition(answer: str, prompt: str, context: str) -> str | None:
    """Find an answer that is the input unchanged, the prompt, or a long part of a prompt that wants a new text.

    A part of the input is no repetition: to extract one is what many prompts ask for. Case, spaces and signs count, as
    to change them is what others ask for.
    """
    if answer.count(" ") + answer.count("\n") < 2 or _MAY_REPEAT.search(prompt):
        return None
    if _lines(answer) == _lines(context):
        return "repeats its input"
    asked, words = _WORD.findall(prompt), _WORD.findall(answer)
    if len(asked) >= _LONG and prompt.strip() in answer:
        return "repeats the prompt"
    is_part = len(words) >= _LONG and f" {' '.join(words)} ".casefold() in f" {' '.join(asked)} ".casefold()
    return "repeats the prompt" if is_part and _TRANSFORMS.search(prompt) else None


def _lines(text: str) -> list[str]:
    """Return the lines without list markers and blanks at their ends."""
    return [re.sub(r"^[-*•] ", "", line.strip()) for line in text.splitlines()]


def _contradiction(answer: str, prompt: str) -> str | None:
    """Find a yes or no whose own sentence says the opposite of it: "No, 91 is prime."."""
    question, reply = _ASKS_YES_OR_NO.search(prompt), _YES_OR_NO.match(answer)
    if question is None or reply is None or _NEGATION.search(question["rest"]):
        return None
    sentence = re.split(r"\b(?:because|since|as|but|and)\b|,", reply["rest"], maxsplit=1)[0]
    stated, asked = _content(_NEGATION.sub(" ", sentence)), _content(question["rest"])
    restates = 2 * len(stated) >= len(asked) and _in_order(stated, asked)
    repeats = len(stated) <= len(asked) + 1 and _in_order(asked, stated)
    if not stated or not (restates or repeats):
        return None  # the sentence says something else than the question
    affirms = _NEGATION.search(sentence) is None
    return None if affirms == (reply["head"].lower() == "yes") else "contradicts itself"


def _in_order(few: list[str], many: list[str]) -> bool:
    """Whether all words of `few` are in `many`, in the same order: "older than Java" is not "Java is older"."""
    rest = iter(many)
    return all(word in rest for word in few)


def _content(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.casefold()) if word not in _FILLER]
