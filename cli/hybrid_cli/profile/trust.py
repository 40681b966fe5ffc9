"""The projects' files that the user trusts, by their exact content. Stored outside any repository."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.json_map import JsonMap


class Trust:
    """The sha256 of each trusted file, by real path."""

    def __init__(self, environment: Environment) -> None:
        self._records = JsonMap(environment.config_folder / "trust.json")

    def covers(self, path: Path, text: bytes) -> bool:
        """Whether the user trusts exactly `text` at `path`; any change to the file ends trust."""
        return self._records.read().get(os.path.realpath(path)) == _digest(text)

    def record(self, path: Path, text: bytes) -> None:
        """Record that the user trusts exactly `text` at `path`."""
        self._records.write({**self._records.read(), os.path.realpath(path): _digest(text)})


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
