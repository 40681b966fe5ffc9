"""`hybrid doctor`: what works here."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import CHOICE, AsJson, Profile
from hybrid_cli.environment import printable
from hybrid_cli.exit_status import ExitStatus, Failure

app = new_app()


@app.command(
    examples=(
        "hybrid doctor",
        "hybrid doctor -p cloud --online",
    ),
)
def doctor(
    context: typer.Context,
    profile: Profile = None,
    online: Annotated[
        bool, typer.Option("--online", help="Connect to the cloud; nothing is sent.", rich_help_panel=CHOICE)
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what works on this machine, and what to do about the rest: code 1 where something fails."""
    from hybrid_cli.doctor import examine
    from hybrid_cli.profile.policy import Flags, merge_policy

    invocation: Invocation = context.obj
    policy = merge_policy(Flags(profile=profile), invocation.environment)
    findings = list(examine(policy, invocation.environment, online=online))
    if as_json:
        typer.echo(json.dumps([vars(finding) for finding in findings]))
    else:
        for finding in findings:
            typer.echo(printable(f"{finding.state:<4}  {finding.subject:<11}  {finding.says}"))
    failed = [finding.subject for finding in findings if finding.state == "fail"]
    if failed:
        raise Failure(ExitStatus.FAILURE, f"{', '.join(failed)}: see above")
