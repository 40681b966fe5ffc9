"""The kinds of records, which `hybrid pipe --each` shares with the reader. Imports nothing, for a fast --help."""

from __future__ import annotations

from typing import Literal

Each = Literal["line", "jsonl", "csv", "nul", "para"]
