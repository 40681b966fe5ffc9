"""`hybrid help`: what does not belong to one command."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from hybrid_cli.commands import new_app

app = new_app()

_EPILOG = """Examples:\n
  hybrid help exit-codes\n
  hybrid help privacy
"""


class Topic(str, Enum):
    exit_codes = "exit-codes"
    profiles = "profiles"
    environment = "environment"
    privacy = "privacy"


@app.command(epilog=_EPILOG)
def help_on(topic: Annotated[Topic, typer.Argument(help="What to explain.")]) -> None:
    """Explain what does not belong to one command."""
    from hybrid_cli.manual.topics import topic as text_of

    typer.echo(text_of(topic.value), nl=False)
