"""Usage errors: the parser's errors as messages that name the mistake and suggest a correction."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from typer.exceptions import TyperException

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.suggest import nearest

_UNITS = {"SECONDS": " seconds"}
"""Unit of a range, by the option's metavar."""


def hint(name: str, known: Iterable[str], command: str) -> str:
    """Return the end of a message about an unknown name: the nearest known one, or where to look."""
    close = nearest(name, known)
    return f"did you mean `{close}`?" if close else f"see {command} --help"


def unknown_command(name: str, known: Sequence[str], command_path: str) -> Failure:
    """Return the usage error for an unknown command, which may be a prompt without `hybrid run`."""
    suggestion = hint(name, known, command_path)
    if " " in name and "run" in known:
        suggestion = 'to ask a question: hybrid run "..."'
    path = " ".join([*command_path.split()[1:], name])
    return Failure(ExitStatus.USAGE, f"no command `{path}`; {suggestion}")


def usage_failure(error: TyperException) -> Failure:
    """Return the parser's error as a usage error."""
    context: Any = getattr(error, "ctx", None)
    path = "hybrid" if context is None else context.command_path
    describe = {
        "NoSuchOption": _unknown_option,
        "BadOptionUsage": _option_without_value,
        "MissingParameter": _missing_parameter,
        "BadParameter": _bad_value,
    }.get(type(error).__name__, _other_error)
    return Failure(ExitStatus.USAGE, describe(error, context, path))


def _unknown_option(error: Any, context: Any, path: str) -> str:
    if " " in error.option_name:
        return f'text that begins with a dash looks like an option; put -- before it: {path} -- "- ..."'
    known = [name for option in context.command.get_params(context) for name in option.opts]
    return f"{_command(path)} has no option `{error.option_name}`; {hint(error.option_name, known, path)}"


def _option_without_value(error: Any, context: Any, path: str) -> str:
    for option in context.command.get_params(context):
        if error.option_name in option.opts and not option.is_flag:
            expected = option.metavar or "|".join(option.type.choices)
            return f"{error.option_name} needs a value: {expected}; see {path} --help"
    return _other_error(error, context, path)


def _missing_parameter(error: Any, context: Any, path: str) -> str:  # noqa: ARG001
    return f"{_command(path)} needs {_name(error.param)}; see {path} --help"


def _bad_value(error: Any, context: Any, path: str) -> str:
    parameter = error.param
    if parameter is None:
        return _other_error(error, context, path)
    name = _name(parameter)
    choices = list(getattr(parameter.type, "choices", None) or ())
    chosen = re.match(r"'(.*)' is not one of", error.message, re.DOTALL)
    if choices and chosen:
        close = nearest(chosen[1], choices)
        suggestion = f"did you mean `{close}`?" if close else f"choose {_alternatives(choices)}"
        return f"{name} cannot be `{chosen[1]}`; {suggestion}"
    requirement = _range(parameter) or error.message.rstrip(".")
    return f"{name} {requirement}; see {path} --help"


def _range(parameter: Any) -> str | None:
    """Return the requirement of a numeric option, such as `must be between 0 and 5`; None for others."""
    least, most = getattr(parameter.type, "min", None), getattr(parameter.type, "max", None)
    if least is None:
        return None
    number = "a whole number " if "int" in parameter.type.name else ""
    unit = _UNITS.get(parameter.metavar, "")
    bounds = f"of at least {least}" if most is None else f"between {least} and {most}"
    return f"must be {number}{bounds}{unit}"


def _other_error(error: Any, context: Any, path: str) -> str:
    message: str = getattr(error, "message", "") or ""
    if message.startswith("Missing command"):
        commands = ", ".join(context.command.list_commands(context))
        return f"{_command(path)} needs a command: {commands}; see {path} --help"
    if extra := re.match(r"Got unexpected extra argument\(s\) \((.*)\)", message, re.DOTALL):
        return f"unexpected argument `{extra[1]}`; quote arguments that contain spaces"
    message = re.sub(r"'([^']*)'", r"`\1`", error.format_message().rstrip(".")) or "invalid usage"
    return f"{message[0].lower()}{message[1:]}; see {path} --help"


def _command(path: str) -> str:
    """Return the command as typed after `hybrid`, or `hybrid` itself."""
    return path.removeprefix("hybrid ")


def _name(parameter: Any) -> str:
    is_option = parameter.param_type_name == "option"
    name: str = parameter.opts[0] if is_option else parameter.metavar or parameter.name.upper()
    return name


def _alternatives(choices: Sequence[str]) -> str:
    *others, last = choices
    return f"{', '.join(others)} or {last}" if others else last
