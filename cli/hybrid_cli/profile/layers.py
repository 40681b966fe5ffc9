"""The layers of a policy: files, variables and flags that set its keys.

From weakest to strongest: the administrator's file, the user's file, the project's file, the chosen
profile, the environment, the flags. If no profile is chosen, `default` is the weakest layer of all.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.loader import find_profile, read_checked, read_whole, with_absolute_paths
from hybrid_cli.profile.modes import MODES
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import shorten
from hybrid_cli.ui.suggest import nearest

SYSTEM_FILE = Path("/etc/hybrid/profile.yaml")
PROJECT_FILE = ".hybrid.yaml"
DEFAULT_PROFILE = "default"


@dataclass(frozen=True)
class Layer:
    """A source of settings."""

    name: str
    """The source, as messages name it."""
    data: dict[str, Any]
    """Nested as in a profile, and checked; paths in it are absolute."""
    path: Path | None = None
    """The file, unless the layer is a flag or a variable."""
    is_project: bool = False
    text: bytes = field(default=b"", repr=False)
    """The exact content of a project's file, for `Trust`."""


def file_layers(chosen: str | None, environment: Environment) -> tuple[str, list[Layer]]:
    """The name of the chosen profile, and all layers that are files, weakest first."""
    if chosen is None:
        chosen = environment.variables.get("HYBRID_PROFILE") or None
    profile = find_profile(chosen or DEFAULT_PROFILE, environment)
    own = Layer(f"profile `{profile.stem}`", read_whole(profile, environment), profile)
    layers = [layer for layer in _automatic_layers(environment) if layer.path != profile]
    return profile.stem, [own, *layers] if chosen is None else [*layers, own]


def chosen_profile(environment: Environment) -> str:
    """The name or path of the profile that commands use if -p names none."""
    return environment.variables.get("HYBRID_PROFILE") or DEFAULT_PROFILE


def _automatic_layers(environment: Environment) -> Iterator[Layer]:
    """The layers that apply without being chosen: the administrator's, the user's, the project's."""
    for name, path in (
        (f"the administrator's {SYSTEM_FILE}", SYSTEM_FILE),
        ("your profile.yaml", environment.config_folder / "profile.yaml"),
    ):
        if os.path.lexists(path):  # an unreadable file is an error: it may forbid something
            yield Layer(name, read_whole(path, environment), path)
    project = find_project_file(environment)
    if project is not None:
        yield read_project(project)


def read_project(path: Path) -> Layer:
    """The layer of the project's file at `path`.

    Raises Failure (USAGE) for a mistake, and for `extends`: trust covers the content of one file only.
    """
    checked = read_checked(path)
    if "extends" in checked.data:
        raise Failure(
            ExitStatus.USAGE, f"{path}: `extends` is not allowed in a project's file; write the keys into it"
        )
    data = with_absolute_paths(checked.data, path.absolute().parent)
    return Layer(f"the project's {PROJECT_FILE}", data, path, is_project=True, text=checked.text)


def find_project_file(environment: Environment) -> Path | None:
    """The nearest `.hybrid.yaml` from the working folder up to the repository's root or the home folder.

    Raises Failure (USAGE) if it is not a regular file: a link could lead out of the project, and reading
    a named pipe could hang.
    """
    home = environment.variables.get("HOME")
    try:
        folder = Path.cwd()
    except FileNotFoundError:  # the working folder was deleted
        return None
    for candidate in (folder, *folder.parents):
        path = candidate / PROJECT_FILE
        try:
            mode = path.lstat().st_mode
        except OSError:
            if (candidate / ".git").exists() or str(candidate) == home:
                return None
            continue
        if not stat.S_ISREG(mode):
            raise Failure(
                ExitStatus.USAGE, f"{path} is not a regular file, so it cannot be the project's profile"
            )
        return path
    return None


def variable_layer(environment: Environment) -> Layer | None:
    """The layer of HYBRID_ESCALATION, if it is set. Raises Failure (USAGE) for an unknown mode."""
    mode = environment.variables.get("HYBRID_ESCALATION")
    if not mode:
        return None
    if mode not in MODES:
        close = nearest(mode, MODES)
        hint = f"did you mean `{close}`?" if close else f"use one of {', '.join(MODES)}"
        raise Failure(ExitStatus.USAGE, f"HYBRID_ESCALATION: unknown mode `{shorten(mode)}`; {hint}")
    return Layer("HYBRID_ESCALATION", {"escalation": {"mode": mode}})
