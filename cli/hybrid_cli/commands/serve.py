"""`hybrid serve`: OpenAI's endpoints over the cascade."""

from __future__ import annotations

from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import (
    CLOUD,
    MODEL_AND_PROFILE,
    OPTIONS,
    OUTPUT,
    KeepAlive,
    Verbose,
    some_text,
)
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.modes import Mode

app = new_app()


@app.command(
    examples=(
        "hybrid serve",
        "hybrid serve --listen unix:/run/user/1000/hybrid.sock -p private",
        "export OPENAI_API_KEY=$(hybrid serve --show-token)",
    ),
)
def serve(
    context: typer.Context,
    listen: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT|unix:PATH",
            callback=some_text,
            help="Listen here. Other machines reach only an address that is not loopback.",
            rich_help_panel=OPTIONS,
        ),
    ] = "127.0.0.1:8484",
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            "-p",
            metavar="NAME|PATH",
            callback=some_text,
            help="Use this profile for the model `hybrid`; hybrid/NAME always uses profile NAME.",
            rich_help_panel=MODEL_AND_PROFILE,
        ),
    ] = None,
    escalation: Annotated[
        Mode | None,
        typer.Option(
            "--escalation",
            help="Set when to hand off, for all requests. Under forbid no request can leave the machine.",
            rich_help_panel=CLOUD,
        ),
    ] = None,
    keep_alive: KeepAlive = None,
    parallel: Annotated[
        int,
        typer.Option(
            min=1,
            max=256,
            metavar="N",
            help="Answer N requests at once; 16 times as many may wait.",
            rich_help_panel=OPTIONS,
        ),
    ] = 16,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Let web pages of this origin use the server. Repeatable.",
            rich_help_panel=OPTIONS,
        ),
    ] = None,
    grace: Annotated[
        int,
        typer.Option(
            min=1,
            max=3600,
            metavar="SECONDS",
            help="After SIGTERM, let answers finish for SECONDS.",
            rich_help_panel=OPTIONS,
        ),
    ] = 1,
    show_token: Annotated[
        bool,
        typer.Option(
            "--show-token", help="Print the token that clients need, then exit.", rich_help_panel=OUTPUT
        ),
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Serve OpenAI's API: each profile is a model, and the same policy holds as for `hybrid run`.

    Clients need the token as their API key. They reach /v1/chat/completions, /v1/responses, /v1/models, /health
    and /metrics.
    """
    invocation: Invocation = context.obj
    environment = invocation.environment
    environment.verbosity += verbose
    try:
        from hybrid_cli.serve.access import read_token
        from hybrid_cli.serve.server import ServeOptions
        from hybrid_cli.serve.server import serve as run_server
    except ImportError as error:
        if error.name is not None and error.name.startswith("hybrid_cli"):
            raise
        raise Failure(
            ExitStatus.USAGE, "hybrid serve needs Starlette and uvicorn; run: pip install 'hybrid-cli[serve]'"
        ) from None
    if show_token:
        environment.print_lines(read_token(environment))
        return
    run_server(
        ServeOptions(listen, profile, escalation, keep_alive, parallel, grace, list(allow_origin or ())),
        environment,
    )
