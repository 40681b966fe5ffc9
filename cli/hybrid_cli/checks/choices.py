"""Answers limited to a list of choices, for local and cloud models."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator, Sequence

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.sanitize import shorten


def read_choices(given: str) -> tuple[str, ...]:
    """The choices in one line of CSV.

    Raises Failure (USAGE) for fewer than two choices, an empty choice or a duplicate.
    """
    try:
        (row,) = csv.reader([given], skipinitialspace=True, strict=True)
    except csv.Error:
        raise Failure(ExitStatus.USAGE, "--choices must be one line of CSV with closed quotes") from None
    if len(row) < 2:
        raise Failure(ExitStatus.USAGE, "--choices needs at least two choices, separated by commas")
    return checked_choices(row, "--choices")


def checked_choices(given: Sequence[str], name: str) -> tuple[str, ...]:
    """The choices without white space around them. `name` is what messages call them.

    Raises Failure (USAGE) for fewer than two choices, an empty choice or a duplicate.
    """
    found = tuple(choice.strip() for choice in given)
    if len(found) < 2:
        raise Failure(ExitStatus.USAGE, f"{name} needs at least two choices")
    if "" in found:
        raise Failure(ExitStatus.USAGE, f"{name} contains an empty choice")
    for choice in found:
        if found.count(choice) > 1:
            raise Failure(ExitStatus.USAGE, f"{name} contains `{shorten(choice)}` twice")
    return found


_WRAPPED = (
    re.compile(r"```[^\n`]*\n(.*?)\n?```", re.DOTALL),
    re.compile(r"([*_`]{1,3})(?=[^\s*_`])(.*?[^\s*_`])\1", re.DOTALL),
    re.compile(
        r"[\"'\u2018\u201a\u201c\u201e\u00ab\u2039\u300c\u300e](.*)[\"'\u2018\u2019\u201c\u201d\u00bb\u203a\u300d\u300f]",
        re.DOTALL,
    ),
    re.compile(r"\\boxed\{(.*)\}", re.DOTALL),
)
"""What models put around a short answer: a fence, Markdown emphasis, quotes, LaTeX. The last group is inside."""
_FULL_STOP = re.compile(r"[\s.,;:!?\u2026\u3002\uff0e\uff01\uff1f]+\Z")


def matching_choice(text: str, choices: Sequence[str]) -> str:
    """The choice that `text` names; `text` itself if it names none, or more than one equally well.

    The exact choice wins. Next come wrapping, a full stop, the case of letters, and last any punctuation around:
    the first of these readings that fits a choice decides.
    """
    written = list(dict.fromkeys(_readings(text.strip())))
    for same in (str.strip, _folded, _bare):
        for reading in written:
            named = [choice for choice in choices if same(choice) and same(choice) == same(reading)]
            if named:
                return named[0] if len(named) == 1 else text
    return text


_MOST_LAYERS = 12


def _readings(text: str, layers: int = _MOST_LAYERS) -> Iterator[str]:
    """Yield `text` as written, then without what wraps it and without a full stop, layer by layer."""
    yield text
    if layers == 0:
        return
    for pattern in _WRAPPED:
        inside = pattern.fullmatch(text)
        if inside is not None:
            yield from _readings(inside[inside.lastindex or 0].strip(), layers - 1)
    stripped = _FULL_STOP.sub("", text)
    if stripped and stripped != text:
        yield from _readings(stripped, layers - 1)


def _folded(text: str) -> str:
    """`text` without invisible characters and in one case, with single spaces and compatible characters."""
    visible = "".join(one for one in text if unicodedata.category(one) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", visible).casefold().split())


def _bare(text: str) -> str:
    """`text` folded, and without punctuation around it; symbols such as + and # stay."""
    start, end = 0, len(folded := _folded(text))
    while start < end and _is_around(folded[start]):
        start += 1
    while end > start and _is_around(folded[end - 1]):
        end -= 1
    return folded[start:end]


def _is_around(character: str) -> bool:
    return character.isspace() or (unicodedata.category(character).startswith("P") and character != "#")
