"""What every command has: options in groups, examples, `--quiet` and `--color`, and hints for mistyped words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.suggest import nearest
from hybrid_cli.ui.terminal import ColorChoice
from hybrid_cli.ui.wrap import folded_choices, folded_command, page_width

EVERYWHERE = "Everywhere"
"""The group of the options that each command has."""
ARGUMENTS = "Arguments"
_WIDEST = 27
"""Columns of the longest option that has its help beside it."""
_BESIDE = 60
"""Columns of the narrowest terminal with room beside options; else their help stands below them, so far in:"""
_BELOW = 4


_COLOURS: tuple[ColorChoice, ...] = ("auto", "always", "never")


class Color(str, Enum):
    auto = "auto"
    always = "always"
    never = "never"


def _quieten(context: typer.Context, wanted: bool) -> None:
    if wanted and context.obj is not None:
        context.obj.environment.verbosity = -1


def colour_of(arguments: Sequence[str]) -> ColorChoice:
    """What --color says, wherever it stands; read before the parser, whose errors are coloured by it, too."""
    chosen: ColorChoice = "auto"
    for number, word in enumerate(arguments):
        if word == "--":
            break
        name, equals, value = word.partition("=")
        value = value if equals else "".join(arguments[number + 1 : number + 2])
        if name == "--color":
            chosen = next((choice for choice in _COLOURS if choice == value), chosen)
    return chosen


def _everywhere(
    _quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q", callback=_quieten, help="Only errors on stderr.", rich_help_panel=EVERYWHERE
        ),
    ] = False,
    _color: Annotated[
        Color | None,
        typer.Option(
            "--color",
            help="By default on terminals; NO_COLOR and FORCE_COLOR are heard.",
            rich_help_panel=EVERYWHERE,
        ),
    ] = None,
) -> None:
    """The options that may stand before and after each command's name."""


def _options_everywhere() -> list[Any]:
    holder = typer.Typer(add_completion=False)
    holder.command()(_everywhere)
    options = typer.main.get_command(holder).params
    for option in options:
        option.expose_value = False
    return options


