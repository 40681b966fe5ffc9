"""Options that several commands share, each with one name, range and help; and the option groups of all."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from hybrid_cli.profile.keep_alive import is_keep_alive
from hybrid_cli.profile.modes import Mode

# Option groups in help and man pages: the `rich_help_panel` of each option.
MODEL_AND_PROFILE = "Model and profile"
CLOUD = "Cloud"
INPUT = "Input"
ANSWER = "Answer"
OUTPUT = "Output"
PARALLEL = "Parallel work"
OPTIONS = "Options"


def number(value: float | None) -> float | None:
    """Reject nan, which passes every comparison with a bound."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter("must be a number")
    return value


def some_text(value: str | None) -> str | None:
    """Reject an empty value, such as `"$SCHEMA"` of a variable that is not set."""
    if value is not None and not value.strip():
        raise typer.BadParameter("must not be empty")
    return value


def some_texts(values: list[str] | None) -> list[str] | None:
    """Reject an empty value among several."""
    if values and "" in values:
        raise typer.BadParameter("must not be empty")
    return values


def shell_words(command: str | None) -> str | None:
    """Reject a command that is empty or has an open quote."""
    try:
        if command is not None and not shlex.split(command):
            raise typer.BadParameter("must be a command")
    except ValueError as error:
        raise typer.BadParameter(f"must be a command: {str(error).lower()}") from None
    return command


def keep_alive(value: str | None) -> str | None:
    """Reject what is no time to stay."""
    if value is not None and not is_keep_alive(value):
        raise typer.BadParameter("must be 0, a time such as 30s, 5m or 1h, or forever")
    return value


Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        "-p",
        metavar="NAME|PATH",
        callback=some_text,
        help="Use this profile.",
        rich_help_panel=MODEL_AND_PROFILE,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME|PATH",
        callback=some_text,
        help="Use this local model.",
        rich_help_panel=MODEL_AND_PROFILE,
    ),
]
KeepAlive = Annotated[
    str | None,
    typer.Option(
        "--keep-alive",
        metavar="TIME",
        callback=keep_alive,
        help="Keep the model loaded for later commands: 30s, 5m, 1h or forever; 0 ends at once.",
        rich_help_panel=MODEL_AND_PROFILE,
    ),
]
CloudChoice = Annotated[
    str | None,
    typer.Option(
        "--cloud",
        metavar="NAME|URL",
        callback=some_text,
        help="Hand off to this cloud: a known name, such as groq or ollama, or a base URL.",
        rich_help_panel=CLOUD,
    ),
]
CloudModel = Annotated[
    str | None,
    typer.Option(
        "--cloud-model",
        metavar="NAME",
        callback=some_text,
        help="Hand off to this model of the cloud.",
        rich_help_panel=CLOUD,
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=10_000_000,
        metavar="N",
        help="Limit an answer to N tokens; local thinking counts.",
        rich_help_panel=ANSWER,
    ),
]
Think = Annotated[
    bool | None,
    typer.Option(
        "--think/--no-think",
        help="Let the local model think before it answers, or not.",
        show_default=False,
        rich_help_panel=ANSWER,
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=5,
        metavar="T",
        callback=number,
        help="Set the sampling temperature; 0 is greedy and repeatable.",
        rich_help_panel=ANSWER,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        min=0, max=0xFFFFFFFF, metavar="N", help="Set the seed of local sampling.", rich_help_panel=ANSWER
    ),
]
Stop = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT",
        callback=some_texts,
        help="End the answer before TEXT. Repeatable.",
        rich_help_panel=ANSWER,
    ),
]
AllowTruncated = Annotated[
    bool,
    typer.Option(
        "--allow-truncated",
        help="Accept an answer that is cut at its token limit.",
        rich_help_panel=ANSWER,
    ),
]
System = Annotated[
    str | None,
    typer.Option("--system", "-s", metavar="TEXT", help="Set the system message.", rich_help_panel=INPUT),
]
Files = Annotated[
    list[str] | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        callback=some_texts,
        help="Add a file, the files of a folder, or with - stdin, to the prompt. Repeatable.",
        rich_help_panel=INPUT,
    ),
]
SharedFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        callback=some_texts,
        help="Add a file, or the files of a folder, to the prompt for each record. Repeatable.",
        rich_help_panel=INPUT,
    ),
]
Images = Annotated[
    list[str] | None,
    typer.Option(
        "--image",
        "-i",
        metavar="FILE",
        callback=some_texts,
        help="Ask about an image: PNG, JPEG, WebP or GIF. Its metadata is not sent. Repeatable.",
        rich_help_panel=INPUT,
    ),
]
TemplateName = Annotated[
    str | None,
    typer.Option(
        "--prompt-template",
        "-t",
        metavar="NAME",
        callback=some_text,
        help="Use this prompt template. See: hybrid templates.",
        rich_help_panel=INPUT,
    ),
]
Variables = Annotated[
    list[str] | None,
    typer.Option(
        "--var",
        metavar="NAME=VALUE",
        callback=some_texts,
        help="Set a variable of the template. Repeatable.",
        rich_help_panel=INPUT,
    ),
]
Escalation = Annotated[
    Mode | None,
    typer.Option(
        "--escalation",
        help="Set when to hand off: never, if needed, always, or if needed after asking.",
        rich_help_panel=CLOUD,
    ),
]
Tag = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TAG",
        callback=some_texts,
        help="Tag the prompt for the profile's rules. Repeatable.",
        rich_help_panel=CLOUD,
    ),
]


def _timeout(help_text: str) -> Any:
    return typer.Option(
        min=0.001,
        max=86_400,
        metavar="SECONDS",
        callback=number,
        help=help_text,
        rich_help_panel=ANSWER,
    )


Timeout = Annotated[float | None, _timeout("Stop after SECONDS with exit code 124.")]
RecordTimeout = Annotated[
    float | None, _timeout("Stop the work on a record after SECONDS; the record fails with code 124.")
]
Choices = Annotated[
    str | None,
    typer.Option(metavar="A,B,...", help="Allow only these answers.", rich_help_panel=ANSWER),
]
Code = Annotated[
    bool,
    typer.Option(
        "--code",
        "-x",
        help="Print only the first code block of the answer, without its fence.",
        rich_help_panel=ANSWER,
    ),
]
Schema = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|JSON|FIELDS",
        callback=some_text,
        help="Accept only JSON of this form: a JSON Schema, or fields such as 'name, age int'.",
        rich_help_panel=ANSWER,
    ),
]
Verify = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND",
        callback=shell_words,
        help="Accept the answer only if COMMAND exits 0. It gets the answer on stdin and as {file};"
        " no shell is used.",
        rich_help_panel=ANSWER,
    ),
]
OutputPath = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write the answer to FILE atomically.",
        rich_help_panel=OUTPUT,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=OUTPUT)]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Explain each decision on stderr.", rich_help_panel=OUTPUT)
]
