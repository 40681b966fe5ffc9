"""`hybrid eval`: measure handoff decisions on labelled questions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import CLOUD, OPTIONS, OUTPUT, AsJson, MaxTokens, Model, Profile, Verbose
from hybrid_cli.evaluate.settings import CloudOutcomes, QuestionSplit, Unseen

app = new_app()


Cloud = Annotated[
    CloudOutcomes,
    typer.Option(
        help="Take the cloud's answers from DATA, from the profile's cloud, or from nowhere.",
        rich_help_panel=CLOUD,
    ),
]
Split = Annotated[
    QuestionSplit,
    typer.Option(help="Use all questions, or only the half for fitting or testing.", rich_help_panel=OPTIONS),
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Use only the first N questions.", rich_help_panel=OPTIONS),
]
Rows = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Save measurements to FILE and continue from those in it.",
        rich_help_panel=OPTIONS,
    ),
]
RunCommands = Annotated[
    bool,
    typer.Option(
        "--run-commands",
        help="Run the commands in DATA for questions of kind verify.",
        rich_help_panel=OPTIONS,
    ),
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Send to the cloud without asking.", rich_help_panel=CLOUD)
]
Exam = Annotated[
    int,
    typer.Option(
        "--questions",
        min=14,
        max=5000,
        metavar="N",
        help="Ask N questions of the built-in exam.",
        rich_help_panel=OPTIONS,
    ),
]
ExamSeed = Annotated[
    int,
    typer.Option(
        "--seed",
        min=0,
        max=0xFFFFFFFF,
        metavar="N",
        help="Draw other exam questions with another N.",
        rich_help_panel=OPTIONS,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print the estimated time and cost, then exit.", rich_help_panel=OUTPUT),
]


def outcomes_for(data: Path | None, cloud: CloudOutcomes) -> CloudOutcomes:
    """Return where the cloud's outcomes come from: the exam has no recorded ones."""
    return "none" if data is None and cloud == "recorded" else cloud


@app.command(
    examples=(
        "hybrid eval",
        "hybrid eval questions.jsonl --cloud none",
        "hybrid eval questions.jsonl --rows rows.jsonl --json > report.json",
        "hybrid eval questions.jsonl --cloud live --rows rows.jsonl --dry-run",
    ),
)
def evaluate(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA.jsonl]",
            help="Labelled questions, one JSON object per line. Without it, hybrid asks its built-in exam.",
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
    unseen: Annotated[
        Unseen,
        typer.Option(
            help="Hold out single questions or whole subjects when fitting.",
            rich_help_panel=OPTIONS,
        ),
    ] = "questions",
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Plot accuracy against the share handed off (svg, png, pdf).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    run_commands: RunCommands = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Measure handoff decisions: answer labelled questions locally, and compare with the cloud's answers.

    Without DATA hybrid asks generated questions of 14 kinds: facts, arithmetic, dates, reading, JSON, code and more.

    Each line of DATA is an object with `prompt`, `answer` and `kind`: number, letter, text, regex, schema or verify.
    `task`, `subject`, `context`, `schema`, `choices`, `cloud_correct` and `cloud_answer` are optional. Only `--cloud live` sends questions to
    the cloud; policy, consent, privacy scan and limits apply to them.
    """
    from hybrid_cli.evaluate.collect import EvalInput, show_estimate
    from hybrid_cli.evaluate.evaluation import as_lines, evaluate_gate
    from hybrid_cli.profile.policy import Flags
    from hybrid_cli.ui.sanitize import one_line

    invocation: Invocation = context.obj
    invocation.environment.verbosity += verbose
    chosen = EvalInput(data, split, limit, rows, outcomes_for(data, cloud), run_commands, questions, seed)
    flags = Flags(profile=profile, model=model, max_tokens=max_tokens)
    if dry_run:
        show_estimate(chosen, flags, invocation.environment, as_json=as_json)
        return
    report = evaluate_gate(
        chosen,
        flags,
        invocation.environment,
        invocation.worker,
        agreed=yes,
        unseen=unseen,
        plot=plot,
    )
    if as_json:
        invocation.environment.print_json(report)
    else:
        invocation.environment.print_lines(*map(one_line, as_lines(report, verbose=verbose)))
