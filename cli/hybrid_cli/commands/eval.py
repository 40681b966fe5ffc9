"""`hybrid eval`: how good the gate is, on labelled questions."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import MaxTokens, Model, Profile, Quiet

app = new_app()

_EPILOG = """Examples:\n
  hybrid eval questions.jsonl --cloud none\n
  hybrid eval questions.jsonl --split test --rows rows.jsonl --json > report.json
"""


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


@app.command(epilog=_EPILOG)
def evaluate(
    context: typer.Context,
    data: Annotated[Path, typer.Argument(metavar="DATA.jsonl", help="Labelled questions, one a line.")],
    profile: Profile = None,
    model: Model = None,
    cloud: Annotated[
        CloudSide, typer.Option(help="The cloud's side: as the data records it, or none.")
    ] = CloudSide.recorded,
    split: Annotated[Split, typer.Option(help="Which half of the questions.")] = Split.all,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="The first N of them.")] = None,
    max_tokens: MaxTokens = None,
    rows: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep what was measured, and go on from there.")
    ] = None,
    unseen: Annotated[
        Unseen,
        typer.Option(help="What the score of a question was fitted without: it, or all of its subject."),
    ] = Unseen.questions,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw accuracy against the share handed off (svg, png, pdf)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object.")] = False,
    quiet: Quiet = False,
) -> None:
    """Measure the gate: run the local model over labelled questions, and see which it should hand off.

    A line is an object with `prompt`, `answer`, `kind` (number, letter, text or regex), and where known
    `task`, `subject`, `cloud_correct` and `cloud_answer`. Nothing is sent anywhere.
    """
    from hybrid_cli.evaluate.evaluation import as_text, evaluate_gate
    from hybrid_cli.evaluate.run import Data
    from hybrid_cli.profile.policy import Flags

    invocation: Invocation = context.obj
    invocation.environment.verbosity = -1 if quiet else 0
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
