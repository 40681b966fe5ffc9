"""`hybrid run`: one answer."""

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
    POLICY,
    AsJson,
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
    number,
    some_texts,
)

app = new_app()


class HostedTool(str, Enum):
    web_search = "web_search"
    image_generation = "image_generation"


@app.command(
    examples=(
        'hybrid run "Name three uses of vinegar."',
        'git diff | hybrid run "Write a commit message." -p offline -o message.txt',
        'hybrid run --json --schema \'{"enum": ["yes", "no"]}\' "Is Paris in France?"',
    ),
)
def run(
    context: typer.Context,
    prompt: Annotated[
        str | None, typer.Argument(metavar="[PROMPT]", help="What to ask; - or none: stdin is the prompt.")
    ] = None,
    profile: Profile = None,
    model: Model = None,
    system: System = None,
    escalation: EscalationMode = None,
    tag: Tag = None,
    tool: Annotated[
        list[HostedTool] | None,
        typer.Option(
            help="A hosted tool that the prompt needs; may be repeated. Only PROMPT goes out.",
            rich_help_panel=POLICY,
        ),
    ] = None,
    max_tokens: MaxTokens = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=5,
            metavar="T",
            callback=number,
            help="0 is greedy and repeatable.",
            rich_help_panel=ANSWER,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, max=0xFFFFFFFF, metavar="N", help="The seed of local sampling.", rich_help_panel=ANSWER
        ),
    ] = None,
    timeout: Timeout = None,
    schema: Schema = None,
    verify: Verify = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            callback=some_texts,
            help="End the answer before TEXT; may be repeated.",
            rich_help_panel=ANSWER,
        ),
    ] = None,
    as_json: AsJson = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write to FILE, in one step.", rich_help_panel=OUTPUT
        ),
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Stream into a pipe or a file, too.", rich_help_panel=OUTPUT)
    ] = False,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="Keep control sequences, except on a terminal, and bidi controls, even there.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    render: Annotated[
        bool,
        typer.Option(
            "--render", help="Show Markdown as what it means, on a terminal.", rich_help_panel=OUTPUT
        ),
    ] = False,
    show_thinking: Annotated[
        bool,
        typer.Option("--show-thinking", help="Show the model's thinking on stderr.", rich_help_panel=OUTPUT),
    ] = False,
    no_stdin: Annotated[
        bool, typer.Option("--no-stdin", help="Never read stdin.", rich_help_panel=INPUT)
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and stop.", rich_help_panel=OUTPUT)
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Answer one prompt.

    Beside a PROMPT, piped stdin is the text it is asked about. The local model answers; the prompt is
    handed off to the cloud only if the profile allows it and the local answer is not good enough.
    """
    from hybrid_cli.cascade.run_prompt import Options, run_prompt
    from hybrid_cli.profile.policy import Flags

    invocation: Invocation = context.obj
    invocation.environment.verbosity += verbose
    flags = Flags(
        profile=profile,
        escalation=escalation.value if escalation else None,
        model=model,
        max_tokens=max_tokens,
        temperature=temperature,
        seed=seed,
        seconds=timeout,
    )
    options = Options(
        prompt=prompt,
        system=system,
        output=output,
        as_json=as_json,
        stream=stream,
        may_read_stdin=not no_stdin,
        dry_run=dry_run,
        tags=frozenset(tag or ()),
        stop=tuple(stop or ()),
        schema=schema,
        verify=tuple(shlex.split(verify or "")),
        raw=raw,
        render=render,
        show_thinking=show_thinking,
        tools=tuple(dict.fromkeys(one.value for one in tool or ())),
    )
    run_prompt(flags, options, invocation.environment, invocation.worker, invocation.stopwatch)
