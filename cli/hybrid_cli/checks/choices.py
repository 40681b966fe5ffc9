"""Answers that must be one of a few texts, whoever gives them."""

from __future__ import annotations

import csv
from collections.abc import Sequence

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.sanitize import shorten

_AROUND = " \t\r\n.,;:!\"'`*()[]"


def read_choices(given: str) -> tuple[str, ...]:
    """The choices of a line of CSV: separated by commas, in quotes where they hold one.

    Raises Failure (USAGE) for less than two, an empty one, or one that is there twice.
    """
    try:
        (row,) = csv.reader([given], skipinitialspace=True, strict=True)
    except csv.Error:
        raise Failure(
            ExitStatus.USAGE, "--choices must be one line of CSV, each quote with its end"
        ) from None
    found = tuple(choice.strip() for choice in row)
    if len(found) < 2:
        raise Failure(ExitStatus.USAGE, "--choices needs at least two, separated by commas")
    if "" in found:
        raise Failure(ExitStatus.USAGE, "--choices has an empty choice")
    for choice in found:
        if found.count(choice) > 1:
            raise Failure(ExitStatus.USAGE, f"--choices has `{shorten(choice)}` twice")
    return found


def told(choices: Sequence[str]) -> str:
    """What a model is told of them."""
    return f"Answer with exactly one of: {', '.join(choices)}."


def chosen(text: str, choices: Sequence[str]) -> str:
    """The choice that `text` names, however a cloud's model may dress it; `text` itself for no choice of them."""
    bare = text.strip(_AROUND).casefold()
    return next((choice for choice in choices if choice.strip(_AROUND).casefold() == bare), text)
