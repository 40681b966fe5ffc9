"""`hybrid calibrate`: fit the gate, so that a target in a profile is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.eval import Split
from hybrid_cli.commands.options import CHOICE, DATA, AsJson, MaxTokens, Model, Profile

app = new_app()


@app.command(
    examples=(
        "hybrid calibrate questions.jsonl --target escalate_at_most=0.3",
        "hybrid calibrate questions.jsonl --target wrong_at_most=0.1 --split fit --rows rows.jsonl",
    ),
)
def calibrate(
    context: typer.Context,
    data: Annotated[Path, typer.Argument(metavar="DATA.jsonl", help="Labelled questions, one a line.")],
    target: Annotated[
        str,
        typer.Option(
            metavar="NAME=VALUE",
            help="escalate_at_most=0.3, wrong_at_most=0.1 or quality_at_least=0.95.",
            rich_help_panel=CHOICE,
        ),
    ],
    delta: Annotated[
        float,
        typer.Option(
            min=0.001,
            max=0.5,
            metavar="D",
            help="The chance that wrong_at_most is broken.",
            rich_help_panel=CHOICE,
        ),
    ] = 0.1,
    profile: Profile = None,
    model: Model = None,
    split: Annotated[
        Split, typer.Option(help="Which half of the questions.", rich_help_panel=DATA)
    ] = Split.all,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="The first N of them.", rich_help_panel=DATA)
    ] = None,
    max_tokens: MaxTokens = None,
    rows: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Keep what was measured, and go on from there.", rich_help_panel=DATA
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit the gate to a model on your own questions, and keep what was fitted.

    `escalation.target` in a profile then means what it says, for exactly these weights. A promise that the
    questions cannot bear is refused, with the figure, and not relaxed.
    """
    from hybrid_cli.evaluate.calibrating import calibrate as fit_gate
    from hybrid_cli.evaluate.calibrating import parse_target
    from hybrid_cli.evaluate.run import Data
    from hybrid_cli.profile.policy import Flags

    invocation: Invocation = context.obj
    told = fit_gate(
        Data(data, split.value, limit, rows),
        parse_target(target, delta),
        Flags(profile=profile, model=model, max_tokens=max_tokens),
        invocation.environment,
        invocation.worker,
    )
    typer.echo(json.dumps(told) if as_json else "\n".join(f"{key}: {value}" for key, value in told.items()))
