"""The command tree as data, read from the commands themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from hybrid_cli.help.topics import TOPICS
from hybrid_cli.ui.command_base import group_of

Kind = Literal["profile", "model", "catalog", "file", "words", "text"]
"""What a value is: a profile, a stored model, any known model, a file, one of some words, or free text."""


@dataclass(frozen=True)
class Parameter:
    """An option or an argument."""

    names: tuple[str, ...]
    """`--long` before `-s`; of an argument, its name in the help."""
    help: str
    kind: Kind | None
    """None for a switch."""
    metavar: str
    words: tuple[str, ...] = ()
    is_option: bool = True
    group: str = ""
    """The heading that it stands under."""

    @property
    def long(self) -> str:
        return self.names[0]


@dataclass(frozen=True)
class Command:
    """One command; a group has commands of its own."""

    path: tuple[str, ...]
    """What is typed after `hybrid`; empty for the root."""
    summary: str
    description: str
    options: tuple[Parameter, ...]
    arguments: tuple[Parameter, ...]
    examples: tuple[str, ...]
    usage: str
    commands: tuple[Command, ...] = ()

    def walk(self) -> list[Command]:
        """This command and all below it."""
        return [self, *(below for command in self.commands for below in command.walk())]


def read_tree(root: Any) -> Command:
    """The whole tree below the `root` command. It imports every command's module."""
    return _command(root, (), root.make_context("hybrid", [], resilient_parsing=True))


def _command(command: Any, path: tuple[str, ...], context: Any) -> Command:
    described = command.help or ""
    summary = context.parent.command.summaries[path[0]] if len(path) == 1 else described.split("\n\n")[0]
    parameters = [_parameter(one, path, context) for one in command.get_params(context)]
    names = command.list_commands(context) if hasattr(command, "list_commands") else []
    below = []
    for name in names:
        child = command.get_command(context, name)
        child_context = type(context)(child, info_name=name, parent=context)
        below.append(_command(child, (*path, name), child_context))
    return Command(
        path=path,
        summary=" ".join(summary.split()),
        description=described,
        options=tuple(one for one in parameters if one.is_option),
        arguments=tuple(one for one in parameters if not one.is_option),
        examples=tuple((command.epilog or "").splitlines()),
        usage=" ".join(command.collect_usage_pieces(context)),
        commands=tuple(below),
    )


def _parameter(parameter: Any, path: tuple[str, ...], context: Any) -> Parameter:
    is_option = parameter.param_type_name == "option"
    words = tuple(getattr(parameter.type, "choices", None) or ())
    if path == ("help",) and not is_option:
        words = (*TOPICS, *context.find_root().command.list_commands(context))
    metavar = parameter.metavar or "|".join(words) or parameter.make_metavar(context)
    switch = is_option and parameter.is_flag
    names = tuple(sorted(parameter.opts, key=len, reverse=True)) if is_option else (metavar,)
    return Parameter(
        names=names,
        help=" ".join((parameter.help or "").split()),
        kind=None if switch else _kind(parameter, path, metavar, words),
        metavar="" if switch else metavar,
        words=words,
        is_option=is_option,
        group=group_of(parameter),
    )


def _kind(parameter: Any, path: tuple[str, ...], metavar: str, words: tuple[str, ...]) -> Kind:
    if words:
        return "words"
    if parameter.name == "profile" or path == ("profile", "show"):
        return "profile"
    if path in (("pull",), ("models", "show")) and parameter.param_type_name == "argument":
        return "catalog"
    if parameter.name in ("model", "models") or path == ("models", "rm"):
        return "model"
    is_path = "Path" in type(parameter.type).__name__ or re.search(r"\b(FILE|PATH|SOURCE)\b", metavar)
    return "file" if is_path else "text"


def known_names() -> dict[str, list[str]]:
    """The names that come with the package: its profiles and the models of its catalog."""
    from hybrid_cli.profile.loader import shipped_folder
    from hybrid_cli.weights.catalog import shipped_catalog

    return {
        "profile": sorted(path.stem for path in shipped_folder().glob("*.yaml")),
        "catalog": list(shipped_catalog()),
    }
