"""`hybrid pipe`: one answer for each line of stdin."""

from __future__ import annotations

from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import INPUT, POLICY, MaxTokens, Model, Profile, Verbose
from hybrid_cli.commands.run import Escalation

app = new_app()


@app.command(
    examples=(
        'tail -f app.log | hybrid pipe "Is this an error? Answer yes or no." --max-tokens 4',
        'hybrid pipe "Translate to French." -p offline < words.txt > mots.txt',
    ),
)
def pipe(
    context: typer.Context,
    instruction: Annotated[str, typer.Argument(metavar="INSTRUCTION", help="What to do with each line.")],
    profile: Profile = None,
    model: Model = None,
    escalation: Annotated[
        Escalation | None,
        typer.Option(help="Forbid, allow or force the handoff to the cloud.", rich_help_panel=POLICY),
    ] = None,
    max_tokens: MaxTokens = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=16,
            metavar="N",
            help="Lines decoded together; by default what pays.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Answer INSTRUCTION for each line of stdin, many at once, in order, a line each.

    Line ends in an answer are written as \\n. What run would hand off, pipe does.
    """
    from hybrid_cli.pipe.run import Options, pipe_records
    from hybrid_cli.profile.policy import Flags

    invocation: Invocation = context.obj
    invocation.environment.verbosity += verbose
    flags = Flags(
        profile=profile,
        escalation=escalation.value if escalation else None,
        model=model,
        max_tokens=max_tokens,
    )
    pipe_records(flags, Options(instruction, jobs), invocation.environment, invocation.worker)
