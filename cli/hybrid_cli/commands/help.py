"""`hybrid help`: topics beyond one command, and the help of each command."""

from __future__ import annotations

from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import OUTPUT
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.usage_errors import hint

app = new_app()


@app.command(examples=("hybrid help exit-codes", "hybrid help pull"))
def help_on(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TOPIC|COMMAND]...",
            help="exit-codes, profiles, environment or privacy; or a command.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print commands, options, exit codes and the answer's schema as JSON.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
) -> None:
    """Show help for a topic or a command."""
    from hybrid_cli.help.topics import TOPICS, topic
    from hybrid_cli.ui.wrap import page_width

    if as_json:
        _print_reference(context, names or [])
        return
    if names and names[0] in TOPICS:
        typer.echo(topic(names[0], page_width()))
        return
    found = context.find_root()
    for name in names or ():
        known = found.command.list_commands(found) if hasattr(found.command, "list_commands") else []
        if name not in known:
            topics = TOPICS if found.parent is None else ()
            suggestion = hint(name, [*known, *topics], found.command_path)
            raise Failure(ExitStatus.USAGE, f"no help for `{name}`; {suggestion}")
        command = found.command.get_command(found, name)  # type: ignore[attr-defined]
        found = type(context)(command, info_name=name, parent=found, obj=context.obj)
    typer.echo(found.get_help())


def _print_reference(context: typer.Context, names: list[str]) -> None:
    """Print the whole tree, or the command that `names` name, as JSON."""
    from hybrid_cli.help.command_tree import read_tree
    from hybrid_cli.help.reference import reference

    tree = read_tree(context.find_root().command)
    found = next((one for one in tree.walk() if one.path == tuple(names)), None)
    if found is None:
        raise Failure(ExitStatus.USAGE, f"no command `{' '.join(names)}`; run: hybrid help --json")
    invocation: Invocation = context.obj
    invocation.environment.print_json(reference(found), indent=2)
