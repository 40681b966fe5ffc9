"""The command tree as data, for man pages, completion scripts and tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from hybrid_cli.help.topics import TOPICS
from hybrid_cli.ui.command_base import group_of, help_record

Kind = Literal["profile", "template", "model", "catalog", "file", "choice", "text"]
"""Values to complete: a profile, a prompt template, a stored model, a stored or catalog model, a file, a fixed choice, free text."""


@dataclass(frozen=True)
class Parameter:
    """An option or an argument."""

    names: tuple[str, ...]
    """An option's names, the long one first; an argument's name in help."""
    help: str
    details: str
    """Default and range in brackets, as in help."""
    kind: Kind | None
    """None for a flag."""
    metavar: str
    choices: tuple[str, ...] = ()
    is_option: bool = True
    is_repeatable: bool = False
    group: str = ""
    """Its heading in help."""

    @property
    def long(self) -> str:
        return self.names[0]


@dataclass(frozen=True)
class CommandNode:
    """A command or a group of commands."""

    path: tuple[str, ...]
    """Its names after `hybrid`; empty for the root."""
    summary: str
    description: str
    options: tuple[Parameter, ...]
    arguments: tuple[Parameter, ...]
    examples: tuple[str, ...]
    usage: str
    commands: tuple[CommandNode, ...] = ()

    def walk(self) -> list[CommandNode]:
        """Return this command and all commands below it."""
        return [self, *(below for command in self.commands for below in command.walk())]


def read_tree(root: Any) -> CommandNode:
    """Return the whole tree from the `root` command. This imports the module of every command."""
    return _command(root, (), root.make_context("hybrid", [], resilient_parsing=True))


def _command(command: Any, path: tuple[str, ...], context: Any) -> CommandNode:
    description = command.help or ""
    summary = context.parent.command.summaries[path[0]] if len(path) == 1 else description.split("\n\n")[0]
    parameters = [
        parameter for one in command.get_params(context) for parameter in _parameters(one, path, context)
    ]
    names = command.list_commands(context) if hasattr(command, "list_commands") else []
    below = []
    for name in names:
        child = command.get_command(context, name)
        child_context = type(context)(child, info_name=name, parent=context)
        below.append(_command(child, (*path, name), child_context))
    return CommandNode(
        path=path,
        summary=" ".join(summary.split()),
        description=description,
        options=tuple(one for one in parameters if one.is_option),
        arguments=tuple(one for one in parameters if not one.is_option),
        examples=tuple((command.epilog or "").splitlines()),
        usage=" ".join(command.collect_usage_pieces(context)),
        commands=tuple(below),
    )


def _parameters(parameter: Any, path: tuple[str, ...], context: Any) -> Iterator[Parameter]:
    """Yield the parameter, and its opposite: `--no-think` for `--think`."""
    found = _parameter(parameter, path, context)
    yield found
    if found.is_option and parameter.secondary_opts:
        yield replace(found, names=tuple(parameter.secondary_opts))


def _parameter(parameter: Any, path: tuple[str, ...], context: Any) -> Parameter:
    is_option = parameter.param_type_name == "option"
    choices = tuple(getattr(parameter.type, "choices", None) or ())
    if path == ("help",) and not is_option:
        choices = (*TOPICS, *context.find_root().command.list_commands(context))
    metavar = parameter.metavar or "|".join(choices) or parameter.make_metavar(context)
    is_flag = is_option and parameter.is_flag
    names = tuple(sorted(parameter.opts, key=len, reverse=True)) if is_option else (metavar,)
    help_text = " ".join((parameter.help or "").split())
    _name, with_details = help_record(parameter, context) or ("", help_text)
    return Parameter(
        names=names,
        help=help_text,
        details=with_details.removeprefix(help_text).strip(),
        kind=None if is_flag else _kind(parameter, path, metavar, choices),
        metavar="" if is_flag else metavar,
        choices=choices,
        is_option=is_option,
        is_repeatable=is_option and parameter.multiple,
        group=group_of(parameter),
    )


def _kind(parameter: Any, path: tuple[str, ...], metavar: str, choices: tuple[str, ...]) -> Kind:
    if choices:
        return "choice"
    if parameter.name == "profile" or path == ("profile", "show"):
        return "profile"
    if "--prompt-template" in parameter.opts or path in (("templates", "show"), ("templates", "edit")):
        return "template"
    if path in (("pull",), ("models", "show")) and parameter.param_type_name == "argument":
        return "catalog"
    if parameter.name in ("model", "models") or path == ("models", "rm"):
        return "model"
    is_path = "Path" in type(parameter.type).__name__ or re.search(r"\b(FILE|PATH|SOURCE)\b", metavar)
    return "file" if is_path else "text"


def known_names() -> dict[str, list[str]]:
    """Return the names that the package ships: profiles and catalog models."""
    from hybrid_cli.profile.loader import shipped_folder
    from hybrid_cli.weights.catalog import shipped_catalog

    return {
        "profile": sorted(path.stem for path in shipped_folder().glob("*.yaml")),
        "catalog": list(shipped_catalog()),
    }
