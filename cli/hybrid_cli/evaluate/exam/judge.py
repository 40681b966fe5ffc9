"""Judging an exam answer by the question's check."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from hybrid_cli.evaluate.exam.question import ExamQuestion

_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?|(?<![\w.])-?\.\d+")
_FENCE = re.compile(r"```[\w+-]*[ \t]*\n?(.*?)```", re.DOTALL)
_QUOTE = re.compile(r"`[^`]+`|\"[^\"]+\"")
_LIST_MARK = re.compile(r"^(?:[-*•]|\d+[.)])\s+")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_SMALL = (
    *(
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
    ),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_MAX_PATTERN = 200  # characters of a model's regular expression
_MAX_SUBJECT = 24  # characters of a text that it is tried on: bounds the time of a bad pattern
_MAX_SQL_STEPS = 200  # calls of SQLite's progress handler, each of 1,000 instructions


def is_right(question: ExamQuestion, answer: str) -> bool:
    """Return whether `answer` fulfils every condition of the question's check."""
    if not answer.strip():
        return False
    return all(_CONDITIONS[name](question, answer, wanted) for name, wanted in question.check.items())


def numbers(text: str) -> list[float]:
    """Return the numbers in `text`, without thousands separators."""
    return [float(found.replace(",", "")) for found in _NUMBER.findall(text)]


def _number(question: ExamQuestion, answer: str, wanted: float) -> bool:
    """The last number that the prompt does not contain decides; if there is none, the last number."""
    found = numbers(answer.rsplit("####", 1)[-1]) or numbers(answer)
    if not found:
        words = [word.casefold() for word in _WORD.findall(answer)]
        found = [float(_SMALL.index(word)) for word in words if word in _SMALL]
    given = numbers(f"{question.prompt} {question.context}")
    new = [value for value in found if not _close(value, given)]
    if not _close(wanted, given) and new:
        found = new
    return bool(found) and _close(found[-1], [wanted])


def _close(value: float, others: Sequence[float]) -> bool:
    return any(abs(value - other) <= 1e-4 + 1e-7 * abs(other) for other in others)


def _text(question: ExamQuestion, answer: str, wanted: Sequence[str]) -> bool:
    """Compare the accepted texts with the rejected ones, as whole words in any case.

    If the first sentence holds only one kind, that decides; then the last sentence; then the first text.
    """
    rejected = question.check.get("rejected", ())
    given = f"{question.prompt}\n{question.context}"
    sentences = [part for part in _SENTENCE_END.split(answer.strip()) if part.strip()]
    for part in (sentences[0], sentences[-1]):
        good, bad = _first_place(part, wanted), _first_place(_without_quotes(part, given), rejected)
        if (good is None) != (bad is None):
            return good is not None and not _denied(part, good)
    good, bad = _first_place(answer, wanted), _first_place(_without_quotes(answer, given), rejected)
    return good is not None and (bad is None or good < bad) and not _denied(answer, good)


def _without_quotes(text: str, given: str) -> str:
    """Blank what `text` quotes from the question: a mention of the input is no answer."""
    return _QUOTE.sub(
        lambda found: " " * len(found[0]) if found[0].strip("`\"'") in given else found[0], text
    )


def _first_place(text: str, candidates: Sequence[str]) -> int | None:
    """Return the place of the first candidate in `text`, as whole words in any case."""
    places = [found.start() for found in (_whole(one).search(text) for one in candidates) if found]
    return min(places, default=None)


def _whole(text: str) -> re.Pattern[str]:
    edge = r"\w-" if text.startswith("-") else r"\w"
    return re.compile(rf"(?<![{edge}]){re.escape(text)}(?![{edge}])", re.IGNORECASE)


def _denied(text: str, place: int) -> bool:
    """Whether "not" stands directly before the place."""
    return re.search(r"\b(?:not|n't|never)\s+(?:an?\s+|the\s+)?$", text[:place], re.IGNORECASE) is not None


def _exact(_question: ExamQuestion, answer: str, wanted: Sequence[str]) -> bool:
    """The whole answer is one of the accepted texts; case, quotes and a final period do not count."""
    bare = unfenced(answer).strip().strip("\"'`*").rstrip(".").strip("\"'`*").casefold()
    return any(bare == one.rstrip(".").casefold() for one in wanted)


def _letter(_question: ExamQuestion, answer: str, wanted: str) -> bool:
    """The first capital letter A to E that stands alone."""
    found = re.search(r"(?<![A-Za-z0-9'])([A-E])(?![A-Za-z0-9'])", answer)
    return found is not None and found[1] == wanted


def unfenced(answer: str) -> str:
    """Return the content of the first code fence, or the whole answer without one."""
    found = _FENCE.search(answer)
    return found[1].strip("\n") if found else answer.strip()


