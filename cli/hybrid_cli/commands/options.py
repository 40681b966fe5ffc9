"""The options that several commands have, each with one name, range and help."""

from __future__ import annotations

from typing import Annotated

import typer

Profile = Annotated[
    str | None, typer.Option("--profile", "-p", metavar="NAME|PATH", help="The profile to run under.")
]
Model = Annotated[str | None, typer.Option("--model", "-m", metavar="NAME|PATH", help="The local model.")]
MaxTokens = Annotated[
    int | None, typer.Option(min=1, max=10_000_000, metavar="N", help="The longest answer, in tokens.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors on stderr.")]
