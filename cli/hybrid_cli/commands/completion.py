"""`hybrid completion`: print a completion script, for shells that do not find the installed one."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from hybrid_cli.commands import new_app

app = new_app()

Shell = Literal["bash", "zsh", "fish"]


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
    """Print the completion script for SHELL.

    pip installs the scripts under share/ of the prefix. If your shell does not look there, write the script
    to a file that it reads. For zsh, name the file _hybrid and put it in a folder of $fpath.
    """
    from hybrid_cli.help.command_tree import read_tree
    from hybrid_cli.help.completions import SCRIPTS

    typer.echo(SCRIPTS[shell](read_tree(context.find_root().command)), nl=False)