def lines_of(answer: str) -> list[str]:
    """Return the answer's lines without a fence, a heading that ends in a colon, and list marks."""
    lines = [line.strip() for line in unfenced(answer).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith(":"):
        lines = lines[1:]
    return [_LIST_MARK.sub("", line).strip("`") for line in lines]


def _lines(_question: ExamQuestion, answer: str, wanted: Sequence[str]) -> bool:
    return lines_of(answer) == list(wanted)


def _json(_question: ExamQuestion, answer: str, wanted: Any) -> bool:
    """The answer's JSON value equals the wanted one; texts are compared in any case, numbers by value."""
    text = unfenced(answer)
    start = min((place for place in map(text.find, "{[") if place >= 0), default=0)
    for candidate in (text, text[start : max(text.rfind("}"), text.rfind("]")) + 1]):
        try:
            return _equal(json.loads(candidate), wanted)
        except (ValueError, RecursionError):
            continue
    return False


def _equal(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        same = isinstance(value, dict) and value.keys() == wanted.keys()
        return same and all(_equal(value[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        same = isinstance(value, list) and len(value) == len(wanted)
        return same and all(_equal(one, other) for one, other in zip(value, wanted, strict=True))
    if isinstance(wanted, bool) or isinstance(value, bool) or wanted is None:
        return value is wanted
    if isinstance(wanted, str):
        return isinstance(value, str) and _plain(value) == _plain(wanted)
    return isinstance(value, int | float) and _close(float(value), [float(wanted)])


def _plain(text: str) -> str:
    return " ".join(text.split()).rstrip(".").casefold()


def _regex(_question: ExamQuestion, answer: str, wanted: dict[str, list[str]]) -> bool:
    """The answer's pattern matches all of `match` and none of `reject`, each as a whole."""
    return any(_tells_apart(pattern, wanted) for pattern in _patterns(answer))


def _patterns(answer: str) -> list[str]:
    """Return the pattern that an answer may mean: a code fence, a code span, or the only line."""
    spans = re.findall(r"`([^`\n]+)`", answer)
    lines = [line.strip() for line in unfenced(answer).splitlines() if line.strip()]
    found = [*spans[:1], *lines[:1]] if "```" not in answer else lines[:1]
    stripped = [re.sub(r"^r(?=['\"])", "", one).strip("'\"") for one in found]
    return [re.sub(r"^/(.*)/[a-z]*$", r"\1", one) for one in stripped]


def _tells_apart(pattern: str, wanted: dict[str, list[str]]) -> bool:
    if not pattern or len(pattern) > _MAX_PATTERN:
        return False
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    matched = [compiled.fullmatch(one[:_MAX_SUBJECT]) is not None for one in wanted["match"]]
    refused = [compiled.fullmatch(one[:_MAX_SUBJECT]) is None for one in wanted["reject"]]
    return all(matched) and all(refused)


def _sql(_question: ExamQuestion, answer: str, wanted: dict[str, Any]) -> bool:
    """The answer is one SELECT that returns the wanted rows from the tables of `setup`."""
    query = _query(answer)
    connection = sqlite3.connect(":memory:")
    try:
        for statement in wanted["setup"]:
            connection.execute(statement)
        connection.set_authorizer(_may)
        left = iter(range(_MAX_SQL_STEPS))
        connection.set_progress_handler(lambda: int(next(left, None) is None), 1_000)
        rows = [list(row) for row in connection.execute(query).fetchmany(100)]
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError):
        return False
    finally:
        connection.close()
    expected = [list(row) for row in wanted["rows"]]
    return rows == expected if wanted["ordered"] else sorted(map(repr, rows)) == sorted(map(repr, expected))


def _query(answer: str) -> str:
    """Return the first statement that begins with SELECT or WITH, without its semicolon."""
    found = re.search(r"\b(?:select|with)\b.*", unfenced(answer), re.IGNORECASE | re.DOTALL)
    text = found[0] if found else ""
    return re.split(r";|`|\n\s*\n", text, maxsplit=1)[0]


def _may(action: int, *_names: str | None) -> int:
    """Allow SQLite to read and compute, and nothing else."""
    allowed = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
    return sqlite3.SQLITE_OK if action in allowed else sqlite3.SQLITE_DENY


def _words(answer: str) -> list[str]:
    return _WORD.findall(answer)


def _count_of(answer: str, text: str) -> int:
    return len(_whole(text).findall(answer))


Condition = Callable[[ExamQuestion, str, Any], bool]

_CONDITIONS: dict[str, Condition] = {
    "number": _number,
    "text": _text,
    "rejected": lambda _question, _answer, _wanted: True,  # `_text` reads it
    "cased": lambda _question, answer, texts: any(one in answer for one in texts),
    "exact": _exact,
    "letter": _letter,
    "lines": _lines,
    "json": _json,
    "json_any": lambda question, answer, values: any(_json(question, answer, value) for value in values),
    "regex": _regex,
    "sql": _sql,
    "words_at_most": lambda _question, answer, most: len(_words(answer)) <= most,
    "words_exactly": lambda _question, answer, count: len(_words(answer)) == count,
    "sentences_exactly": lambda _question, answer, count: (
        len([part for part in _SENTENCE_END.split(answer.strip()) if part.strip()]) == count
    ),
    "lines_exactly": lambda _question, answer, count: (
        len([line for line in unfenced(answer).splitlines() if line.strip()]) == count
    ),
    "each_line_starts": lambda _question, answer, start: all(
        line.strip().startswith(start) for line in answer.strip().splitlines() if line.strip()
    ),
    "lowercase": lambda _question, answer, _on: answer == answer.lower(),
    "uppercase": lambda _question, answer, _on: answer == answer.upper(),
    "starts_with": lambda _question, answer, start: answer.strip().startswith(start),
    "ends_with": lambda _question, answer, end: answer.strip().endswith(end),
    "lacks": lambda _question, answer, texts: not any(one in answer.casefold() for one in texts),
    "contains": lambda _question, answer, texts: all(_count_of(answer, one) for one in texts),
    "times": lambda _question, answer, counts: all(
        _count_of(answer, one) == count for one, count in counts.items()
    ),
}
