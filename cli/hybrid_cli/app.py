"""The command tree: names and summaries. The module of a command is imported only when it runs."""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.exceptions import TyperException

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.ui.command_base import GLOBAL_OPTIONS, Group, color_choice
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.stopwatch import Stopwatch
from hybrid_cli.ui.usage_errors import usage_failure

COMMANDS = {
    "run": "Answer one prompt.",
    "pipe": "Answer one prompt for each line or record of the input.",
    "serve": "Serve OpenAI's API to other programs, under your profiles.",
    "mcp": "Give agents tools that use the local model, over stdio.",
    "pull": "Download a model and verify its checksum.",
    "models": "List, inspect, verify, import and remove models.",
    "templates": "List, print and edit prompt templates.",
    "init": "Write a profile of your own.",
    "profile": "List, check and explain profiles; trust a project's profile.",
    "consent": "Choose the clouds that hybrid may send prompts to.",
    "conversations": "List, show, export and delete stored conversations.",
    "usage": "Show what was handed off, why, and what it cost.",
    "eval": "Measure handoff decisions on labelled questions.",
    "calibrate": "Fit handoff decisions to a model on labelled questions.",
    "doctor": "Check this machine, profile and cloud, and suggest fixes.",
    "completion": "Print a shell completion script.",
    "help": "Show help for a topic or a command.",
}

EXAMPLES = (
    'hybrid run "Name three uses of vinegar."',
    'git diff | hybrid run "Write a commit message." -p offline',
)


class _LazyGroup(Group):
    """The root group; its help imports no command module."""

    summaries = COMMANDS

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"hybrid_cli.commands.{cmd_name}")
        return typer.main.get_command(module.app)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _show_version(wanted: bool) -> None:
    if wanted:
        from hybrid_cli import __version__

        typer.echo(f"hybrid {__version__}")
        raise typer.Exit


def command_tree() -> Any:
    """Return the root command, which imports its subcommands on demand."""
    root = new_app(cls=_LazyGroup, examples=EXAMPLES)

    @root.callback()
    def hybrid(
        _version: bool = typer.Option(
            False,
            "--version",
            is_eager=True,
            callback=_show_version,
            help="Print the version and exit.",
            rich_help_panel=GLOBAL_OPTIONS,
        ),
    ) -> None:
        """Answer prompts with a local model; hand off to a cloud model only if the profile allows it."""

    return typer.main.get_command(root)


def invoke(arguments: list[str], environment: Environment, worker: Any, stopwatch: Stopwatch) -> int:
    """Run the command named by `arguments`; return its exit code. Raises Failure, with USAGE for a parser error."""
    environment.color = color_choice(arguments)
    command = command_tree()
    try:
        with command.make_context(
            "hybrid", list(arguments), obj=Invocation(environment, worker, stopwatch)
        ) as context:
            command.invoke(context)
    except typer.Exit as stop:
        return int(stop.exit_code)
    except TyperException as error:
        raise usage_failure(error) from None
    return 0
