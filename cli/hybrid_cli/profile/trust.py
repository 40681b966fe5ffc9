"""Which projects' files the user vouched for: by their exact content, recorded outside any repository."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.json_map import Records


class Trust:
    """The recorded sha256 of each trusted file by its real path."""

    def __init__(self, environment: Environment) -> None:
        self._records = Records(environment.config_folder / "trust.json")

    def covers(self, path: Path, text: bytes) -> bool:
        """Whether exactly `text` was trusted at `path`; any change since revokes it."""
        return self._records.read().get(os.path.realpath(path)) == _digest(text)

    def record(self, path: Path, text: bytes) -> None:
        """Trust exactly `text` at `path`."""
        self._records.write({**self._records.read(), os.path.realpath(path): _digest(text)})


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
