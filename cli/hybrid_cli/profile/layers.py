"""The layers of a policy: files, variables and flags that set its keys.

From weakest to strongest: the administrator's file, the user's file, the project's files, the chosen
profile, the environment, the flags. If no profile is chosen, `default` is the weakest layer of all.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.loader import (
    ChainLink,
    find_profile,
    overlaid,
    read_chain,
    read_checked,
    shipped_folder,
    with_absolute_paths,
)
from hybrid_cli.profile.modes import MODES
from hybrid_cli.system.files import is_there
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
    is_trusted: bool = False
    """Whether the user trusts this file of a project."""
    text: bytes = field(default=b"", repr=False)
    """The exact content of a project's file, for `Trust`."""
    sources: Sequence[tuple[str, dict[str, Any]]] = ()
    """If the file extends others: the name of each, and what it sets; the file itself comes first."""

    @property
    def may_only_tighten(self) -> bool:
        return self.is_project and not self.is_trusted


def file_layers(chosen: str | None, environment: Environment) -> tuple[str, list[Layer]]:
    """The name of the chosen profile, and all layers that are files, weakest first."""
    if chosen is None:
        chosen = environment.variables.get("HYBRID_PROFILE") or None
    profile = find_profile(chosen or DEFAULT_PROFILE, environment)
    own = _layer_of(f"profile `{profile.stem}`", profile, environment)
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
        if is_there(path):  # an unreadable file is an error: it may forbid something
            yield _layer_of(name, path, environment)
    paths = project_files(environment)
    for path in paths:
        yield read_project(path, paths[0].parent)


def _layer_of(name: str, path: Path, environment: Environment) -> Layer:
    """The layer `name` of the user's or the administrator's file at `path`."""
    chain = read_chain(path, environment)
    bases = [(f"{_base_name(link, path)} via {name}", link.data) for link in chain[1:]]
    return Layer(name, overlaid(chain), path, sources=[(name, chain[0].data), *bases] if bases else ())


def _base_name(base: ChainLink, path: Path) -> str:
    """The name of the profile `base`, which may be the shipped one of the same name as the file at `path`."""
    is_namesake = base.path.stem == path.stem and base.path.parent == shipped_folder()
    return f"{'the shipped ' if is_namesake else ''}profile `{base.path.stem}`"


def read_project(path: Path, root: Path) -> Layer:
    """The layer of the project's file at `path`, named by its path from `root`.

    Raises Failure (USAGE) for a mistake, and for `extends`: trust covers the content of one file only.
    """
    checked = read_checked(path)
    if "extends" in checked.data:
        raise Failure(
            ExitStatus.USAGE, f"{path}: `extends` is not allowed in a project's file; write the keys into it"
        )
    data = with_absolute_paths(checked.data, path.absolute().parent)
    name = f"the project's {os.path.relpath(path, root)}".replace(",", "_")  # commas separate names of layers
    return Layer(name, data, path, is_project=True, text=checked.text)


def project_files(environment: Environment) -> list[Path]:
    """All `.hybrid.yaml` from the outermost repository's root, or the home folder, to the working folder.

    A folder inside of a project cannot hide the files above it, even if it is a repository of its own. Raises
    Failure (USAGE) for a file that is not regular: a link could lead out of the project, and reading a named
    pipe could hang.
    """
    try:
        folder = Path.cwd()
    except FileNotFoundError:  # the working folder was deleted
        return []
    found: list[Path] = []
    for candidate in _project_folders(folder, environment.variables.get("HOME")):
        path = candidate / PROJECT_FILE
        try:
            mode = path.lstat().st_mode
        except OSError:
            continue
        if not stat.S_ISREG(mode):
            raise Failure(
                ExitStatus.USAGE, f"{path} is not a regular file, so it cannot be the project's profile"
            )
        found.insert(0, path)
    return found


def _project_folders(folder: Path, home: str | None) -> list[Path]:
    """`folder` and those above it, up to the outermost repository, the home folder or the file system's root."""
    folders = [folder, *folder.parents]
    if home and Path(home) in folders:
        folders = folders[: folders.index(Path(home)) + 1]
    roots = [number for number, one in enumerate(folders) if os.path.lexists(one / ".git")]
    return folders[: roots[-1] + 1] if roots else folders


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
