"""The options that several commands have, each with one name, range and help; and the groups of all options."""

from __future__ import annotations

from typing import Annotated

import typer

# The headings under which a command's help and man page list its options: `rich_help_panel` of each.
POLICY = "Who answers"
INPUT = "Input"
ANSWER = "The answer"
OUTPUT = "Output"
DATA = "Data"
WEIGHTS = "Weights"
CHOICE = "Choice"

Profile = Annotated[
    str | None,
    typer.Option(
        "--profile", "-p", metavar="NAME|PATH", help="The profile to run under.", rich_help_panel=POLICY
    ),
]
Model = Annotated[
    str | None,
    typer.Option("--model", "-m", metavar="NAME|PATH", help="The local model.", rich_help_panel=POLICY),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=10_000_000,
        metavar="N",
        help="The longest answer, in tokens.",
        rich_help_panel=ANSWER,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=OUTPUT)]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Say how it was decided.", rich_help_panel=OUTPUT)
]
