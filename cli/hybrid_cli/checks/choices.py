"""Answers limited to a list of choices, for local and cloud models."""

from __future__ import annotations

import csv
from collections.abc import Sequence

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.sanitize import shorten

_STRIPPED = " \t\r\n.,;:!\"'`*()[]"


def read_choices(given: str) -> tuple[str, ...]:
    """The choices in one line of CSV.

    Raises Failure (USAGE) for fewer than two choices, an empty choice or a duplicate.
    """
    try:
        (row,) = csv.reader([given], skipinitialspace=True, strict=True)
    except csv.Error:
        raise Failure(ExitStatus.USAGE, "--choices must be one line of CSV with closed quotes") from None
    found = tuple(choice.strip() for choice in row)
    if len(found) < 2:
        raise Failure(ExitStatus.USAGE, "--choices needs at least two choices, separated by commas")
    if "" in found:
        raise Failure(ExitStatus.USAGE, "--choices contains an empty choice")
    for choice in found:
        if found.count(choice) > 1:
            raise Failure(ExitStatus.USAGE, f"--choices contains `{shorten(choice)}` twice")
    return found


def matching_choice(text: str, choices: Sequence[str]) -> str:
    """The choice that `text` names, ignoring case, quotes and punctuation around it; `text` itself if none."""
    bare = text.strip(_STRIPPED).casefold()
    return next((choice for choice in choices if choice.strip(_STRIPPED).casefold() == bare), text)
