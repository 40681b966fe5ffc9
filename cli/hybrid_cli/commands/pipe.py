"""`hybrid pipe`: one answer per record of the input."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import (
    INPUT,
    OUTPUT,
    PARALLEL,
    AllowTruncated,
    Choices,
    CloudChoice,
    CloudModel,
    Code,
    Escalation,
    KeepAlive,
    MaxTokens,
    Model,
    OutputPath,
    Profile,
    RecordTimeout,
    Schema,
    Seed,
    SharedFiles,
    Stop,
    System,
    Tag,
    Temperature,
    TemplateName,
    Think,
    Variables,
    Verbose,
    Verify,
)
from hybrid_cli.pipe.record_kinds import Each

app = new_app()


@app.command(
    examples=(
        'tail -f app.log | hybrid pipe "Is this an error?" --choices yes,no',
        'hybrid pipe "What is it about?" --each csv --field title --jsonl books.csv',
        'hybrid pipe "Translate to French." --resume out.jsonl in.jsonl',
    ),
)
def pipe(
    context: typer.Context,
    instruction: Annotated[
        str | None,
        typer.Argument(
            metavar="INSTRUCTION",
            help="What the model should do with each record, or @FILE. Leave it out with -t.",
            show_default=False,
        ),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE...]", help="Read records from FILE; without it, or with -, from stdin."
        ),
    ] = None,
    profile: Profile = None,
    model: Model = None,
    keep_alive: KeepAlive = None,
    escalation: Escalation = None,
    cloud: CloudChoice = None,
    cloud_model: CloudModel = None,
    tag: Tag = None,
    each: Annotated[
        Each | None,
        typer.Option(
            help="Split the input into records of this kind.",
            show_default="line; jsonl for JSON Lines, and with --field or --template",
            rich_help_panel=INPUT,
        ),
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(
            metavar="CHARACTER",
            help="Separate the fields of CSV by this character, such as ';' or tab.",
            show_default="found in the header row",
            rich_help_panel=INPUT,
        ),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Show the model only this field; a.b is field b of object a.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Show the model this text, with fields in braces: 'Title: {title}'.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    prompt_template: TemplateName = None,
    variables: Variables = None,
    shared_files: SharedFiles = None,
    system: System = None,
    choices: Choices = None,
    schema: Schema = None,
    code: Code = False,
    verify: Verify = None,
    stop: Stop = None,
    max_tokens: MaxTokens = None,
    allow_truncated: AllowTruncated = False,
    think: Think = None,
    temperature: Temperature = None,
    seed: Seed = None,
    timeout: RecordTimeout = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=64,
            metavar="N",
            help="Decode N records in parallel.",
            show_default="automatic",
            rich_help_panel=PARALLEL,
        ),
    ] = None,
    cloud_jobs: Annotated[
        int,
        typer.Option(
            min=1, max=64, metavar="N", help="Make N handoffs in parallel.", rich_help_panel=PARALLEL
        ),
    ] = 4,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|auto",
            help="Answer files on a Ray cluster; auto joins the local one or starts one.",
            rich_help_panel=PARALLEL,
        ),
    ] = None,
    output: OutputPath = None,
    jsonl: Annotated[
        bool,
        typer.Option(
            "--jsonl",
            help="Print each record's fields and its answer object as JSON.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    key: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Name the field of the answer object in --jsonl.", rich_help_panel=OUTPUT
        ),
    ] = "hybrid",
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Append --jsonl lines to FILE for records it does not answer yet.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    unordered: Annotated[
        bool,
        typer.Option("--unordered", help="Print each answer as soon as it is ready.", rich_help_panel=OUTPUT),
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first failed record.", rich_help_panel=OUTPUT)
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print how much work it is and what it may cost, then exit.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Apply INSTRUCTION to each record and print one answer per line, in input order.

    hybrid answers many records in parallel. It hands a record off under the same conditions as `hybrid run`.
    Line ends in an answer are printed as \\n.
    """
    from hybrid_cli.checks.verify import read_command
    from hybrid_cli.pipe.options import PipeOptions, read_delimiter
    from hybrid_cli.pipe.run_pipe import run_pipe
    from hybrid_cli.profile.policy import Flags

    invocation: Invocation = context.obj
    invocation.environment.verbosity += verbose
    flags = Flags(
        profile=profile,
        escalation=escalation,
        model=model,
        keep_alive=keep_alive,
        think=think,
        cloud=cloud,
        cloud_model=cloud_model,
        max_tokens=max_tokens,
        temperature=temperature,
        seed=seed,
        seconds=timeout,
    )
    if prompt_template is not None and instruction is not None:
        files, instruction = [Path(instruction), *(files or [])], None
    options = PipeOptions(
        instruction=instruction,
        files=tuple(files or ()),
        prompt_template=prompt_template,
        variables=tuple(variables or ()),
        shared_files=tuple(shared_files or ()),
        each=each,
        delimiter=read_delimiter(delimiter) if delimiter is not None else None,
        field=field,
        template=template,
        system=system,
        tags=frozenset(tag or ()),
        schema=schema,
        verify=read_command(verify, invocation.environment.variables) if verify else (),
        choices=choices,
        code=code,
        stop=tuple(stop or ()),
        allow_truncated=allow_truncated,
        output=output,
        jobs=jobs,
        cloud_jobs=cloud_jobs,
        jsonl=jsonl,
        key=key,
        unordered=unordered,
        fail_fast=fail_fast,
        resume=resume,
        dry_run=dry_run,
        cluster=cluster,
    )
    run_pipe(flags, options, invocation.environment, invocation.worker, invocation.stopwatch)
