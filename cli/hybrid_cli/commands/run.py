"""`hybrid run`: one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer
from typer.main import get_click_type
from typer.models import OptionInfo

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import (
    ANSWER,
    CLOUD,
    INPUT,
    OUTPUT,
    AllowTruncated,
    AsJson,
    Choices,
    CloudChoice,
    CloudModel,
    Code,
    Escalation,
    Files,
    Images,
    KeepAlive,
    MaxTokens,
    Model,
    OutputPath,
    Profile,
    Schema,
    Seed,
    Stop,
    System,
    Tag,
    Temperature,
    TemplateName,
    Think,
    Timeout,
    Variables,
    Verbose,
    Verify,
    some_text,
)
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.modes import Tool

if TYPE_CHECKING:
    from hybrid_cli.ui.clipboard import Clipboard
    from hybrid_cli.ui.environment import Environment

app = new_app()

_TOOL = get_click_type(annotation=Tool, parameter_info=OptionInfo())  # Typer takes no list of a Literal


@app.command(
    context_settings={"allow_extra_args": True},  # `-c NAME PROMPT`
    examples=(
        'hybrid run "Name three uses of vinegar."',
        'git diff | hybrid run "Write a commit message." -p offline -o message.txt',
        'hybrid run --json --schema \'{"enum": ["yes", "no"]}\' "Is Paris in France?"',
    ),
)
def run(
    context: typer.Context,
    prompt: Annotated[
        str | None,
        typer.Argument(
            metavar="[PROMPT]", help="Prompt text, or @FILE. Without it, or with -, stdin is the prompt."
        ),
    ] = None,
    profile: Profile = None,
    model: Model = None,
    keep_alive: KeepAlive = None,
    escalation: Escalation = None,
    cloud: CloudChoice = None,
    cloud_model: CloudModel = None,
    tag: Tag = None,
    tool: Annotated[
        list[str] | None,
        typer.Option(
            click_type=_TOOL,
            help="Hand off to use this hosted tool of the cloud. Only PROMPT is sent. Repeatable.",
            rich_help_panel=CLOUD,
        ),
    ] = None,
    go_on: Annotated[
        bool,
        typer.Option(
            "--continue",
            "-c",
            help="Continue the last conversation of this terminal; with a NAME before PROMPT, that one.",
            rich_help_panel=INPUT,
        ),
    ] = False,
    conversation: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            callback=some_text,
            help="Continue this conversation, or start it.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    drop_oldest: Annotated[
        bool,
        typer.Option(
            "--drop-oldest",
            help="Leave out the oldest turns if the conversation is longer than the local context window.",
            rich_help_panel=INPUT,
        ),
    ] = False,
    files: Files = None,
    images: Images = None,
    template: TemplateName = None,
    variables: Variables = None,
    editor: Annotated[
        bool,
        typer.Option("--editor", help="Write the prompt in $VISUAL or $EDITOR.", rich_help_panel=INPUT),
    ] = False,
    system: System = None,
    no_stdin: Annotated[
        bool, typer.Option("--no-stdin", help="Never read stdin.", rich_help_panel=INPUT)
    ] = False,
    max_tokens: MaxTokens = None,
    think: Think = None,
    temperature: Temperature = None,
    seed: Seed = None,
    timeout: Timeout = None,
    schema: Schema = None,
    choices: Choices = None,
    exit_code: Annotated[
        bool,
        typer.Option(
            "--exit-code",
            help="With --choices: exit with 0 for the first choice, 10 for the second, 11 for the third.",
            rich_help_panel=ANSWER,
        ),
    ] = False,
    code: Code = False,
    verify: Verify = None,
    stop: Stop = None,
    allow_truncated: AllowTruncated = False,
    as_json: AsJson = False,
    output: OutputPath = None,
    stream: Annotated[
        bool,
        typer.Option("--stream", help="Stream the answer to pipes and files, too.", rich_help_panel=OUTPUT),
    ] = False,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="Keep bidi controls and, except on a terminal, control sequences.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    render: Annotated[
        bool,
        typer.Option("--render", help="Render Markdown on a terminal.", rich_help_panel=OUTPUT),
    ] = False,
    show_thinking: Annotated[
        bool,
        typer.Option("--show-thinking", help="Print the model's thinking on stderr.", rich_help_panel=OUTPUT),
    ] = False,
    copy: Annotated[
        bool,
        typer.Option("--copy", help="Copy the answer to the clipboard, too.", rich_help_panel=OUTPUT),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print what hybrid would do and send, then exit.", rich_help_panel=OUTPUT
        ),
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Answer one prompt.

    The local model answers. hybrid hands the prompt off to the cloud only if the profile allows it and the
    local answer is not good enough. With a PROMPT, piped stdin is the text that the prompt is about.
    """
    from hybrid_cli.cascade.preload import preload
    from hybrid_cli.cascade.run_options import RunOptions
    from hybrid_cli.profile.policy import Flags, merge_policy

    if go_on and context.args and conversation is None:
        conversation, prompt = prompt, context.args.pop(0)
    if context.args:
        hint = (
            "give each file its own -f, or quote a pattern"
            if files
            else "quote arguments that contain spaces"
        )
        raise Failure(ExitStatus.USAGE, f"unexpected argument `{context.args[0]}`; {hint}")
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
    policy = merge_policy(flags, invocation.environment)
    options = RunOptions(
        prompt=prompt,
        files=tuple(files or ()),
        images=tuple(images or ()),
        template=template,
        variables=tuple(variables or ()),
        editor=editor,
        clipboard=_clipboard(invocation.environment) if copy else None,
        system=system,
        output=output,
        as_json=as_json,
        stream=stream,
        may_read_stdin=not no_stdin,
        dry_run=dry_run,
        tags=frozenset(tag or ()),
        stop=tuple(stop or ()),
        allow_truncated=allow_truncated,
        schema=schema,
        choices=choices,
        exit_code=exit_code,
        code=code,
        verify=_command(verify, invocation.environment) if verify else (),
        raw=raw,
        render=render,
        show_thinking=show_thinking,
        conversation="" if go_on and conversation is None else conversation,
        drop_oldest=drop_oldest,
        tools=cast("tuple[Tool, ...]", tuple(dict.fromkeys(tool or ()))),
    )
    preload(policy, options, invocation.worker, invocation.environment)
    from hybrid_cli.cascade.run_prompt import run_prompt  # now, while the model is loading

    try:
        status = run_prompt(
            policy, flags, options, invocation.environment, invocation.worker, invocation.stopwatch
        )
    finally:
        if options.clipboard is not None:
            options.clipboard.close()
    raise typer.Exit(status)


def _clipboard(environment: Environment) -> Clipboard:
    from hybrid_cli.ui.clipboard import Clipboard  # late, as few runs copy

    return Clipboard(environment)


def _command(given: str, environment: Environment) -> tuple[str, ...]:
    from hybrid_cli.checks.verify import read_command  # late, as few runs have a command

    return read_command(given, environment.variables)
