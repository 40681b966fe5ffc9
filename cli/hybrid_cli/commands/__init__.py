"""One module per command: it declares options, calls the feature and prints the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid_cli.local.worker import Worker
from hybrid_cli.ui.command_base import App, Group
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.stopwatch import Stopwatch


@dataclass
class Invocation:
    """The `context.obj` of every command; `worker` is None if none was forked."""

    environment: Environment
    worker: Worker | None
    stopwatch: Stopwatch
    """Started with the command."""


def new_app(cls: type[Group] = Group, **settings: Any) -> App:
    """Return a Typer app with plain help and without Typer's completion, which edits the user's files."""
    return App(
        cls=cls,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **settings,
    )
