"""Everything that a program needs to use the command: the tree, the exit codes, the answer object."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import msgspec

from hybrid_cli import __version__
from hybrid_cli.cascade.answer import Answer
from hybrid_cli.exit_status import EXIT_CODES
from hybrid_cli.help.command_tree import CommandNode


def reference(tree: CommandNode) -> dict[str, Any]:
    """Return what `hybrid help --json` prints about the command `tree`."""
    return {
        "version": __version__,
        "command": asdict(tree),
        "exit_codes": EXIT_CODES,
        "answer_schema": msgspec.json.schema(Answer),
    }
