"""`hybrid pipe`: one answer for each record."""

from __future__ import annotations

import shlex
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import (
    ANSWER,
    INPUT,
    OUTPUT,
    EscalationMode,
    MaxTokens,
    Model,
    Profile,
    Schema,
    System,
    Tag,
    Timeout,
    Verbose,
    Verify,
)

app = new_app()


class Each(str, Enum):
    """What is a record, as typer wants choices."""

    line = "line"
    jsonl = "jsonl"
    csv = "csv"
    nul = "nul"
    para = "para"


@app.command(
    examples=(
        'tail -f app.log | hybrid pipe "Is this an error?" --choices yes,no',
        'hybrid pipe "What is it about?" --each csv --field title --jsonl books.csv',
        'hybrid pipe "Translate to French." --resume out.jsonl in.jsonl',
    ),
)
def pipe(
    context: typer.Context,
    instruction: Annotated[str, typer.Argument(metavar="INSTRUCTION", help="What to do with each record.")],
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE...]", help="The records; - or none: stdin.")
    ] = None,
    each: Annotated[
        Each | None,
        typer.Option(
            help="What is a record; a line by default, of JSON with --jsonl, --resume, --field or --template.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The field that the model sees; dots lead into objects.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="What the model sees, fields in braces: 'Title: {title}'.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    as_objects: Annotated[
        bool,
        typer.Option(
            "--jsonl", help="Print the record's fields and the answer object.", rich_help_panel=OUTPUT
        ),
    ] = False,
    key: Annotated[
        str,
        typer.Option(metavar="NAME", help="The answer object's field in --jsonl.", rich_help_panel=OUTPUT),
    ] = "hybrid",
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Add to FILE, as --jsonl, what is not answered in it yet.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    choices: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="The answer is one of these.", rich_help_panel=ANSWER),
    ] = None,
    schema: Schema = None,
    verify: Verify = None,
    profile: Profile = None,
    model: Model = None,
    system: System = None,
    escalation: EscalationMode = None,
    tag: Tag = None,
    max_tokens: MaxTokens = None,
    timeout: Timeout = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=16,
            metavar="N",
            help="Records decoded together; by default what pays.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    cloud_jobs: Annotated[
        int,
        typer.Option(min=1, max=64, metavar="N", help="Handoffs side by side.", rich_help_panel=INPUT),
    ] = 4,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|auto",
            help="Answer on the nodes of a Ray cluster, by files; auto: the one here, or a new one.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    unordered: Annotated[
        bool,
        typer.Option("--unordered", help="Print answers as they come.", rich_help_panel=OUTPUT),
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first failure.", rich_help_panel=OUTPUT)
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what it may take and cost, and stop.", rich_help_panel=OUTPUT),
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Answer INSTRUCTION for each record, many at once, in order, a line each.

    Line ends in an answer are written as \\n. What run would hand off, pipe does, beside the local work.
    """
    from hybrid_cli.pipe.pipeline import Options, pipe_records
    from hybrid_cli.profile.policy import Flags

    invocation: Invocation = context.obj
    invocation.environment.verbosity += verbose
    flags = Flags(
        profile=profile,
        escalation=escalation.value if escalation else None,
        model=model,
        max_tokens=max_tokens,
        seconds=timeout,
    )
    options = Options(
        instruction=instruction,
        files=tuple(files or ()),
        each=each.value if each else None,
        field=field,
        template=template,
        system=system,
        tags=frozenset(tag or ()),
        schema=schema,
        verify=tuple(shlex.split(verify or "")),
        choices=choices,
        jobs=jobs,
        cloud_jobs=cloud_jobs,
        as_objects=as_objects,
        key=key,
        unordered=unordered,
        fail_fast=fail_fast,
        resume=resume,
        dry_run=dry_run,
        cluster=cluster,
    )
    pipe_records(flags, options, invocation.environment, invocation.worker, invocation.stopwatch)
