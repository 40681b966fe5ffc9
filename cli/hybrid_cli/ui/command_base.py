"""Base classes of all commands: help in option groups with examples, and the global options."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from hybrid_cli.ui.terminal import ColorChoice
from hybrid_cli.ui.usage_errors import unknown_command
from hybrid_cli.ui.wrap import page_width, wrap_choices, wrap_command

GLOBAL_OPTIONS = "Global options"
"""Heading of the options that every command has."""
ARGUMENTS = "Arguments"

_MAX_NAME_COLUMNS = 27
"""Widest option that has its help beside it; help of a wider one starts on the next line."""
_MIN_COLUMNS_FOR_TWO = 60
"""On a narrower terminal, help is printed below the options."""
_HELP_INDENT = 4


def _set_quiet(context: typer.Context, wanted: bool) -> None:
    if wanted and context.obj is not None:
        context.obj.environment.verbosity = -1


def color_choice(arguments: Sequence[str]) -> ColorChoice:
    """Return the value of --color anywhere in `arguments`.

    It is read before parsing, because parser errors are coloured, too.
    """
    chosen: ColorChoice = "auto"
    choices: tuple[ColorChoice, ...] = get_args(ColorChoice)
    for number, argument in enumerate(arguments):
        if argument == "--":
            break
        name, equals, value = argument.partition("=")
        value = value if equals else "".join(arguments[number + 1 : number + 2])
        if name == "--color":
            chosen = next((choice for choice in choices if choice == value), chosen)
    return chosen


def _declare_global_options(
    _quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            callback=_set_quiet,
            help="Print only errors on stderr.",
            rich_help_panel=GLOBAL_OPTIONS,
        ),
    ] = False,
    _color: Annotated[
        ColorChoice | None,
        typer.Option(
            "--color",
            help="Use colour. Default: on terminals only; NO_COLOR and FORCE_COLOR are respected.",
            rich_help_panel=GLOBAL_OPTIONS,
        ),
    ] = None,
) -> None:
    """Carry the declarations; Typer reads options from the signature of a function."""


def _global_options() -> list[Any]:
    app = typer.Typer(add_completion=False)
    app.command()(_declare_global_options)
    options = typer.main.get_command(app).params
    for option in options:
        option.expose_value = False
    return options


class _HelpLayout:
    """The help layout shared by Command and Group. `epilog` holds the examples, one per line."""

    params: list[Any]
    epilog: str | None

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        try:
            return super().parse_args(ctx, args)  # type: ignore[misc]
        except TyperException as error:
            if getattr(error, "ctx", None) is None:  # the parser does not say which command failed
                error.ctx = ctx  # type: ignore[attr-defined]
            raise

    def format_options(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {ARGUMENTS: []}  # first
        for parameter in self.get_params(ctx):  # type: ignore[attr-defined]
            record = help_record(parameter, ctx)
            if record is not None:
                groups.setdefault(group_of(parameter), []).append(record)
        groups |= {GLOBAL_OPTIONS: groups.pop(GLOBAL_OPTIONS)}  # last
        columns = min(_MAX_NAME_COLUMNS, max(len(name) for records in groups.values() for name, _ in records))
        if formatter.width < _MIN_COLUMNS_FOR_TWO:
            columns = _HELP_INDENT
        for heading, records in groups.items():
            if not records:
                continue
            with formatter.section(heading):
                rows = [
                    (wrap_choices(name, formatter.width - 2).ljust(columns), help_text)
                    for name, help_text in records
                ]
                formatter.write_dl(rows, columns)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        pieces: list[str] = super().collect_usage_pieces(ctx)  # type: ignore[misc]
        return [piece.strip("{}") for piece in pieces]

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        if self.epilog:
            with formatter.section("Examples"):
                for example in self.epilog.splitlines():
                    first, *more = wrap_command(example, formatter.width - 4)
                    formatter.write(
                        "".join(f"{line}\n" for line in (f"  {first}", *(f"    {line}" for line in more)))
                    )

    def get_help(self, ctx: Any) -> str:
        ctx.terminal_width = page_width()
        text: str = super().get_help(ctx)  # type: ignore[misc]
        environment = getattr(ctx.obj, "environment", None)
        if environment is None or not environment.uses_colour(environment.stdout):
            return text
        context: Any = ctx
        context.color = True  # else `echo` would strip the styles
        return re.sub(r"^(Usage|[A-Z][\w ]*)(?=:( |$))", "\x1b[1m\\1\x1b[0m", text, flags=re.MULTILINE)


def help_record(parameter: Any, ctx: Any) -> tuple[str, str] | None:
    """Return an option or argument as help spells it, and its help; None for a hidden one.

    Typer's brackets are put in words: `[0<=x<=5]` becomes `[0 to 5]`, `[x>=1]` becomes `[at least 1]`.
    """
    record = parameter.get_help_record(ctx)
    if record is None:
        return None
    name, help_text = record
    help_text = re.sub(r"([^\s\[]+)<=x<=([^\s\];]+)", r"\1 to \2", help_text)
    help_text = re.sub(r"x>=([^\s\];]+)", r"at least \1", help_text)
    return name, re.sub(r"\[default: \((.*?)\)", r"[default: \1", help_text)


def group_of(parameter: Any) -> str:
    """Return the heading of an option or argument in help; "" for an option without a group."""
    if parameter.param_type_name == "argument":
        return ARGUMENTS
    if parameter.name == "help":
        return GLOBAL_OPTIONS
    return parameter.rich_help_panel or ""


class Command(_HelpLayout, TyperCommand):
    """A command with the global options."""

    def __init__(self, name: str | None, **settings: Any) -> None:
        super().__init__(name, **settings)
        self.params = [*self.params, *_global_options()]


class Group(_HelpLayout, TyperGroup):
    """A group of commands with the global options."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.params = [*self.params, *_global_options()]

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
            raise unknown_command(args[0], names, ctx.command_path)
        return super().resolve_command(ctx, args)


class App(typer.Typer):
    """A Typer app whose commands carry examples."""

    def __init__(self, *, examples: Sequence[str] = (), **settings: Any) -> None:
        """Create the app; `examples` are those of a group, so an app with one command has none."""
        super().__init__(epilog="\n".join(examples) or None, **settings)

    def command(  # type: ignore[override]
        self, name: str | None = None, *, examples: Sequence[str], **settings: Any
    ) -> Callable[[Any], Any]:
        """Register a command with at least two example command lines."""
        return super().command(name, cls=Command, epilog="\n".join(examples), **settings)