class _Shaped:
    """What Command and Group share. `epilog` holds examples, one a line."""

    params: list[Any]
    epilog: str | None

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        try:
            return super().parse_args(ctx, args)  # type: ignore[misc]
        except TyperException as error:
            if getattr(error, "ctx", None) is None:  # the parser does not say whose option it is
                error.ctx = ctx  # type: ignore[attr-defined]
            raise

    def format_options(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {ARGUMENTS: []}  # first
        for parameter in self.get_params(ctx):  # type: ignore[attr-defined]
            record = parameter.get_help_record(ctx)
            if record is not None:
                spelled, told = record
                told = re.sub(r"([^\s\[]+)<=x<=([^\s\];]+)", r"\1 to \2", told)
                told = re.sub(r"x>=([^\s\];]+)", r"from \1", told)
                groups.setdefault(group_of(parameter), []).append((spelled, told))
        groups |= {EVERYWHERE: groups.pop(EVERYWHERE)}  # last
        width = min(_WIDEST, max(len(name) for records in groups.values() for name, _help in records))
        if formatter.width < _BESIDE:
            width = _BELOW
        room = formatter.width - 2
        for name, records in groups.items():
            if not records:
                continue
            with formatter.section(name):
                rows = [(folded_choices(spelled, room).ljust(width), told) for spelled, told in records]
                formatter.write_dl(rows, width)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        pieces: list[str] = super().collect_usage_pieces(ctx)  # type: ignore[misc]
        return [piece.strip("{}") for piece in pieces]

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        if self.epilog:
            with formatter.section("Examples"):
                for example in self.epilog.splitlines():
                    first, *more = folded_command(example, formatter.width - 4)
                    formatter.write(
                        "".join(f"{line}\n" for line in (f"  {first}", *(f"    {line}" for line in more)))
                    )

    def get_help(self, ctx: Any) -> str:
        ctx.terminal_width = page_width()
        text: str = super().get_help(ctx)  # type: ignore[misc]
        environment = getattr(ctx.obj, "environment", None)
        if environment is None or not environment.colours(environment.stdout):
            return text
        context: Any = ctx
        context.color = True  # or echo would take it out again
        return re.sub(r"^(Usage|[A-Z][\w ]*)(?=:( |$))", "\x1b[1m\\1\x1b[0m", text, flags=re.MULTILINE)


def group_of(parameter: Any) -> str:
    """The heading under which the help lists an option or an argument; "" for an option without one."""
    if parameter.param_type_name == "argument":
        return ARGUMENTS
    if parameter.name == "help":
        return EVERYWHERE
    return parameter.rich_help_panel or ""


class Command(_Shaped, TyperCommand):
    """A command as the help shows it."""

    def __init__(self, name: str | None, **settings: Any) -> None:
        super().__init__(name, **settings)
        self.params = [*self.params, *_options_everywhere()]


class Group(_Shaped, TyperGroup):
    """A group of commands as the help shows it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.params = [*self.params, *_options_everywhere()]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rows = []
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            rows.append((name, command.help.split("\n\n")[0]))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        names = self.list_commands(ctx)
        if args[0] not in names and not args[0].startswith("-"):
            told = f"there is no command `{' '.join([*ctx.command_path.split()[1:], args[0]])}`"
            near = hint(args[0], names, ctx.command_path)
            if " " in args[0] and "run" in names:
                near = "a prompt stands behind `hybrid run`"
            raise Failure(ExitStatus.USAGE, f"{told}; {near}")
        return super().resolve_command(ctx, args)


class App(typer.Typer):
    """A Typer whose commands say how they are used."""

    def __init__(self, *, examples: Sequence[str] = (), **settings: Any) -> None:
        """`examples` are those of a group; an app of one command has none of its own."""
        super().__init__(epilog="\n".join(examples) or None, **settings)

    def command(  # type: ignore[override]
        self, name: str | None = None, *, examples: Sequence[str], **settings: Any
    ) -> Callable[[Any], Any]:
        """As Typer's own, with command lines that show the command at work: two at least."""
        return super().command(name, cls=Command, epilog="\n".join(examples), **settings)


def hint(word: str, known: Iterable[str], command: str) -> str:
    """What to say after a word that nothing is called: the nearest, or where to look."""
    close = nearest(word, known)
    return f"did you mean `{close}`?" if close else f"see {command} --help"


def usage_failure(error: TyperException) -> Failure:
    """Wrong usage, in this program's words."""
    context: Any = getattr(error, "ctx", None)
    path = "hybrid" if context is None else context.command_path
    command = path.removeprefix("hybrid ")
    parameter: Any = getattr(error, "param", None)
    message: str = getattr(error, "message", "") or ""
    see = f"see {path} --help"
    choices = list(getattr(getattr(parameter, "type", None), "choices", None) or ())
    if type(error).__name__ == "NoSuchOption":
        name: str = error.option_name  # type: ignore[attr-defined]
        known = [spelled for option in context.command.get_params(context) for spelled in option.opts]
        told = f"{command} has no option `{name}`; {hint(name, known, path)}"
    elif type(error).__name__ == "BadOptionUsage" and (lacking := _lacking_value(error, context)):
        told = f"{lacking}; {see}"
    elif type(error).__name__ == "MissingParameter":
        is_option = parameter.param_type_name == "option"
        needed = parameter.opts[0] if is_option else parameter.metavar or parameter.name.upper()
        told = f"{command} needs {needed}; {see}"
    elif choices and (chosen := re.match(r"'(.*)' is not one of", message, re.DOTALL)):
        subject = parameter.opts[0] if parameter.param_type_name == "option" else command
        told = f"{subject} takes no `{chosen[1]}`; {hint(chosen[1], choices, path)}"
        told = told.replace(see, f"it takes {', '.join(choices)}")
    elif message.startswith("Missing command"):
        told = f"{command} needs a command: {', '.join(context.command.list_commands(context))}; {see}"
    elif extra := re.match(r"Got unexpected extra argument\(s\) \((.*)\)", message, re.DOTALL):
        told = f"{command} has no use for `{extra[1]}`; words that belong together need quotes"
    else:
        told = re.sub(r"'([^']*)'", r"`\1`", error.format_message().rstrip(".")) or "it cannot be read"
        told = f"{told[0].lower()}{told[1:]}; {see}"
    return Failure(ExitStatus.USAGE, told)


def _lacking_value(error: TyperException, context: Any) -> str | None:
    """What to say where an option stands without its value; None where something else is wrong with it."""
    name: str = error.option_name  # type: ignore[attr-defined]
    for option in context.command.get_params(context):
        if name in option.opts and not option.is_flag:
            return f"{name} needs a value: {option.metavar or '|'.join(option.type.choices)}"
    return None
