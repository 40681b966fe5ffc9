"""Sums of the ledger's rows by day, model, profile or another column."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hybrid_cli.ledger.amounts import usd
from hybrid_cli.ui.sanitize import one_line
from hybrid_cli.ui.table import align_columns, width

_BAR = 24
"""The longest bar, in columns."""


@dataclass
class UsageGroup:
    """Sums of requests with the same day, model or other column."""

    name: str
    requests: int = 0
    answered: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    bytes: int = 0
    usd: float = 0.0
    """Cost; requests that are not settled count with their reservation."""
    estimated: int = 0
    """Requests whose cost is an estimate or a reservation."""

    def add(self, row: dict[str, Any]) -> None:
        settled = row["cost"] is not None
        self.requests += 1
        self.answered += row["outcome"] == "answered"
        self.tokens_in += row["tokens_in"] or 0
        self.tokens_out += row["tokens_out"] or 0
        self.bytes += row["bytes"]
        self.usd = round(self.usd + ((row["cost"] if settled else row["reserved"]) or 0), 9)
        self.estimated += bool(row["estimated"] or not settled)


def group(rows: Iterable[dict[str, Any]], by: str) -> list[UsageGroup]:
    """`rows` in groups, in the order of their first rows. `by` is `day` or a column."""
    groups: dict[str, UsageGroup] = {}
    for row in rows:
        name = (row["at"][:10] if by == "day" else row[by]) or "(purged)"
        groups.setdefault(name, UsageGroup(name)).add(row)
    return list(groups.values())


def total(groups: Iterable[UsageGroup]) -> UsageGroup:
    """The sum of all groups."""
    whole = UsageGroup("total")
    for one in groups:
        for name, value in vars(one).items():
            if name != "name":
                setattr(whole, name, round(getattr(whole, name) + value, 9))
    return whole


def as_csv(groups: Sequence[UsageGroup]) -> str:
    """CSV with one line for each group, and a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(vars(UsageGroup(""))), lineterminator="\n")
    writer.writeheader()
    writer.writerows(vars(one) for one in groups)
    return text.getvalue()


def as_table(groups: Sequence[UsageGroup], *, bars: bool, columns: int = 80) -> list[str]:
    """Lines for people. `~` marks amounts that contain estimates or reservations.

    With `bars`, each line ends with a bar relative to the largest group, in a terminal of `columns` columns.
    """
    if not groups:
        return []
    shown = [*groups, total(groups)] if len(groups) > 1 else list(groups)
    cells = [("", "requests", "tokens in", "out", "USD")] + [
        (
            one_line(one.name),
            str(one.requests),
            str(one.tokens_in),
            str(one.tokens_out),
            ("~" if one.estimated else "") + usd(one.usd),
        )
        for one in shown
    ]
    lines = align_columns(cells, right=range(1, 5))
    if not bars:
        return lines
    measure = "usd" if any(one.usd for one in groups) else "requests"
    most = max((getattr(one, measure) for one in groups), default=0) or 1
    longest = max(0, min(_BAR, columns - max(map(width, lines)) - 2))
    drawn = ["█" * round(longest * getattr(one, measure) / most) for one in groups]
    return [f"{line}  {bar}".rstrip() for line, bar in zip(lines, ["", *drawn, ""], strict=False)]
