"""`hybrid models`: the weights on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_cli.commands import Invocation, new_app
from hybrid_cli.commands.options import CHOICE, WEIGHTS, AsJson
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.environment import one_line

if TYPE_CHECKING:
    from hybrid_cli.weights.store import Store

app = new_app(
    help="The weights on this machine: list, look at, verify, remove and import them.",
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
        bool, typer.Option("--all", help="The catalog's too that are not here.", rich_help_panel=CHOICE)
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the stored models."""
    from hybrid_cli.ui.table import listed
    from hybrid_cli.weights.catalog import catalog
    from hybrid_cli.weights.models import described
    from hybrid_cli.weights.store import Store

    invocation: Invocation = context.obj
    store = Store(invocation.environment)
    models = [described(manifest, store, invocation.environment) for manifest in store.manifests()]
    damaged = store.damaged()
    if as_json:
        for name, problem in damaged.items():
            invocation.environment.error(f"{name}: {problem}")
        typer.echo(json.dumps(models))
        return
    rows = [
        (model["name"], _megabytes(model["size"]), model["licence"], _last_used(model["last_used"]))
        for model in models
    ]
    rows += [(name, "?", "?", problem) for name, problem in damaged.items()]
    if every:
        stored = {row[0] for row in rows}
        rows += [
            (name, _megabytes(entry.size), entry.licence, f"not here: {entry.summary}")
            for name, entry in catalog(invocation.environment).items()
            if name not in stored
        ]
    if not rows:
        invocation.environment.note("no model is stored; run: hybrid pull")
    invocation.environment.tell(*listed(rows, invocation.environment, right=[1]))


@app.command(
    examples=(
        "hybrid models show qwen3-4b",
        "hybrid models show smollm2-135m --json",
    ),
)
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A stored model, or one of the catalog.")],
    as_json: AsJson = False,
) -> None:
    """Show all that is known of a model."""
    from hybrid_cli.weights.models import described, known
    from hybrid_cli.weights.store import Store

    invocation: Invocation = context.obj
    store = Store(invocation.environment)
    facts = known(name, invocation.environment)
    manifest = store.manifest(name)
    if manifest is None and (as_json or not facts):
        manifest = store.find(name)
    if manifest is not None:
        facts = {**described(manifest, store, invocation.environment), **facts}
    if as_json:
        typer.echo(json.dumps(facts))
        return
    for key, value in facts.items():
        if value not in (None, [], ""):
            invocation.environment.tell(
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
        list[str] | None, typer.Argument(metavar="[NAME|PATH]...", help="By default every stored model.")
    ] = None,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept",
            help="Take a PATH's file as it is now for the one that is meant.",
            rich_help_panel=CHOICE,
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read every byte again and compare the checksums: code 6 where one differs."""
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
            environment.tell(f"{model}: verified")
    if as_json:
        typer.echo(json.dumps(found))
    failed = sum(not one["verified"] for one in found)
    if failed:
        raise Failure(ExitStatus.WEIGHTS, f"{failed} of {len(found)} failed")


def _verified(model: str, store: Store, *, accept: bool) -> dict[str, Any]:
    """Whether the model's files are what they should be; if not, why."""
    from hybrid_cli.weights.names import path_of

    try:
        path = path_of(model)
        if path is None:
            store.verify(store.find(model), afresh=True)
        elif accept:
            store.accept(path)
        else:
            store.verify_path(path, afresh=True)
    except Failure as failure:
        if failure.status is not ExitStatus.WEIGHTS:
            raise
        return {"name": model, "verified": False, "message": str(failure)}
    return {"name": model, "verified": True, "message": None}


@app.command(
    "import",
    examples=(
        "hybrid models import ~/Downloads/model.gguf --name mine",
        "hybrid models import ollama:llama3.2 --link",
    ),
)
def import_model(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="The path of a GGUF file (of a split one any shard), or ollama:NAME."
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Store it under this name.", rich_help_panel=WEIGHTS),
    ] = None,
    link: Annotated[
        bool, typer.Option("--link", help="Link to the file instead of copying it.", rich_help_panel=WEIGHTS)
    ] = False,
) -> None:
    """Take a model file of this machine into the store."""
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
    pull_source(found, name, Reporter(invocation.environment, as_json=False))


@app.command(
    examples=(
        "hybrid models rm qwen3-4b",
        "hybrid models rm smollm2-135m --force",
    ),
)
def rm(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="What to remove.")],
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Also what a profile needs.", rich_help_panel=CHOICE)
    ] = False,
) -> None:
    """Remove stored models. One that a profile needs is kept, but for --force."""
    from hybrid_cli.weights.models import remove

    invocation: Invocation = context.obj
    freed = remove(names, force=force, environment=invocation.environment)
    invocation.environment.note(f"removed {', '.join(names)}; {_megabytes(freed)} freed")


@app.command(
    examples=(
        "hybrid models prune",
        "hybrid models rm qwen3-4b && hybrid models prune",
    ),
)
def prune(context: typer.Context) -> None:
    """Delete files that no model needs, and downloads that were left unfinished."""
    from hybrid_cli.weights.models import prune as prune_store

    invocation: Invocation = context.obj
    invocation.environment.note(f"{_megabytes(prune_store(invocation.environment))} freed")


def _last_used(time: str | None) -> str:
    return "never used" if time is None else f"used {time[:10]}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
