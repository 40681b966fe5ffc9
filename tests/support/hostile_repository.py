"""A repository that tries to turn a run of `hybrid` against its user."""

from __future__ import annotations

from pathlib import Path


class HostileRepository:
    """A checkout, with files that its author wrote, and a mark that shows that one of them was run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mark = root.parent / f"{root.name}-ran"
        (root / ".git").mkdir(parents=True)

    def write(self, name: str, text: str = "", *, is_program: bool = False) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if is_program else 0o644)
        return path

    def program(self, name: str, says: str = "") -> Path:
        """A program that leaves the mark."""
        return self.write(name, f"#!/bin/sh\ntouch {self.mark}\necho {says}\n", is_program=True)

    def has_run(self) -> bool:
        return self.mark.exists()
