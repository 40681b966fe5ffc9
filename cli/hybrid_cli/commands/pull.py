"""`hybrid pull`: download and verify weights."""

from __future__ import annotations

from typing import Annotated

import typer

from hybrid_cli.commands import Invocation, new_app

app = new_app()

_EPILOG = """Examples:\n
  hybrid pull\n
  hybrid pull hf:Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf --name qwen3-8b
"""


@app.command(epilog=_EPILOG)
def pull(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A catalog name, hf:ORG/REPO/FILE[@REVISION], or the path of a GGUF file.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Store it under this name.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only errors on stderr.")] = False,
) -> None:
    """Download a model's weights, check them, and store them. Without MODEL: the default model."""
    from hybrid_cli.weights.catalog import DEFAULT_MODEL
    from hybrid_cli.weights.pull import pull as pull_weights

    invocation: Invocation = context.obj
    invocation.environment.verbosity = -1 if quiet else 0
    pull_weights(model if model is not None else DEFAULT_MODEL, name, invocation.environment)
