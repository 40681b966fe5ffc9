"""`hybrid doctor`: check this machine, the profile and the cloud."""

from __future__ import annotations

from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import CLOUD, AsJson, Profile
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.sanitize import one_line
from hybrid_cli.ui.terminal import styled

app = new_app()

_STYLES = {"ok": "good", "warn": "warning", "fail": "error"}


@app.command(examples=("hybrid doctor", "hybrid doctor -p cloud --online"))
def doctor(
    context: typer.Context,
    profile: Profile = None,
    online: Annotated[
        bool,
        typer.Option(
            "--online",
            help="Connect to the cloud and run the key command; no prompt is sent.",
            rich_help_panel=CLOUD,
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check this machine, profile and cloud, and suggest fixes; exit with 1 if a check fails.

    With --quiet, print only warnings and failures.
    """
    from hybrid_cli.doctor.examine import examine
    from hybrid_cli.help.command_tree import read_tree
    from hybrid_cli.help.completions import SCRIPTS

    invocation: Invocation = context.obj
    environment = invocation.environment
    tree = read_tree(context.find_root().command)
    scripts = {shell: script(tree) for shell, script in SCRIPTS.items()}
    findings = list(examine(profile, environment, scripts, online=online))
    if as_json:
        environment.print_json([vars(finding) for finding in findings])
    else:
        colours = environment.uses_colour(environment.stdout)
        for finding in findings:
            if environment.verbosity >= 0 or finding.state != "ok":
                state = f"{finding.state:<4}"
                shown = styled(state, _STYLES[finding.state]) if colours else state
                environment.print_lines(f"{shown}  {finding.subject:<11}  {one_line(finding.says)}")
    failed = [finding.subject for finding in findings if finding.state == "fail"]
    if failed:
        raise Failure(ExitStatus.FAILURE, f"failed: {', '.join(failed)}; see above")
