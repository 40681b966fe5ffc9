"""Amounts of money: exact in the database, readable in messages."""

from __future__ import annotations

import math
from collections.abc import Sequence

NANO = 1_000_000_000
"""Nano-dollars per USD. The database stores whole nano-dollars, so that sums are exact."""


def nano(usd: float | None) -> int | None:
    """USD in nano-dollars, rounded up."""
    return None if usd is None else -int(-usd * NANO // 1)


def usd(amount: float) -> str:
    """An amount for messages: at least cents, and more digits for smaller amounts."""
    digits = 2 if amount >= 1 else 4 if amount >= 0.01 else 8
    whole, _, part = f"{amount:.{digits}f}".partition(".")
    return f"${whole}.{part.rstrip('0').ljust(2, '0')}"


def usd_bound(amount: float) -> str:
    """An upper bound for messages: `amount` rounded up to a hundredth of a cent."""
    return usd(math.ceil(amount * 10_000) / 10_000)


def sum_of(costs: Sequence[float | None]) -> float | None:
    """Return the sum in USD; None if one of the costs is unknown."""
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None
