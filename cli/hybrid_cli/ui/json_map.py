"""A small private JSON file that maps strings to strings; it records decisions of the user."""

from __future__ import annotations

import json
from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.system.files import read_regular, replacing


class JsonMap:
    """The map stored in the file at `path`. A missing file is an empty map."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, str]:
        """Return the map. Raises Failure if the file is damaged or unreadable: a decision must not be guessed."""
        try:
            found = json.loads(read_regular(self._path))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise Failure(ExitStatus.FAILURE, f"{self._path} cannot be read: {error.strerror}") from None
        except ValueError:
            found = None
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise Failure(ExitStatus.FAILURE, f"{self._path} is damaged; delete it, then decide again")
        return found

    def write(self, records: dict[str, str]) -> None:
        """Replace the file atomically; it is readable by its owner only, from the start."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._path) as file:
            file.write(json.dumps(records, indent=2).encode())
