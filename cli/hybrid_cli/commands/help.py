"""`hybrid help`: what does not belong to one command, and each command's own help."""

from __future__ import annotations

from typing import Annotated

import typer

from hybrid_cli.commands import new_app
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.command_base import hint

app = new_app()


@app.command(examples=("hybrid help exit-codes", "hybrid help pull"))
def help_on(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TOPIC|COMMAND]...",
            help="exit-codes, profiles, environment or privacy; or a command.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Explain exit codes, profiles, variables or privacy; or a command, as its --help does."""
    from hybrid_cli.help.topics import TOPICS, topic
    from hybrid_cli.ui.wrap import page_width

    if words and words[0] in TOPICS:
        typer.echo(topic(words[0], page_width()))
        return
    found = context.find_root()
    for word in words or ():
        known = found.command.list_commands(found) if hasattr(found.command, "list_commands") else []
        if word not in known:
            near = hint(word, [*known, *(TOPICS if found.parent is None else ())], found.command_path)
            raise Failure(ExitStatus.USAGE, f"there is no help on `{word}`; {near}")
        command = found.command.get_command(found, word)  # type: ignore[attr-defined]
        found = type(context)(command, info_name=word, parent=found, obj=context.obj)
    typer.echo(found.get_help())
