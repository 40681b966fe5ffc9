"""Fetching weights: from the sources in order, verified, into the store."""

from __future__ import annotations

from hybrid_cli.environment import Environment
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.weights.catalog import Entry, catalog, unknown_model
from hybrid_cli.weights.gguf import check_gguf
from hybrid_cli.weights.sources import Source, parse_source
from hybrid_cli.weights.store import Manifest, Store, check_name, name_from_file, sha256_of


def pull(model: str, name: str | None, environment: Environment) -> Manifest:
    """Fetch the catalog's `model`, or the file that `model` names as a source, and store it.

    `name` is what it is stored under; by default the catalog's name or the file's. Raises Failure:
    USAGE for an unknown model, WEIGHTS where no source had the right file.
    """
    store = Store(environment)
    source = parse_source(model)
    if source is not None:
        given = check_name(name) if name is not None else name_from_file(source.file)
        return _store_from(source, model, given, None, store, environment)
    entry = catalog().get(model)
    if entry is None:
        raise unknown_model(model, store.names())
    return _pull_entry(model, check_name(model if name is None else name), entry, store, environment)


def _pull_entry(model: str, name: str, entry: Entry, store: Store, environment: Environment) -> Manifest:
    stored = store.manifest(name)
    if stored is not None and stored.sha256 == entry.sha256 and _is_intact(stored, store):
        environment.note(f"{name} is here and verified")
        return stored
    environment.note(f"pulling {model}: {entry.size / 1e6:.0f} MB, {entry.licence}")
    for number, text in enumerate(entry.sources, start=1):
        source = parse_source(text)
        if source is None:
            raise AssertionError(f"the catalog's source {text} is not one")
        try:
            return _store_from(source, text, name, entry, store, environment)
        except Failure as failure:
            if number == len(entry.sources):
                raise
            environment.note(f"{failure}; trying the next source")
    raise AssertionError(f"the catalog gives no source for {model}")


def _is_intact(manifest: Manifest, store: Store) -> bool:
    try:
        store.verify(manifest)
    except Failure:
        return False
    return True


def _store_from(
    source: Source, text: str, name: str, entry: Entry | None, store: Store, environment: Environment
) -> Manifest:
    with store.incoming() as folder:
        fetched = source.fetch(folder, environment)
        environment.note("verifying the checksum")
        sha256 = sha256_of(fetched.path)
        expected = entry.sha256 if entry is not None else fetched.claimed_sha256
        if expected is not None and sha256 != expected:
            raise Failure(
                ExitStatus.WEIGHTS, f"{source.file} from {text} has sha256 {sha256}, expected {expected}"
            )
        check_gguf(fetched.path)
        licence = entry.licence if entry is not None else "unknown"
        told = text.encode(errors="replace").decode()  # a path's lone surrogates cannot be written as JSON
        manifest = store.add(fetched.path, name=name, sha256=sha256, licence=licence, source=told)
    environment.note(f"stored as {name}")
    return manifest
