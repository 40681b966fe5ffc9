"""`hybrid profile`: list, print, check, explain and trust profiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import AsJson, Profile
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.sanitize import one_line, plain, reveal_bidi

app = new_app(
    help="List, check and explain profiles; trust a project's profile.",
    examples=(
        "hybrid profile ls",
        "hybrid profile explain -p private",
    ),
)


@app.command(
    "ls",
    examples=(
        "hybrid profile ls",
        "hybrid profile ls | cut -f 1",
    ),
)
def list_profiles(context: typer.Context) -> None:
    """List the profiles, your own first. The one in use is marked with *."""
    from hybrid_cli.profile.listing import listed_profiles
    from hybrid_cli.ui.table import table_lines

    environment = context.obj.environment
    header = ["NAME", "*", "MODE", "MODEL", "CLOUD", "SUMMARY"]
    environment.print_lines(*table_lines(listed_profiles(environment), environment, header=header))


@app.command(
    examples=(
        "hybrid profile show private",
        "hybrid profile show offline > ~/.config/hybrid/profiles/mine.yaml",
    ),
)
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME|PATH", help="Profile to print.")],
) -> None:
    """Print the file of a profile."""
    from hybrid_cli.profile.loader import find_profile, read_checked

    invocation: Invocation = context.obj
    text = read_checked(find_profile(name, invocation.environment)).text.decode().removesuffix("\n")
    is_terminal = invocation.environment.stdout_is_terminal()
    invocation.environment.print_lines(reveal_bidi(plain(text)) if is_terminal else text)


@app.command(
    examples=(
        "hybrid profile check .hybrid.yaml",
        "hybrid profile check ~/.config/hybrid/profiles/*.yaml",
    ),
)
def check(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Profiles to check.")],
) -> None:
    """Print every mistake as FILE:LINE: message; exit with 2 if there is one.

    A model, schema or base profile that does not exist is a mistake, too.
    """
    from hybrid_cli.profile.check import every_mistake
    from hybrid_cli.weights.models import require_known

    invocation: Invocation = context.obj
    environment = invocation.environment
    mistakes = [
        mistake
        for file in files
        for mistake in every_mistake(file, environment, lambda model: require_known(model, environment))
    ]
    invocation.environment.print_lines(*map(one_line, mistakes))
    if mistakes:
        raise Failure(ExitStatus.USAGE, f"{_count(len(mistakes), 'mistake')} in {_count(len(files), 'file')}")


@app.command(
    examples=(
        "hybrid profile explain",
        "hybrid profile explain -p ci --json",
    ),
)
def explain(
    context: typer.Context,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Print each effective value, the layer that set it, and values that were refused."""
    from hybrid_cli.guard.forbid import best_enforcement
    from hybrid_cli.profile.merge import EffectiveValue
    from hybrid_cli.profile.policy import Flags, merge_policy

    invocation: Invocation = context.obj
    values = dict(merge_policy(Flags(profile=profile), invocation.environment).values)
    values["enforcement"] = EffectiveValue(best_enforcement(), "the guard of this system")
    if as_json:
        invocation.environment.print_json({key: vars(value) for key, value in values.items()})
        return
    for key, value in values.items():
        invocation.environment.print_lines(one_line(f"{key}: {json.dumps(value.value)}  ({value.layer})"))
        for refused in value.refused:
            invocation.environment.print_lines(one_line(f"  refused: {refused}"))


@app.command(
    examples=(
        "hybrid profile schema",
        "hybrid profile schema > profile.schema.json",
    ),
)
def schema(context: typer.Context) -> None:
    """Print the JSON Schema of profiles, for editors and validators."""
    from hybrid_cli.profile.published_schema import json_schema

    invocation: Invocation = context.obj
    invocation.environment.print_json(json_schema(), indent=2)


@app.command(
    examples=(
        "hybrid profile trust",
        "hybrid profile trust ~/work/.hybrid.yaml",
    ),
)
def trust(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="File to trust. [default: the project's .hybrid.yaml]", show_default=False
        ),
    ] = None,
) -> None:
    """Trust a project's file: it may loosen the policy until its content changes."""
    from hybrid_cli.profile.layers import PROJECT_FILE, project_files, read_project
    from hybrid_cli.profile.trust import Trust
    from hybrid_cli.profile.trust_question import show_settings

    environment = context.obj.environment
    paths = project_files(environment) if file is None else [file]
    if not paths:
        raise Failure(ExitStatus.USAGE, f"no {PROJECT_FILE} in this folder or above; pass FILE")
    for path in paths:
        project = read_project(path, path.parent)
        show_settings(project, environment)
        Trust(environment).record(project)
        environment.note(f"trusted {path}; any change of the file revokes the trust")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
