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
    none = "none"


class Unseen(str, Enum):
    questions = "questions"
    subjects = "subjects"


class Split(str, Enum):
    all = "all"
    fit = "fit"
    test = "test"


@app.command(
    examples=(
        "hybrid eval questions.jsonl --cloud none",
        "hybrid eval questions.jsonl --split test --rows rows.jsonl --json > report.json",
    ),
)
def evaluate(
    context: typer.Context,
    data: Annotated[Path, typer.Argument(metavar="DATA.jsonl", help="Labelled questions, one a line.")],
    profile: Profile = None,
    model: Model = None,
    cloud: Annotated[
        CloudSide,
        typer.Option(help="The cloud's side: as the data records it, or none.", rich_help_panel=CHOICE),
    ] = CloudSide.recorded,
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
    as_json: AsJson = False,
) -> None:
    """Measure the gate: run the local model over labelled questions, and see which it should hand off.

    A line is an object with `prompt`, `answer`, `kind` (number, letter, text or regex), and where known
    `task`, `subject`, `cloud_correct` and `cloud_answer`. Nothing is sent anywhere.
    """
    from hybrid_cli.evaluate.evaluation import as_text, evaluate_gate
    from hybrid_cli.evaluate.run import Data
    from hybrid_cli.profile.policy import Flags

    invocation: Invocation = context.obj
    told = evaluate_gate(
        Data(data, split.value, limit, rows),
        Flags(profile=profile, model=model, max_tokens=max_tokens),
        invocation.environment,
        invocation.worker,
        with_cloud=cloud is CloudSide.recorded,
        unseen=unseen.value,
        plot=plot,
    )
    typer.echo(json.dumps(told) if as_json else as_text(told))
