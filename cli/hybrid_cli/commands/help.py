"""`hybrid help`: what does not belong to one command."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from hybrid_cli.commands import new_app
from hybrid_cli.exit_status import ExitStatus

app = new_app()


class Topic(str, Enum):
    exit_codes = "exit-codes"


@app.command()
def help_on(topic: Annotated[Topic, typer.Argument(help="What to explain.")]) -> None:  # noqa: ARG001  one topic
    """Explain a topic: exit-codes."""
    for status in ExitStatus:
        typer.echo(f"{status.value:>3}  {status.meaning}")
