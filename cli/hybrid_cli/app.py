"""The command tree: names and summaries only. A command's module is imported when it is called."""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.exceptions import TyperException

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.ui.command_base import EVERYWHERE, Group, colour_of, usage_failure
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.stopwatch import Stopwatch

COMMANDS = {
    "run": "Answer one prompt.",
    "pipe": "Answer one prompt for each of many records.",
    "pull": "Download and verify weights.",
    "models": "List, look at, verify, remove and import weights.",
    "profile": "Look at profiles, check them, and trust a project's.",
    "consent": "Say which clouds may be sent to.",
    "usage": "Show what was handed off, why, and what it cost.",
    "eval": "Measure the gate on labelled questions.",
    "calibrate": "Fit the gate to a model on labelled questions.",
    "doctor": "Say what works on this machine, and what to do about the rest.",
    "completion": "Print the completion script of a shell.",
    "help": "Explain exit codes, profiles, variables, privacy or a command.",
}


EXAMPLES = (
    'hybrid run "Name three uses of vinegar."',
    'git diff | hybrid run "Write a commit message." -p offline',
)


class _LazyGroup(Group):
    """A group whose help needs none of its commands' modules."""

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
    """The root command; those below it are imported when they are asked for."""
    root = new_app(cls=_LazyGroup, examples=EXAMPLES)

    @root.callback()
    def hybrid(
        _version: bool = typer.Option(
            False,
            "--version",
            is_eager=True,
            callback=_show_version,
            help="Print the version and stop.",
            rich_help_panel=EVERYWHERE,
        ),
    ) -> None:
        """Answer prompts with a local model; hand off to a cloud model only when the profile allows it."""

    return typer.main.get_command(root)


def invoke(arguments: list[str], environment: Environment, worker: Any, stopwatch: Stopwatch) -> None:
    """Run the command that `arguments` name. Raises Failure, also for wrong usage."""
    environment.color = colour_of(arguments)
    command = command_tree()
    try:
        with command.make_context(
            "hybrid", list(arguments), obj=Invocation(environment, worker, stopwatch)
        ) as context:
            command.invoke(context)
    except typer.Exit:
        return
    except TyperException as error:
        raise usage_failure(error) from None
