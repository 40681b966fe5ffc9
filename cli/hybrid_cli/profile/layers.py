"""The layers of a policy, weakest first: who says what, from files, variables and flags.

Where no profile is chosen the shipped `default` lies below all: then the administrator's file, the
user's file, the project's file, the chosen profile, the environment and the flags.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.loader import anchored, find_profile, read_checked, read_whole
from hybrid_cli.profile.schema import MODES
from hybrid_cli.ui.environment import Environment, cut
from hybrid_cli.ui.suggest import nearest

SYSTEM_FILE = Path("/etc/hybrid/profile.yaml")
PROJECT_FILE = ".hybrid.yaml"
DEFAULT_PROFILE = "default"


@dataclass(frozen=True)
class Layer:
    """One voice. `data` is nested as in a profile, was checked, and names files by absolute paths."""

    name: str
    data: dict[str, Any]
    path: Path | None = None
    is_project: bool = False
    text: bytes = field(default=b"", repr=False)


def file_layers(chosen: str | None, environment: Environment) -> tuple[str, list[Layer]]:
    """The chosen profile's name, and every layer that is a file, weakest first."""
    if chosen is None:
        chosen = environment.variables.get("HYBRID_PROFILE") or None
    profile = find_profile(chosen or DEFAULT_PROFILE, environment)
    own = Layer(f"profile `{profile.stem}`", read_whole(profile, environment), profile)
    layers = [layer for layer in _standing_layers(environment) if layer.path != profile]
    return profile.stem, [own, *layers] if chosen is None else [*layers, own]


def _standing_layers(environment: Environment) -> Iterator[Layer]:
    for name, path in (
        (f"the administrator's {SYSTEM_FILE}", SYSTEM_FILE),
        ("your profile.yaml", environment.config_folder / "profile.yaml"),
    ):
        if os.path.lexists(path):  # one that cannot be read is an error: what it forbids must not be lost
            yield Layer(name, read_whole(path, environment), path)
    project = find_project_file(environment)
    if project is not None:
        yield read_project(project)


def read_project(path: Path) -> Layer:
    """A project's file stands alone: what it extended could change without its own content changing."""
    checked = read_checked(path)
    if "extends" in checked.data:
        raise Failure(
            ExitStatus.USAGE, f"{path}: a project's file cannot extend another; write its words out"
        )
    data = anchored(checked.data, path.absolute().parent)
    return Layer(f"the project's {PROJECT_FILE}", data, path, is_project=True, text=checked.text)


def find_project_file(environment: Environment) -> Path | None:
    """The nearest `.hybrid.yaml` from the working folder up to the repository's root or the home.

    Raises Failure (USAGE) where that name is no plain file: a link could lead out of the project, and a
    named pipe would hang.
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
            raise Failure(ExitStatus.USAGE, f"{path} is not a plain file; it cannot be a project's profile")
        return path
    return None


def variable_layer(environment: Environment) -> Layer | None:
    """What HYBRID_ESCALATION says."""
    word = environment.variables.get("HYBRID_ESCALATION")
    if not word:
        return None
    if word not in MODES:
        close = nearest(word, MODES)
        hint = f"did you mean `{close}`?" if close else f"it may be {', '.join(MODES)}"
        raise Failure(ExitStatus.USAGE, f"HYBRID_ESCALATION is `{cut(word)}`; {hint}")
    return Layer("HYBRID_ESCALATION", {"escalation": {"mode": word}})
