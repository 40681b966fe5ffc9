"""`hybrid eval`: how good the gate is, on labelled questions."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import CHOICE, DATA, OUTPUT, AsJson, MaxTokens, Model, Profile

app = new_app()


class CloudSide(str, Enum):
    recorded = "recorded"
    live = "live"
    none = "none"


class Unseen(str, Enum):
    questions = "questions"
    subjects = "subjects"


class Split(str, Enum):
    all = "all"
    fit = "fit"
    test = "test"


Cloud = Annotated[
    CloudSide,
    typer.Option(
        help="The cloud's side: as the data records it, by asking the profile's cloud, or none.",
        rich_help_panel=CHOICE,
    ),
]
Half = Annotated[Split, typer.Option(help="Which half of the questions.", rich_help_panel=DATA)]
Limit = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="The first N of them.", rich_help_panel=DATA)
]
Rows = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Keep what was measured, and go on from there.", rich_help_panel=DATA),
]
RunCommands = Annotated[
    bool,
    typer.Option(
        "--run-commands",
        help="Let the data's questions of the kind verify run theirs.",
        rich_help_panel=DATA,
    ),
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Send to the cloud without a question.", rich_help_panel=CHOICE)
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what it would take, and stop.", rich_help_panel=OUTPUT)
]


@app.command(
    examples=(
        "hybrid eval questions.jsonl --cloud none",
        "hybrid eval questions.jsonl --rows rows.jsonl --json > report.json",
        "hybrid eval questions.jsonl --cloud live --rows rows.jsonl --dry-run",
    ),
)
def evaluate(
    context: typer.Context,
    data: Annotated[Path, typer.Argument(metavar="DATA.jsonl", help="Labelled questions, one a line.")],
    profile: Profile = None,
    model: Model = None,
    cloud: Cloud = CloudSide.recorded,
    split: Half = Split.all,
    limit: Limit = None,
    max_tokens: MaxTokens = None,
    rows: Rows = None,
    unseen: Annotated[
        Unseen,
        typer.Option(
            help="What the score of a question was fitted without: it, or all of its subject.",
            rich_help_panel=CHOICE,
        ),
    ] = Unseen.questions,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw accuracy against the share handed off (svg, png, pdf).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    run_commands: RunCommands = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Measure the gate: run the local model over labelled questions, and see which it should hand off.

    A line is an object with `prompt`, `answer`, `kind` (number, letter, text, regex, schema or verify), and
    where known `task`, `subject`, `cloud_correct` and `cloud_answer`. Nothing is sent anywhere but under
    `--cloud live`, and then as a handoff would be: policy, consent, scan and limits hold.
    """
    from hybrid_cli.evaluate.collect import Data, show_estimate
    from hybrid_cli.evaluate.evaluation import as_lines, evaluate_gate
    from hybrid_cli.profile.policy import Flags

    invocation: Invocation = context.obj
    chosen = Data(data, split.value, limit, rows, cloud.value, run_commands)
    flags = Flags(profile=profile, model=model, max_tokens=max_tokens)
    if dry_run:
        show_estimate(chosen, flags, invocation.environment, as_json=as_json)
        return
    told = evaluate_gate(
        chosen,
        flags,
        invocation.environment,
        invocation.worker,
        agreed=yes,
        unseen=unseen.value,
        plot=plot,
    )
    if as_json:
        typer.echo(json.dumps(told))
    else:
        invocation.environment.tell(*as_lines(told))
