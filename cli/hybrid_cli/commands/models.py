"""`hybrid models`: manage the stored models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import OPTIONS, AsJson
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.sanitize import one_line

if TYPE_CHECKING:
    from hybrid_cli.ui.environment import Environment
    from hybrid_cli.weights.store import Store

app = new_app(
    help="Manage the models on this machine.",
    examples=(
        "hybrid models ls --all",
        "hybrid models verify",
    ),
)


@app.command(
    "ls",
    examples=(
        "hybrid models ls",
        "hybrid models ls --all",
    ),
)
def list_models(
    context: typer.Context,
    every: Annotated[
        bool,
        typer.Option(
            "--all", help="Include catalog models that are not downloaded.", rich_help_panel=OPTIONS
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the stored models. The default model is marked with *.

    With --all, the speed of a model is an estimate from the memory bandwidth of this machine.
    """
    from hybrid_cli.profile.default_model import default_model
    from hybrid_cli.ui.table import table_lines
    from hybrid_cli.weights.models import describe
    from hybrid_cli.weights.store import Store

    invocation: Invocation = context.obj
    store = Store(invocation.environment)
    models = [describe(manifest, store, invocation.environment) for manifest in store.manifests()]
    damaged = store.damaged()
    if as_json:
        for name, problem in damaged.items():
            invocation.environment.error(f"{name}: {problem}")
        invocation.environment.print_json(models)
        return
    default = default_model(invocation.environment)
    rows: list[tuple[str, ...]] = [
        (
            model["name"],
            "*" if model["name"] == default else "",
            _megabytes(model["size"]),
            model["licence"],
            _last_used(model["last_used"]),
        )
        for model in models
    ]
    rows += [(name, "", "?", "?", problem) for name, problem in damaged.items()]
    header = ["NAME", "*", "SIZE", "LICENCE", "STATUS"]
    if every:
        rows, header = _with_catalog(rows, invocation.environment), [*header[:4], "HERE", header[4]]
    if not rows:
        invocation.environment.note("no models; run: hybrid pull")
    invocation.environment.print_lines(*table_lines(rows, invocation.environment, right=[2], header=header))


def _with_catalog(rows: list[tuple[str, ...]], environment: Environment) -> list[tuple[str, ...]]:
    """Return `rows` and those of the catalog's other models, each with what it does on this machine."""
    from hybrid_cli.weights.capacity import fit
    from hybrid_cli.weights.catalog import catalog
    from hybrid_cli.weights.speed import measure_bandwidth

    entries, bandwidth = catalog(environment), measure_bandwidth()
    stored = {row[0] for row in rows}
    fits = {
        name: fit(entry, environment, bandwidth, is_stored=name in stored) for name, entry in entries.items()
    }
    others = [
        (name, "", _megabytes(entry.size), entry.licence, fits[name], f"not downloaded: {entry.summary}")
        for name, entry in entries.items()
        if name not in stored
    ]
    return [*((*row[:4], fits.get(row[0], ""), *row[4:]) for row in rows), *others]


@app.command(
    examples=(
        "hybrid models default",
        "hybrid models default qwen2.5-coder-1.5b",
    ),
)
def default(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The stored model to choose.", show_default=False)
    ] = None,
) -> None:
    """Choose the default model, which every profile with `local.model: default` uses; without NAME, print it.

    Until one is chosen, the default is the first model that was pulled.
    """
    from hybrid_cli.profile.default_model import choose_model, default_model
    from hybrid_cli.weights.store import Store

    environment: Environment = context.obj.environment
    if name is None:
        found = default_model(environment)
        if found is None:
            raise Failure(ExitStatus.WEIGHTS, "no model is downloaded yet; run: hybrid pull")
        environment.print_lines(one_line(found))
        return
    Store(environment).find(name)
    choose_model(name, environment)
    environment.note(f"the default model is {name}")


@app.command(
    examples=(
        "hybrid models show qwen3-4b",
        "hybrid models show smollm2-135m --json",
    ),
)
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A stored or catalog model.")],
    as_json: AsJson = False,
) -> None:
    """Show details of a model."""
    from hybrid_cli.weights.models import catalog_facts, describe
    from hybrid_cli.weights.store import Store

    invocation: Invocation = context.obj
    store = Store(invocation.environment)
    facts = catalog_facts(name, invocation.environment)
    manifest = store.manifest(name)
    if manifest is None and (as_json or not facts):
        manifest = store.find(name)
    if manifest is not None:
        facts = {**describe(manifest, store, invocation.environment), **facts}
    if as_json:
        invocation.environment.print_json(facts)
        return
    for key, value in facts.items():
        if value not in (None, [], ""):
            invocation.environment.print_lines(
                one_line(f"{key}: {value if isinstance(value, str) else json.dumps(value)}")
            )


