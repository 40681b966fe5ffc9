"""Answers that must be one of a few texts, whoever gives them."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_cli.exit_status import ExitStatus, Failure

_AROUND = " \t\r\n.,;:!\"'`*()[]"


def read_choices(given: str) -> tuple[str, ...]:
    """The choices of a comma-separated list. Raises Failure (USAGE) for less than two different ones."""
    found = tuple(dict.fromkeys(choice.strip() for choice in given.split(",") if choice.strip()))
    if len(found) < 2:
        raise Failure(ExitStatus.USAGE, "--choices needs at least two, separated by commas")
    return found


def told(choices: Sequence[str]) -> str:
    """What a model is told of them."""
    return f"Answer with exactly one of: {', '.join(choices)}."


def chosen(text: str, choices: Sequence[str]) -> str:
    """The choice that `text` names, however a cloud's model may dress it; `text` itself for no choice of them."""
    bare = text.strip(_AROUND).casefold()
    return next((choice for choice in choices if choice.strip(_AROUND).casefold() == bare), text)
