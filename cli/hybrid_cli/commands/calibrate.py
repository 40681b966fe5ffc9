"""`hybrid calibrate`: fit the gate, so that a target in a profile is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.eval import Cloud, CloudSide, DryRun, Half, Limit, Rows, RunCommands, Split, Yes
from hybrid_cli.commands.options import CHOICE, DATA, AsJson, MaxTokens, Model, Profile
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.environment import one_line

app = new_app()


@app.command(
    examples=(
        "hybrid calibrate questions.jsonl --target escalate_at_most=0.3",
        "hybrid calibrate questions.jsonl --target wrong_at_most=0.1 --split fit",
        "hybrid calibrate --from-ledger --target escalate_at_most=0.2",
    ),
)
def calibrate(
    context: typer.Context,
    target: Annotated[
        str,
        typer.Option(
            metavar="NAME=VALUE",
            help="escalate_at_most=0.3, wrong_at_most=0.1 or quality_at_least=0.95.",
            rich_help_panel=CHOICE,
        ),
    ],
    data: Annotated[
        Path | None, typer.Argument(metavar="[DATA.jsonl]", help="Labelled questions, one a line.")
    ] = None,
    from_ledger: Annotated[
        bool,
        typer.Option(
            "--from-ledger",
            help="Go by what escalation.shadow recorded, in the place of DATA.",
            rich_help_panel=DATA,
        ),
    ] = False,
    delta: Annotated[
        float,
        typer.Option(
            metavar="D",
            help="The chance that wrong_at_most is broken, 0.001 to 0.5.",
            rich_help_panel=CHOICE,
        ),
    ] = 0.1,
    profile: Profile = None,
    model: Model = None,
    cloud: Cloud = CloudSide.recorded,
    split: Half = Split.all,
    limit: Limit = None,
    max_tokens: MaxTokens = None,
    rows: Rows = None,
    run_commands: RunCommands = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Fit the gate to a model on your own questions, or your own traffic, and keep what was fitted.

    `escalation.target` in a profile then means what it says, for exactly these weights. A promise that the
    questions cannot bear is refused, with the figure, and not relaxed.
    """
    from hybrid_cli.evaluate.calibrate import calibrate as fit_gate
    from hybrid_cli.evaluate.calibrate import parse_target
    from hybrid_cli.evaluate.collect import Data, show_estimate
    from hybrid_cli.profile.policy import Flags

    invocation: Invocation = context.obj
    if (data is None) != from_ledger:
        raise Failure(ExitStatus.USAGE, "give either DATA.jsonl or --from-ledger")
    if from_ledger and dry_run:
        raise Failure(ExitStatus.USAGE, "--dry-run says what DATA.jsonl would take; a ledger takes nothing")
    chosen = None if data is None else Data(data, split.value, limit, rows, cloud.value, run_commands)
    flags = Flags(profile=profile, model=model, max_tokens=max_tokens)
    promise = parse_target(target, delta)
    if dry_run and chosen is not None:
        show_estimate(chosen, flags, invocation.environment, as_json=as_json)
        return
    told = fit_gate(chosen, promise, flags, invocation.environment, invocation.worker, agreed=yes)
    if as_json:
        typer.echo(json.dumps(told))
    else:
        invocation.environment.tell(*(one_line(f"{key}: {value}") for key, value in told.items()))
