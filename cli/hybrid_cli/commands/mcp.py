"""`hybrid mcp`: tools for agents, over stdio."""

from __future__ import annotations

from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import MODEL_AND_PROFILE, Model, some_text
from hybrid_cli.exit_status import ExitStatus, Failure

app = new_app()


@app.command(
    examples=(
        "hybrid mcp",
        "hybrid mcp -p private -m qwen3-4b",
    ),
)
def mcp(
    context: typer.Context,
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            "-p",
            metavar="NAME|PATH",
            callback=some_text,
            help="Use this profile.",
            rich_help_panel=MODEL_AND_PROFILE,
        ),
    ] = "offline",
    model: Model = None,
) -> None:
    """Give an agent tools that use the local model, by the Model Context Protocol on stdin and stdout.

    The tools are ask, classify, extract, summarize_files and usage. Files are read only below the folder that the
    command is started in.
    """
    invocation: Invocation = context.obj
    try:
        from hybrid_cli.serve.agent_tools import serve_agents
    except ImportError as error:
        if error.name is not None and error.name.startswith("hybrid_cli"):
            raise
        raise Failure(
            ExitStatus.USAGE, "hybrid mcp needs the mcp SDK; run: pip install 'hybrid-cli[mcp]'"
        ) from None
    serve_agents(profile, model, invocation.environment)
