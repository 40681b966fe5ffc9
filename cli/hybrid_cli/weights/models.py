"""The work of `hybrid models`: describe, remove and prune stored weights."""

from __future__ import annotations

from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.default_model import DEFAULT, chosen_model, default_model
from hybrid_cli.profile.layers import SYSTEM_FILE, project_files
from hybrid_cli.profile.loader import profile_folders, read_whole
from hybrid_cli.profile.schema import Local
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.catalog import catalog, catalog_entry, unknown_model
from hybrid_cli.weights.incoming import Incoming
from hybrid_cli.weights.names import path_of
from hybrid_cli.weights.store import Manifest, Store


def describe(manifest: Manifest, store: Store, environment: Environment) -> dict[str, Any]:
    """The JSON object of `hybrid models ls --json` for one stored model."""
    return {
        "name": manifest.name,
        "path": str(store.path(manifest)),
        "size": manifest.size,
        "sha256": manifest.sha256,
        "licence": manifest.licence,
        "source": manifest.source,
        "last_used": store.last_used(manifest.name),
        "profiles": profiles_with(manifest.name, default_model(environment), environment),
        "files": [
            {"name": file.name, "size": file.size, "sha256": file.sha256} for file in manifest.every_file
        ],
        "linked_to": _links(manifest, store),
    }


def _links(manifest: Manifest, store: Store) -> list[str]:
    """The targets of those files that are links to another tool's."""
    blobs = [store.blob(file.sha256) for file in manifest.every_file]
    return [str(blob.readlink()) for blob in blobs if blob.is_symlink()]


def require_known(model: str, environment: Environment) -> None:
    """Raise Failure if `model` is the path of no file, or a name that is neither stored nor in the catalog."""
    path = path_of(model)
    if path is not None:
        if not path.is_file():
            why = f"not a regular file: {path}" if path.exists() else f"no such file: {path}"
            raise Failure(ExitStatus.WEIGHTS, why)
    elif not Store(environment).is_recorded(model) and model not in catalog(environment):
        raise unknown_model(model, Store(environment).names(), environment)


def catalog_facts(name: str, environment: Environment) -> dict[str, Any]:
    """The catalog's description of a model; empty if the catalog does not have it."""
    entry = catalog_entry(name, environment)
    if entry is None:
        return {}
    return {
        "summary": entry.summary,
        "context": entry.context,
        "memory_gb": entry.memory,
        "quirks": entry.quirks,
        "caution": entry.caution or None,
    }


def profiles_with(model: str, default: str | None, environment: Environment) -> list[str]:
    """The names of profiles that use `model`, also to draft: shipped, the user's, the system's, the project's.

    `default` is the model of those that use the default one.
    """
    files = {
        path.stem: path for folder in reversed(profile_folders(environment)) for path in folder.glob("*.yaml")
    }
    for path in (SYSTEM_FILE, environment.config_folder / "profile.yaml", *project_files(environment)):
        if path.is_file():
            files[str(path)] = path
    using = []
    for name, path in files.items():
        try:
            data = read_whole(path, environment)
        except Failure:  # an invalid profile runs nothing
            continue
        forced = data.get("escalation", {}).get("mode") == "force"
        local = data.get("local", {})
        named = (local.get("model", _default_of(name)), local.get("draft"))
        if not forced and model in [default if one == DEFAULT else one for one in named]:
            using.append(name)
    return sorted(using)


def _default_of(name: str) -> str | None:
    """The model of a profile that names none: the default one. A file of a layer (a path) has none then."""
    return None if "/" in name else Local().model


def remove(names: list[str], *, force: bool, environment: Environment) -> int:
    """Delete stored models and the files that no other model needs; returns the bytes freed.

    Raises Failure: USAGE or WEIGHTS if a name is not stored, FAILURE if a profile uses one and `force` is
    not given. Then nothing is deleted. A default model that nobody chose is not protected.
    """
    chosen = chosen_model(environment)
    store = Store(environment)
    with store.deletion_lock():
        for name in names:
            if not store.is_recorded(name):
                store.find(name)
            if not force and (profiles := profiles_with(name, chosen, environment)):
                noun = "profile" if len(profiles) == 1 else "profiles"
                raise Failure(
                    ExitStatus.FAILURE,
                    f"{name} is used by {noun} {', '.join(profiles)}; to remove it anyway: --force",
                )
        for name in names:
            store.remove(name)
        return store.prune()


def prune(environment: Environment) -> int:
    """Delete files that no model needs, and unfinished downloads; returns the bytes freed."""
    store = Store(environment)
    with store.deletion_lock():
        return store.prune() + Incoming(environment).sweep(older_than=0)