@app.command(
    examples=(
        "hybrid models verify",
        "hybrid models verify --accept ~/models/mine.gguf",
    ),
)
def verify(
    context: typer.Context,
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME|PATH]...",
            help="Models or files to verify. [default: every stored model]",
            show_default=False,
        ),
    ] = None,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept",
            help="Trust the current contents of each PATH.",
            rich_help_panel=OPTIONS,
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Verify the checksums of models; exit with 6 if one differs."""
    from hybrid_cli.weights.store import Store

    invocation: Invocation = context.obj
    environment = invocation.environment
    store = Store(environment)
    found = []
    for model in models or store.names():
        one = _verified(model, store, accept=accept)
        found.append(one)
        if one["message"]:
            environment.error(one["message"])
        elif not as_json and environment.verbosity >= 0:
            environment.print_lines(f"{one_line(model)}: verified")
    if as_json:
        environment.print_json(found)
    failed = sum(not one["verified"] for one in found)
    if failed:
        raise Failure(ExitStatus.WEIGHTS, f"{failed} of {len(found)} models failed verification")


def _verified(model: str, store: Store, *, accept: bool) -> dict[str, Any]:
    """Verify a model; return the result as `models verify --json` prints it."""
    from hybrid_cli.weights.names import path_of

    try:
        path = path_of(model)
        if path is None:
            store.verify(store.find(model), afresh=True)
        elif accept:
            store.path_records.accept(path)
        else:
            store.path_records.verify(path, "any", afresh=True)
    except Failure as failure:
        if failure.status is not ExitStatus.WEIGHTS:
            raise
        return {"name": model, "verified": False, "message": str(failure)}
    return {"name": model, "verified": True, "message": None}


@app.command(
    "import",
    examples=(
        "hybrid models import ~/Downloads/model.gguf --name mine",
        "hybrid models import ~/models/llama3.gguf --link",
    ),
)
def import_model(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A GGUF file (any shard of a split model), or ollama:NAME."),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="Store the model under this name.", rich_help_panel=OPTIONS
        ),
    ] = None,
    link: Annotated[
        bool, typer.Option("--link", help="Link to the file instead of copying it.", rich_help_panel=OPTIONS)
    ] = False,
) -> None:
    """Import a model file, or a model of Ollama, into the store."""
    from hybrid_cli.cascade.measured_layouts import measure_stored
    from hybrid_cli.weights.names import check_name, path_of
    from hybrid_cli.weights.pull import pull_source
    from hybrid_cli.weights.reporter import Reporter
    from hybrid_cli.weights.sources import FileSource, parse_source

    invocation: Invocation = context.obj
    if name is not None:
        check_name(name)
    found = (
        parse_source(source)
        if source.startswith("ollama:")
        else FileSource(path_of(source) or Path(source), link)
    )
    if found is None:
        raise AssertionError("ollama: is a source")
    stored = pull_source(found, name, Reporter(invocation.environment, as_json=False))
    measure_stored(stored, invocation.environment)


@app.command(
    examples=(
        "hybrid models rm qwen3-4b",
        "hybrid models rm smollm2-135m --force",
    ),
)
def rm(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Models to remove.")],
    force: Annotated[
        bool,
        typer.Option(
            "--force", "-f", help="Remove models that a profile uses, too.", rich_help_panel=OPTIONS
        ),
    ] = False,
) -> None:
    """Remove stored models. Models used by a profile are kept unless --force is given."""
    from hybrid_cli.weights.models import remove

    invocation: Invocation = context.obj
    freed = remove(names, force=force, environment=invocation.environment)
    invocation.environment.note(f"removed {', '.join(names)}; freed {_megabytes(freed)}")


@app.command(
    examples=(
        "hybrid models prune",
        "hybrid models rm qwen3-4b && hybrid models prune",
    ),
)
def prune(context: typer.Context) -> None:
    """Delete unfinished downloads, and files that no model uses."""
    from hybrid_cli.weights.models import prune as prune_store

    invocation: Invocation = context.obj
    invocation.environment.note(f"freed {_megabytes(prune_store(invocation.environment))}")


@app.command(
    examples=(
        "hybrid models ps",
        "hybrid models ps --json",
    ),
)
def ps(context: typer.Context, as_json: AsJson = False) -> None:
    """List the models that are kept loaded (`local.keep_alive`, --keep-alive)."""
    from hybrid_cli.cascade.warm_models import loaded_models
    from hybrid_cli.ui.table import table_lines

    environment: Environment = context.obj.environment
    models = loaded_models(environment)
    if as_json:
        environment.print_json(models)
    elif not models:
        environment.note("no model is loaded; to keep one: hybrid run --keep-alive 5m")
    else:
        rows = [
            (
                one["name"],
                str(one["pid"]),
                _megabytes(one["memory"]),
                str(one["callers"]),
                f"{one['idle_seconds']:.0f} s",
                "forever" if one["keep_seconds"] is None else f"{one['keep_seconds']:.0f} s",
            )
            for one in models
        ]
        header = ["NAME", "PID", "MEMORY", "CALLERS", "IDLE", "KEPT"]
        environment.print_lines(*table_lines(rows, environment, right=[1, 2, 3, 4, 5], header=header))


@app.command(
    examples=(
        "hybrid models unload",
        "hybrid models unload qwen2.5-coder-1.5b",
    ),
)
def unload(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|PATH]", help="Unload only this model. [default: all]", show_default=False
        ),
    ] = None,
) -> None:
    """Unload the models that are kept loaded, even if other commands use them."""
    from hybrid_cli.cascade.warm_models import unload_models

    unloaded = unload_models(model, context.obj.environment)
    if model is not None and not unloaded:
        raise Failure(ExitStatus.USAGE, f"{model} is not loaded; see: hybrid models ps")
    message = f"unloaded {', '.join(unloaded)}" if unloaded else "no model was loaded"
    context.obj.environment.note(message)


def _last_used(time: str | None) -> str:
    return "never used" if time is None else f"used {time[:10]}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
