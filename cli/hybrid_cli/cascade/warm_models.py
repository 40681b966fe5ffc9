"""The models that are kept loaded, by name: list them, unload them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hybrid_cli.local import warm
from hybrid_cli.local.protocol import Status
from hybrid_cli.system.runtime_folder import runtime_folder
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Store


def loaded_models(environment: Environment) -> list[dict[str, Any]]:
    """Return each loaded model as `models ps --json` prints it."""
    names = _names(environment)
    return [_described(status, names) for _, status in _every(environment)]


def unload_models(model: str | None, environment: Environment) -> list[str]:
    """End the engines of `model`, a name or a path, or of all models; return the names of those that ended."""
    names, unloaded = _names(environment), []
    for engine, status in _every(environment):
        name = _described(status, names)["name"]
        if model in (None, name, status.path):
            warm.unload(engine)
            unloaded.append(name)
    return unloaded


def _every(environment: Environment) -> Iterator[tuple[warm.WarmEngine, Status]]:
    """Yield each warm engine, and name those that do not reply."""
    silent: list[str] = []
    yield from warm.every(runtime_folder(environment.variables), silent)
    for name in silent:
        environment.note(f"a loaded model does not reply; to let it end once it can: rm {name}")


def _names(environment: Environment) -> dict[str, str]:
    """Return the name of each stored model by its checksum."""
    return {manifest.sha256: manifest.name for manifest in Store(environment).manifests()}


def _described(status: Status, names: dict[str, str]) -> dict[str, Any]:
    return {
        "name": names.get(status.weights_id, status.path),
        "path": status.path,
        "pid": status.pid,
        "memory": status.memory,
        "callers": status.callers,
        "idle_seconds": status.idle,
        "keep_seconds": status.keep,
    }
