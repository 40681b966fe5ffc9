"""The default model: what `local.model: default` stands for."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from hybrid_cli.system.files import DEFAULT_MODE, read_regular, replacing
from hybrid_cli.ui.environment import Environment

DEFAULT = "default"
_MOST_BYTES = 1000
"""Of the record, which is one name."""


def manifests_folder(environment: Environment) -> Path:
    """The folder with a file NAME.json for each stored model."""
    return environment.data_folder / "models"


def default_model(environment: Environment) -> str | None:
    """The name that `hybrid models default` chose, if it is stored; else the first model pulled, if any."""
    chosen = chosen_model(environment)
    if chosen is not None:
        return chosen
    stored = []
    for path in manifests_folder(environment).glob("*.json"):
        with suppress(OSError):  # a link without its target
            stored.append((path.stat().st_mtime_ns, path.stem))
    return min(stored, default=(0, None))[1]


def chosen_model(environment: Environment) -> str | None:
    """The name that `hybrid models default` chose, if that model is stored."""
    try:
        name = read_regular(_record(environment), _MOST_BYTES).decode().strip()
        is_stored = (manifests_folder(environment) / f"{name}.json").is_file()
    except (OSError, ValueError):
        return None
    return name if is_stored else None


def choose_model(name: str, environment: Environment) -> None:
    """Record `name` as the default model."""
    path = _record(environment)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, DEFAULT_MODE) as file:
        file.write(f"{name}\n".encode())


def _record(environment: Environment) -> Path:
    return environment.config_folder / "default-model"
