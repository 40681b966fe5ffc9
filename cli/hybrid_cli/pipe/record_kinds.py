"""The kinds of records that `hybrid pipe --each` accepts. Imports nothing, so that --help is fast."""

from __future__ import annotations

from typing import Literal

Each = Literal["line", "jsonl", "csv", "nul", "para"]
