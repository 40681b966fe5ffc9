"""The options that several commands have, each with one name, range and help."""

from __future__ import annotations

import math
import shlex
from enum import Enum
from typing import Annotated

import typer


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


def command_words(command: str | None) -> str | None:
    """Refuse what is no command once its quotes are read."""
    try:
        if command is not None and not shlex.split(command):
            raise typer.BadParameter("it must be a command")
    except ValueError as error:
        raise typer.BadParameter(f"{error}") from None
    return command


Profile = Annotated[
    str | None, typer.Option("--profile", "-p", metavar="NAME|PATH", help="The profile to run under.")
]
Model = Annotated[str | None, typer.Option("--model", "-m", metavar="NAME|PATH", help="The local model.")]
MaxTokens = Annotated[
    int | None, typer.Option(min=1, max=10_000_000, metavar="N", help="The longest answer, in tokens.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors on stderr.")]
System = Annotated[str | None, typer.Option("--system", "-s", metavar="TEXT", help="The system message.")]
EscalationMode = Annotated[
    Escalation | None, typer.Option("--escalation", help="Forbid, allow or force the handoff to the cloud.")
]
Tag = Annotated[
    list[str] | None, typer.Option(metavar="TAG", help="A word that rules can ask for; may be repeated.")
]
Timeout = Annotated[
    float | None,
    typer.Option(
        min=0.001, max=86_400, metavar="SECONDS", callback=number, help="Give up after so long (code 124)."
    ),
]
Schema = Annotated[
    str | None, typer.Option(metavar="FILE|JSON", help="A JSON Schema that the answer must fit.")
]
Verify = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND",
        callback=command_words,
        help="A command that must end with 0 for the answer on its stdin and in {file}; no shell reads it.",
    ),
]
