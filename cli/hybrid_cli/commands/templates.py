"""`hybrid templates`: look after the prompt templates that `-t` uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_cli.commands import new_app
from hybrid_cli.commands.options import AsJson

if TYPE_CHECKING:
    from hybrid_cli.ui.environment import Environment

app = new_app(
    help="List, print and edit the prompt templates that `-t` uses.",
    examples=(
        "hybrid templates ls",
        "hybrid templates edit review",
    ),
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A template's name.")]


@app.command(
    "ls",
    examples=(
        "hybrid templates ls",
        "hybrid templates ls --json",
    ),
)
def list_templates(context: typer.Context, as_json: AsJson = False) -> None:
    """List the templates, their variables and their first lines."""
    from hybrid_cli.prompt_files.templates import stored_templates
    from hybrid_cli.ui.table import table_lines

    environment: Environment = context.obj.environment
    found = stored_templates(environment)
    if as_json:
        rows = [{"name": one.name, "variables": one.variables, "text": one.source} for one in found]
        environment.print_json(rows)
        return
    if not found:
        environment.note("no templates; to write one: hybrid templates edit NAME")
    lines = [(one.name, ", ".join(one.variables), one.source.strip().partition("\n")[0]) for one in found]
    environment.print_lines(*table_lines(lines, environment, header=["NAME", "VARIABLES", "BEGINS"]))


@app.command(examples=("hybrid templates show review", "hybrid templates show review > review.md"))
def show(context: typer.Context, name: Name) -> None:
    """Print the file of a template."""
    from hybrid_cli.prompt_files.templates import stored_template
    from hybrid_cli.ui.sanitize import plain, reveal_bidi

    environment: Environment = context.obj.environment
    source = stored_template(name, environment).source
    environment.print_lines(reveal_bidi(plain(source)) if environment.stdout_is_terminal() else source)


@app.command(examples=("hybrid templates edit review", "hybrid templates edit commit-message"))
def edit(context: typer.Context, name: Name) -> None:
    """Open a template, or a new one, in $VISUAL or $EDITOR."""
    from hybrid_cli.prompt_files.templates import path_of, require_regular, stored_template
    from hybrid_cli.system.files import is_there
    from hybrid_cli.ui.editor import edit as edit_file

    environment: Environment = context.obj.environment
    path = path_of(name, environment)
    require_regular(path)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    edit_file(path, environment)
    if not is_there(path):
        environment.note(f"no template `{name}` was written")
        return
    variables = stored_template(name, environment).variables
    environment.note(f"{path}: {'no variables' if not variables else 'variables ' + ', '.join(variables)}")
