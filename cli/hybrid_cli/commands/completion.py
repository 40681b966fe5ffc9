"""`hybrid completion`: the completion script of a shell, for where the installed one is not found."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from hybrid_cli.commands import new_app

app = new_app()


class Shell(str, Enum):
    bash = "bash"
    zsh = "zsh"
    fish = "fish"


@app.command(
    examples=(
        "hybrid completion bash > ~/.local/share/bash-completion/completions/hybrid",
        "hybrid completion fish > ~/.config/fish/completions/hybrid.fish",
    ),
)
def completion(
    context: typer.Context,
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print the completion script of a shell.

    An installation brings all three along, under share/ of its prefix. Where your shell does not look
    there, write the script to a file that it reads. Of zsh that is a file called _hybrid in a folder of
    $fpath. The script starts no Python: it lists your models and profiles itself.
    """
    from hybrid_cli.help.command_tree import read_tree
    from hybrid_cli.help.completions import SCRIPTS

    typer.echo(SCRIPTS[shell.value](read_tree(context.find_root().command)), nl=False)
