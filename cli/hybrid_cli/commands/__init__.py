"""One module a command: options in, one call, result out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid_cli.local.worker import Worker
from hybrid_cli.ui.command_base import App, Group
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.stopwatch import Stopwatch


@dataclass
class Invocation:
    """What the entry hands to a command: typer's context object."""

    environment: Environment
    worker: Worker | None
    stopwatch: Stopwatch
    """Runs since the start of the command."""


def new_app(cls: type[Group] = Group, **settings: Any) -> App:
    """A Typer app with plain help: no boxes, and no completion that edits the user's files."""
    return App(
        cls=cls,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **settings,
    )
