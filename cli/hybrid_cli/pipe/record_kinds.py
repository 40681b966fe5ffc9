"""The kinds of records that `hybrid pipe --each` accepts. Imports nothing, so that --help is fast."""

from __future__ import annotations

from typing import Literal, Union

Each = Literal["line", "jsonl", "csv", "nul", "para"]
Input = Union[Each, Literal["by name", "by content"]]  # noqa: UP007  evaluated at run time
"""What `--each` says; without it, JSON Lines are recognised by the file's name, or also by the first line."""
