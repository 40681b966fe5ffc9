"""The skill file for agents: when to use hybrid, and how, from the command tree."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from hybrid_cli.cascade.answer import Answer
from hybrid_cli.exit_status import EXIT_CODES
from hybrid_cli.help.command_tree import CommandNode

_SHOWN = ("run", "pipe")
"""The commands whose options are listed."""

_INTRO = """\
---
name: hybrid
description: Answer easy, repeated or private prompts with a language model on this machine, from the shell. Classifies, extracts JSON, rewrites and summarizes text, one prompt or thousands of records, without sending it anywhere.
---

<!-- Generated from the command tree by: python docs/generator -->

# hybrid

`hybrid` answers a prompt with a small local model. It hands a prompt off to a cloud only if the user's profile and consent
allow it. Use it for work that is easy, repeated or private; check answers with a low `confidence`.

- Nothing leaves the machine with `-p offline`. Do not choose another profile unless the user asks for it.
- Pass data on stdin, and the task as the argument. Use `--choices` or `--schema` to get answers that a program can read.
- For many records use one `hybrid pipe`, not many `hybrid run`.
- stdout holds the answer and nothing else; a failure prints none, and exits with a code below.
- `hybrid mcp` offers the same as tools; `hybrid help --json` prints every command, option and schema.
"""


def skill(tree: CommandNode) -> str:
    """Return the text of the file."""
    return "\n".join([_INTRO, *_commands(tree), *_options(tree), *_codes(), *_answer()])


def _commands(tree: CommandNode) -> Iterator[str]:
    yield "## Commands\n\n| command | does |\n|---|---|"
    for command in tree.commands:
        yield f"| `hybrid {command.path[0]}` | {command.summary} |"
    yield "\n```sh"
    for command in tree.commands:
        if command.path[0] in _SHOWN:
            yield from command.examples
    yield "```\n"


def _options(tree: CommandNode) -> Iterator[str]:
    for command in tree.commands:
        if command.path[0] not in _SHOWN:
            continue
        yield f"## Options of `hybrid {command.path[0]}`\n\n| option | does |\n|---|---|"
        for option in command.options:
            value = f" {option.metavar}" if option.metavar else ""
            yield f"| `{', '.join(option.names)}{_cell(value)}` | {_cell(option.help)} |"
        yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _codes() -> Iterator[str]:
    yield "## Exit codes\n\n| code | meaning |\n|---:|---|"
    for code, meaning in EXIT_CODES.items():
        yield f"| {code} | {meaning} |"
    yield ""


def _answer() -> Iterator[str]:
    yield "## The answer object of `--json`\n"
    for field in msgspec.structs.fields(Answer):
        below = getattr(field.type, "__struct_fields__", ())
        names = ", ".join(f"`{name.rstrip('_')}`" for name in below)
        yield f"- `{field.encode_name}`{': ' if names else ''}{names}"
    yield ""
