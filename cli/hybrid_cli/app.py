"""The command tree: names and summaries only. A command's module is imported when it is called."""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from hybrid_cli.environment import Environment
from hybrid_cli.exit_status import ExitStatus, Failure

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
    "help": "Explain exit codes, profiles, variables or privacy.",
}


class _LazyGroup(TyperGroup):
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

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean `{close[0]}`?" if close else "see hybrid --help"
            raise Failure(ExitStatus.USAGE, f"there is no command `{args[0]}`; {hint}")
        return super().resolve_command(ctx, args)


def _show_version(wanted: bool) -> None:
    if wanted:
        from hybrid_cli import __version__

        typer.echo(f"hybrid {__version__}")
        raise typer.Exit


def command_tree() -> Any:
    """The root command; those below it are imported when they are asked for."""
    root = typer.Typer(
        cls=_LazyGroup,
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @root.callback()
    def hybrid(
        _version: bool = typer.Option(
            False, "--version", is_eager=True, callback=_show_version, help="Print the version and stop."
        ),
    ) -> None:
        """Answer prompts with a local model; hand off to a cloud model only when the profile allows it."""

    return typer.main.get_command(root)


def invoke(arguments: list[str], environment: Environment, worker: Any) -> None:
    """Run the command that `arguments` name. Raises Failure, also for wrong usage."""
    from hybrid_cli.commands import Invocation

    command = command_tree()
    try:
        with command.make_context("hybrid", list(arguments), obj=Invocation(environment, worker)) as context:
            command.invoke(context)
    except typer.Exit:
        return
    except TyperException as error:
        message = error.format_message()
        if error.exit_code != ExitStatus.USAGE or not message:
            raise Failure(ExitStatus.USAGE, message or "see hybrid --help") from None
        shown = getattr(getattr(error, "ctx", None), "command_path", "hybrid")
        raise Failure(ExitStatus.USAGE, f"{message.rstrip('.')}; see {shown} --help") from None
