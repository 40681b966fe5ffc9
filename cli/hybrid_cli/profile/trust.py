"""The projects' files that the user trusts, by their exact content. Stored outside any repository.

Trust covers the content of the file and of the files inside the project that its commands name. It does not cover
what these run or read in turn.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hybrid_cli.profile.layers import Layer
from hybrid_cli.profile.loader import COMMANDS
from hybrid_cli.system.files import open_regular
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.json_map import JsonMap

_MAX_FILE = 10_000_000
"""Bytes of a named file that count; the rest of a larger one is not covered."""


class Trust:
    """The sha256 of each trusted file, by real path."""

    def __init__(self, environment: Environment) -> None:
        self._records = JsonMap(environment.config_folder / "trust.json")

    def covers(self, project: Layer) -> bool:
        """Whether the user trusts exactly this content; any change to the file ends trust."""
        return self._records.read().get(os.path.realpath(_path(project))) == _digest(project)

    def record(self, project: Layer) -> None:
        """Record that the user trusts exactly this content."""
        self._records.write({**self._records.read(), os.path.realpath(_path(project)): _digest(project)})


def named_files(project: Layer) -> list[Path]:
    """The files inside the project's folder that its commands name, whether they exist or not."""
    folder = _path(project).absolute().parent
    words = (word for keys in COMMANDS for command in _at(project.data, keys) for word in command)
    return sorted(
        {Path(word) for word in words if Path(word).is_absolute() and Path(word).is_relative_to(folder)}
    )


def _path(project: Layer) -> Path:
    assert project.path is not None, "a project's layer is a file"  # noqa: S101  for the type checker
    return project.path


def _at(data: Any, keys: tuple[str, ...]) -> Iterator[list[str]]:
    """The commands at `keys` of the nested `data`; lists of sections are searched."""
    if keys and isinstance(data, list):
        for item in data:
            yield from _at(item, keys)
    elif keys:
        yield from _at(data.get(keys[0]), keys[1:]) if isinstance(data, dict) else ()
    elif isinstance(data, list):
        yield data


def _digest(project: Layer) -> str:
    digest = hashlib.sha256(project.text)
    for file in named_files(project):
        digest.update(f"\0{file}\0".encode("utf-8", "surrogateescape"))
        try:
            with open_regular(file) as content:
                digest.update(hashlib.sha256(content.read(_MAX_FILE)).digest())
        except OSError:
            digest.update(b"missing")
    return digest.hexdigest()
