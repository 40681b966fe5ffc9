"""`hybrid conversations`: look after the conversations that `hybrid run -c` stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_cli.commands import new_app
from hybrid_cli.commands.options import OPTIONS, AsJson

if TYPE_CHECKING:
    from hybrid_cli.ui.environment import Environment

app = new_app(
    help="List, show, export and delete the conversations that `hybrid run -c` stores.",
    examples=(
        "hybrid conversations ls",
        "hybrid conversations show trip",
    ),
)

Name = Annotated[str, typer.Argument(metavar="NAME|FILE", help="A stored conversation, or its file.")]


@app.command(
    "ls",
    examples=(
        "hybrid conversations ls",
        "hybrid conversations ls --json",
    ),
)
def list_conversations(context: typer.Context, as_json: AsJson = False) -> None:
    """List the stored conversations, the newest first."""
    from hybrid_cli.cascade.conversations import stored, summary
    from hybrid_cli.ui.table import table_lines

    environment: Environment = context.obj.environment
    found = [summary(path) for path in stored(environment)]
    if as_json:
        environment.print_json(found)
        return
    if not found:
        environment.note('no conversations; to start one: hybrid run -c NAME "..."')
    rows = [
        (
            one["name"],
            str(one["turns"]),
            str(one["handed_off"]),
            one["used"][:16].replace("T", " "),
            one["begins"],
        )
        for one in found
    ]
    header = ["NAME", "TURNS", "HANDED OFF", "USED (UTC)", "BEGINS"]
    environment.print_lines(*table_lines(rows, environment, right=[1, 2], header=header))


@app.command(
    examples=(
        "hybrid conversations show trip",
        "hybrid conversations show notes.jsonl",
    ),
)
def show(context: typer.Context, name: Name) -> None:
    """Print a conversation, each message below the name of its writer."""
    from hybrid_cli.cascade.conversations import path_of, read
    from hybrid_cli.ui.sanitize import one_line, plain, reveal_bidi

    environment: Environment = context.obj.environment
    for message in read(path_of(name, environment)):
        writer = message.role if message.model is None else f"{message.model} ({message.answered_by})"
        text = plain(message.content)
        shown = reveal_bidi(text) if environment.stdout_is_terminal() else text
        environment.print_lines(
            f"{one_line(writer)}:", *shown.split("\n"), ""
        )  # a server chose the model's name


@app.command(
    examples=(
        "hybrid conversations export trip > trip.json",
        "hybrid conversations export trip | jq length",
    ),
)
def export(context: typer.Context, name: Name) -> None:
    """Print a conversation's messages as JSON in the form of OpenAI's API: role and content."""
    from hybrid_cli.cascade.conversations import path_of, read

    environment: Environment = context.obj.environment
    messages = read(path_of(name, environment))
    environment.print_json([{"role": one.role, "content": one.content} for one in messages])


@app.command(
    examples=(
        "hybrid conversations rm trip",
        "hybrid conversations rm trip notes",
    ),
)
def rm(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Stored conversations to delete.")],
) -> None:
    """Delete stored conversations."""
    from hybrid_cli.cascade.conversations import remove

    environment: Environment = context.obj.environment
    remove(names, environment)
    environment.note(f"deleted {', '.join(names)}")


@app.command(
    examples=(
        "hybrid conversations purge",
        "hybrid conversations purge --all",
    ),
)
def purge(
    context: typer.Context,
    every: Annotated[
        bool, typer.Option("--all", help="Delete all stored conversations.", rich_help_panel=OPTIONS)
    ] = False,
) -> None:
    """Delete stored conversations that are older than `log.conversations` allows; with --all, every one."""
    from hybrid_cli.cascade.conversations import remove_old
    from hybrid_cli.profile.policy import Flags, merge_policy

    environment: Environment = context.obj.environment
    age = "0d" if every else merge_policy(Flags(), environment).log.conversations
    count = remove_old(age, environment)
    environment.note(f"deleted {count} conversation{'' if count == 1 else 's'}")
