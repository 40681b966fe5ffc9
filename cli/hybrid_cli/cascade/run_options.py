"""The options of one `hybrid run`. It imports little, as the model is loaded before most modules are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_cli.profile.modes import Tool

if TYPE_CHECKING:  # late, as few runs copy
    from hybrid_cli.ui.clipboard import Clipboard


@dataclass(frozen=True)
class RunOptions:
    """The command line's input and output options."""

    prompt: str | None
    system: str | None
    output: Path | None
    as_json: bool
    stream: bool
    may_read_stdin: bool
    dry_run: bool
    tags: frozenset[str]
    allow_truncated: bool = False
    stop: tuple[str, ...] = ()
    schema: str | None = None
    """A file name, or JSON; None for the profile's schema."""
    choices: str | None = None
    """Allowed answers, separated by commas."""
    exit_code: bool = False
    """Return an exit code for the chosen answer."""
    code: bool = False
    """Deliver only the first code block."""
    verify: tuple[str, ...] = ()
    """A command; empty for the profile's command."""
    raw: bool = False
    render: bool = False
    show_thinking: bool = False
    files: tuple[str, ...] = ()
    """Paths of files and folders for the prompt's context; `-` is stdin."""
    images: tuple[str, ...] = ()
    """Paths."""
    template: str | None = None
    """The name of a prompt template."""
    variables: tuple[str, ...] = ()
    """Its variables, as `NAME=VALUE`."""
    editor: bool = False
    """Let the user write the prompt."""
    clipboard: Clipboard | None = None
    """Gets the answer, too."""
    tools: tuple[Tool, ...] = ()
    """Hosted tools the prompt needs."""
    conversation: str | None = None
    """A name or a file; "" for the last one of this terminal."""
    drop_oldest: bool = False
