"""What `hybrid models` tells of stored weights, and what it does with them."""

from __future__ import annotations

from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.layers import SYSTEM_FILE, find_project_file
from hybrid_cli.profile.loader import profile_folders, read_whole
from hybrid_cli.profile.schema import Local
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.catalog import catalog
from hybrid_cli.weights.incoming import Incoming
from hybrid_cli.weights.store import Manifest, Store


def described(manifest: Manifest, store: Store, environment: Environment) -> dict[str, Any]:
    """One stored model as `hybrid models ls --json` has it."""
    return {
        "name": manifest.name,
        "path": str(store.path(manifest)),
        "size": manifest.size,
        "sha256": manifest.sha256,
        "licence": manifest.licence,
        "source": manifest.source,
        "last_used": store.last_used(manifest.name),
        "profiles": profiles_with(manifest.name, environment),
        "files": [{"name": file.name, "size": file.size, "sha256": file.sha256} for file in manifest.files],
        "linked_to": _links(manifest, store),
    }


def _links(manifest: Manifest, store: Store) -> list[str]:
    """Where another tool keeps the files, of those that are links."""
    blobs = [store.blob(file.sha256) for file in manifest.files]
    return [str(blob.readlink()) for blob in blobs if blob.is_symlink()]


def known(name: str, environment: Environment) -> dict[str, Any]:
    """What the catalog says of a model, for those who look at it before they pull it."""
    entry = catalog(environment).get(name)
    if entry is None:
        return {}
    return {
        "summary": entry.summary,
        "context": entry.context,
        "memory_gb": entry.memory,
        "quirks": entry.quirks,
        "caution": entry.caution or None,
    }


def profiles_with(model: str, environment: Environment) -> list[str]:
    """The profiles whose local model is `model`: shipped ones, the user's, the administrator's, the project's."""
    files = {
        path.stem: path for folder in reversed(profile_folders(environment)) for path in folder.glob("*.yaml")
    }
    for path in (SYSTEM_FILE, environment.config_folder / "profile.yaml", find_project_file(environment)):
        if path is not None and path.is_file():
            files[str(path)] = path
    using = []
    for name, path in files.items():
        try:
            data = read_whole(path, environment)
        except Failure:  # a profile that cannot be read runs nothing
            continue
        forced = data.get("escalation", {}).get("mode") == "force"
        if not forced and data.get("local", {}).get("model", _default_of(name)) == model:
            using.append(name)
    return sorted(using)


def _default_of(name: str) -> str | None:
    """A profile that names no model runs the default one; a layer that names none says nothing of it."""
    return None if "/" in name else Local().model


def remove(names: list[str], *, force: bool, environment: Environment) -> int:
    """Delete stored models and the files that no other needs; the bytes that this frees.

    Raises Failure: USAGE or WEIGHTS where a name is not stored, FAILURE where a profile needs one and
    `force` is not given. Then nothing is deleted.
    """
    store = Store(environment)
    with store.in_repair():
        for name in names:
            if not store.is_recorded(name):
                store.find(name)
            if not force and (profiles := profiles_with(name, environment)):
                raise Failure(
                    ExitStatus.FAILURE,
                    f"{name} is the model of {', '.join(profiles)}; to remove it all the same: --force",
                )
        for name in names:
            store.remove(name)
        return store.prune()


def prune(environment: Environment) -> int:
    """Delete files that no model needs and downloads that nobody is at; the bytes that this frees."""
    store = Store(environment)
    with store.in_repair():
        return store.prune() + Incoming(environment).sweep(older_than=0)
