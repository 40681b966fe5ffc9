"""The options that several commands have, each with one name, range and help; and the groups of all options."""

from __future__ import annotations

import math
import shlex
from enum import Enum
from typing import Annotated

import typer

# The headings under which a command's help and man page list its options: `rich_help_panel` of each.
POLICY = "Who answers"
INPUT = "Input"
ANSWER = "The answer"
OUTPUT = "Output"
DATA = "Data"
WEIGHTS = "Weights"
CHOICE = "Choice"


class Escalation(str, Enum):
    """The modes, as typer wants choices."""

    forbid = "forbid"
    auto = "auto"
    force = "force"
    ask = "ask"


def number(value: float | None) -> float | None:
    """Refuse nan, which passes every comparison with a bound."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter("it must be a number")
    return value


def some_text(value: str | None) -> str | None:
    """Refuse nothing where something must be: `"$SCHEMA"` of a variable that is not set, for one."""
    if value is not None and not value.strip():
        raise typer.BadParameter("it is empty")
    return value


def some_texts(values: list[str] | None) -> list[str] | None:
    """Refuse an empty one of several."""
    if values and "" in values:
        raise typer.BadParameter("it is empty")
    return values


def command_words(command: str | None) -> str | None:
    """Refuse what is no command once its quotes are read."""
    try:
        if command is not None and not shlex.split(command):
            raise typer.BadParameter("it must be a command")
    except ValueError as error:
        raise typer.BadParameter(f"{error}") from None
    return command


Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        "-p",
        metavar="NAME|PATH",
        callback=some_text,
        help="The profile to run under.",
        rich_help_panel=POLICY,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME|PATH",
        callback=some_text,
        help="The local model.",
        rich_help_panel=POLICY,
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=10_000_000,
        metavar="N",
        help="The most tokens of an answer, thinking included.",
        rich_help_panel=ANSWER,
    ),
]
System = Annotated[
    str | None,
    typer.Option("--system", "-s", metavar="TEXT", help="The system message.", rich_help_panel=INPUT),
]
EscalationMode = Annotated[
    Escalation | None,
    typer.Option(
        "--escalation", help="Forbid, allow or force the handoff to the cloud.", rich_help_panel=POLICY
    ),
]
Tag = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TAG",
        callback=some_texts,
        help="A word that rules can ask for; may be repeated.",
        rich_help_panel=POLICY,
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        max=86_400,
        metavar="SECONDS",
        callback=number,
        help="Give up after so long (code 124).",
        rich_help_panel=ANSWER,
    ),
]
Schema = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|JSON",
        callback=some_text,
        help="A JSON Schema that the answer must fit.",
        rich_help_panel=ANSWER,
    ),
]
Verify = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND",
        callback=command_words,
        help="A command that must end with 0 for the answer on its stdin and in {file}; no shell reads it.",
        rich_help_panel=ANSWER,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=OUTPUT)]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Say how it was decided.", rich_help_panel=OUTPUT)
]
