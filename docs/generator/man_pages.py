"""Manual pages in man(7)'s macros: `hybrid.1`, and one a command."""

from __future__ import annotations

from collections.abc import Iterable

from hybrid_cli.exit_status import ExitStatus
from hybrid_cli.help.command_tree import Command, Parameter
from hybrid_cli.help.topics import FILES, VARIABLES
from hybrid_cli.ui.command_base import EVERYWHERE


def pages(root: Command) -> dict[str, str]:
    """Each page's text by its file's name."""
    made = {"hybrid.1": _page("hybrid", root, [*_commands(root.commands), *_common(root.commands)])}
    for command in root.commands:
        name = f"hybrid-{command.path[0]}"
        made[f"{name}.1"] = _page(name, command, [*_below(command), *_common(())])
    return made


def _page(name: str, command: Command, more: list[str]) -> str:
    lines = [
        '.\\" Made of the command tree by: python docs/generator',
        f'.TH "{name.upper()}" "1" "" "hybrid" "User Commands"',
        ".SH NAME",
        f"{_text(name, dashes=True)} \\- {_text(command.summary.rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {_text(' '.join(('hybrid', *command.path)), dashes=True)}",
        _text(command.usage),
        ".SH DESCRIPTION",
        *_paragraphs(command.description),
        *_arguments(command.arguments),
        *_options(command.options),
        *_examples(".SH EXAMPLES", command.examples),
    ]
    return "\n".join([*lines, *more]) + "\n"


def _text(text: str, *, dashes: bool = False) -> str:
    """`text` with what roff would read as its own escaped."""
    text = text.replace("\\", "\\e").replace("'", "\\(aq").replace("`", "\\(ga").replace("^", "\\(ha")
    text = text.replace("~", "\\(ti")
    if dashes:
        text = text.replace("-", "\\-")
    return f"\\&{text}" if text.startswith(".") else text


def _paragraphs(text: str) -> Iterable[str]:
    for number, paragraph in enumerate(text.strip().split("\n\n")):
        if number:
            yield ".PP"
        yield _text(" ".join(paragraph.split()))


def _arguments(arguments: tuple[Parameter, ...]) -> Iterable[str]:
    if arguments:
        yield ".SH ARGUMENTS"
    for one in arguments:
        yield from _listed(one)


def _options(options: tuple[Parameter, ...]) -> Iterable[str]:
    yield ".SH OPTIONS"
    for group in sorted(dict.fromkeys(one.group for one in options), key=EVERYWHERE.__eq__):
        yield f".SS {_text(group)}"
        for one in options:
            if one.group == group:
                yield from _listed(one)


def _listed(one: Parameter) -> Iterable[str]:
    yield ".TP"
    names = ", ".join(f"\\fB{_text(name, dashes=one.is_option)}\\fR" for name in reversed(one.names))
    yield names + (f" \\fI{_text(one.metavar)}\\fR" if one.is_option and one.metavar else "")
    yield _text(one.help) or "."


def _examples(heading: str, examples: tuple[str, ...]) -> Iterable[str]:
    if examples:
        yield from (heading, ".nf")
        yield from (_text(line, dashes=True) for line in examples)
        yield ".fi"


def _below(command: Command) -> Iterable[str]:
    """The commands of a group, each with its options."""
    for number, one in enumerate(command.commands):
        if number == 0:
            yield ".SH COMMANDS"
        yield f".SS {_text(' '.join(('hybrid', *one.path)), dashes=True)} {_text(one.usage)}"
        yield from _paragraphs(one.description)
        for parameter in (*one.arguments, *one.options):
            if parameter.group != EVERYWHERE:
                yield from _listed(parameter)
        yield from _examples(".PP", one.examples)


def _commands(commands: tuple[Command, ...]) -> Iterable[str]:
    yield ".SH COMMANDS"
    for one in commands:
        yield from (".TP", f"\\fBhybrid\\-{one.path[0]}\\fR(1)", _text(one.summary))


def _common(commands: tuple[Command, ...]) -> Iterable[str]:
    for title, table in (("FILES", FILES), ("ENVIRONMENT", VARIABLES)):
        yield f".SH {title}"
        for name, meaning in table.items():
            yield from (".TP", f"\\fB{_text(name, dashes=True)}\\fR", _text(meaning))
    yield ".SH EXIT STATUS"
    for status in ExitStatus:
        yield from (".TP", f"\\fB{status.value}\\fR", _text(status.meaning))
    yield ".SH SEE ALSO"
    others = [f"\\fBhybrid\\-{one.path[0]}\\fR(1)" for one in commands] or ["\\fBhybrid\\fR(1)"]
    yield ",\n".join(others)
