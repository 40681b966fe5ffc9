"""`hybrid profile`: what the policy is, where each word of it comes from, and whether files are right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import AsJson, Profile
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.environment import one_line
from hybrid_cli.ui.sanitize import plain, undirected

app = new_app(
    help="Look at profiles, check them, and trust a project's.",
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
    """List the profiles by name, your own first."""
    from hybrid_cli.profile.loader import profile_folders
    from hybrid_cli.ui.table import listed

    invocation: Invocation = context.obj
    found: dict[str, str] = {}
    for folder in profile_folders(invocation.environment):
        for path in sorted(folder.glob("*.yaml")):
            found.setdefault(path.stem, str(path))
    invocation.environment.tell(*listed(list(found.items()), invocation.environment))


@app.command(
    examples=(
        "hybrid profile show private",
        "hybrid profile show offline > ~/.config/hybrid/profiles/mine.yaml",
    ),
)
def show(
    context: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME|PATH", help="The profile.")]
) -> None:
    """Print a profile's file."""
    from hybrid_cli.profile.loader import find_profile, read_checked

    invocation: Invocation = context.obj
    text = read_checked(find_profile(name, invocation.environment)).text.decode().removesuffix("\n")
    is_terminal = invocation.environment.stdout_is_terminal()
    invocation.environment.tell(undirected(plain(text)) if is_terminal else text)


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
    """Check profiles: every mistake as FILE:LINE: message, and code 2 if there is any."""
    from hybrid_cli.profile.loader import every_mistake

    invocation: Invocation = context.obj
    mistakes = [mistake for file in files for mistake in every_mistake(file, invocation.environment)]
    invocation.environment.tell(*map(one_line, mistakes))
    if mistakes:
        plural = "s" if len(mistakes) > 1 else ""
        raise Failure(ExitStatus.USAGE, f"{len(mistakes)} mistake{plural} in {len(files)} file(s)")


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
    """Print every effective value, the layer that set it, and what was refused."""
    from hybrid_cli.guard.forbid import best_enforcement
    from hybrid_cli.profile.merge import Value
    from hybrid_cli.profile.policy import Flags, merge_policy

    invocation: Invocation = context.obj
    values = dict(merge_policy(Flags(profile=profile), invocation.environment).values)
    values["enforcement"] = Value(best_enforcement(), "what forbid reaches on this system")
    if as_json:
        typer.echo(json.dumps({key: vars(value) for key, value in values.items()}))
        return
    for key, value in values.items():
        invocation.environment.tell(one_line(f"{key}: {json.dumps(value.value)}  ({value.layer})"))
        for refused in value.refused:
            invocation.environment.tell(one_line(f"  refused: {refused}"))


@app.command(
    examples=(
        "hybrid profile schema",
        "hybrid profile schema > profile.schema.json",
    ),
)
def schema() -> None:
    """Print the JSON Schema of a profile, for editors and other validators."""
    from hybrid_cli.profile.schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


@app.command(
    examples=(
        "hybrid profile trust",
        "hybrid profile trust ~/work/.hybrid.yaml",
    ),
)
def trust(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="By default the project's .hybrid.yaml.")
    ] = None,
) -> None:
    """Let a project's file set more than limits, as long as its content stays exactly as it is."""
    from hybrid_cli.profile.layers import PROJECT_FILE, find_project_file, read_project
    from hybrid_cli.profile.policy import settings_needing_trust
    from hybrid_cli.profile.trust import Trust

    environment = context.obj.environment
    path = file if file is not None else find_project_file(environment)
    if path is None:
        raise Failure(ExitStatus.USAGE, f"there is no {PROJECT_FILE} here or above")
    project = read_project(path)
    for line in settings_needing_trust(project):
        environment.note(line)
    Trust(environment).record(path, project.text)
    environment.note(f"{path} is trusted as it is now; any change revokes it")
