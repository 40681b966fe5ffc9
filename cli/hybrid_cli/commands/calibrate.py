"""`hybrid calibrate`: fit handoff decisions so that they meet a target of the profile."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.eval import (
    Cloud,
    DryRun,
    Exam,
    ExamSeed,
    Limit,
    Rows,
    RunCommands,
    Split,
    Yes,
    outcomes_for,
)
from hybrid_cli.commands.options import OPTIONS, AsJson, MaxTokens, Model, Profile
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.sanitize import one_line

app = new_app()


@app.command(
    examples=(
        "hybrid calibrate",
        "hybrid calibrate questions.jsonl --target escalate_at_most=0.3",
        "hybrid calibrate questions.jsonl --target wrong_at_most=0.1 --split fit",
        "hybrid calibrate --from-ledger --target escalate_at_most=0.2",
    ),
)
def calibrate(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA.jsonl]",
            help="Labelled questions, one JSON object per line; see hybrid eval. Without it, hybrid asks its"
            " built-in exam.",
        ),
    ] = None,
    from_ledger: Annotated[
        bool,
        typer.Option(
            "--from-ledger",
            help="Fit to the prompts recorded by escalation.shadow instead of DATA.",
            rich_help_panel=OPTIONS,
        ),
    ] = False,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Fail unless this target can be met: escalate_at_most, wrong_at_most or quality_at_least.",
            show_default="the profile's target",
            rich_help_panel=OPTIONS,
        ),
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(
            metavar="D",
            help="Accept this risk that wrong_at_most is exceeded, from 0.001 to 0.5.",
            show_default="meet it on average",
            rich_help_panel=OPTIONS,
        ),
    ] = None,
    profile: Profile = None,
    model: Model = None,
    cloud: Cloud = "recorded",
    split: Split = "all",
    limit: Limit = None,
    questions: Exam = 300,
    seed: ExamSeed = 0,
    max_tokens: MaxTokens = None,
    rows: Rows = None,
    run_commands: RunCommands = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Measure how far a model can be trusted, and store the result.

    hybrid then meets `escalation.target` of a profile, for exactly this model. Without DATA it asks its built-in exam,
    which takes some minutes. If the questions cannot support the target, hybrid names one that they do support.
    """
    from hybrid_cli.evaluate.calibrate import as_lines, parse_target
    from hybrid_cli.evaluate.calibrate import calibrate as fit_gate
    from hybrid_cli.evaluate.collect import EvalInput, show_estimate
    from hybrid_cli.profile.policy import Flags

    invocation: Invocation = context.obj
    if data is not None and from_ledger:
        raise Failure(ExitStatus.USAGE, "use DATA.jsonl or --from-ledger, not both")
    if from_ledger and dry_run:
        raise Failure(ExitStatus.USAGE, "--dry-run cannot be used with --from-ledger, which costs nothing")
    outcomes = outcomes_for(data, cloud)
    asked = EvalInput(data, split, limit, rows, outcomes, run_commands, questions, seed)
    chosen = None if from_ledger else asked
    flags = Flags(profile=profile, model=model, max_tokens=max_tokens)
    promise = parse_target(target, delta)
    if dry_run and chosen is not None:
        show_estimate(chosen, flags, invocation.environment, as_json=as_json)
        return
    report = fit_gate(chosen, promise, delta, flags, invocation.environment, invocation.worker, agreed=yes)
    if as_json:
        invocation.environment.print_json(report)
    else:
        invocation.environment.print_lines(*map(one_line, as_lines(report)))
