"""Limits on spending and requests, and what counts against them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ledger.amounts import NANO, nano, usd

if TYPE_CHECKING:
    import sqlite3  # late, as most runs send nothing

Unit = Literal["usd", "calls"]
Period = Literal["run", "day", "month"]

SPENT = "COALESCE(cost, reserved, 0)"
"""SQL: the nano-dollars that a request counts for. Until it is settled, that is its reservation."""


@dataclass(frozen=True)
class Limit:
    """An upper bound for one period."""

    key: str
    """The profile's key, such as limits.usd_per_day."""
    layer: str
    """The layer that set it."""
    unit: Unit
    period: Period
    at_most: float
    profile: str | None = None
    """Count only requests under this profile; None: all requests."""


def in_unit(value: float, unit: Unit) -> str:
    """A value of a limit, for messages: an amount of money, or a whole number of calls."""
    return usd(value) if unit == "usd" else f"{value:.0f}"


def start_of(period: Period, now: datetime) -> str:
    """The start of the period that contains `now`, to compare with the column `at`."""
    return f"{now:%Y-%m-%d}" if period == "day" else f"{now:%Y-%m}"


def used(connection: sqlite3.Connection, limit: Limit, run: str, now: datetime) -> int:
    """What counts against `limit` so far: nano-dollars or calls."""
    amount = f"SUM({SPENT})" if limit.unit == "usd" else "COUNT(*)"
    query = f"SELECT {amount} FROM sent WHERE "  # noqa: S608  all parts are constants
    if limit.period == "run":
        found = connection.execute(f"{query}run = ?", [run]).fetchone()
    elif limit.profile is None:
        found = connection.execute(f"{query}at >= ?", [start_of(limit.period, now)]).fetchone()
    else:
        values = [start_of(limit.period, now), limit.profile]
        found = connection.execute(f"{query}at >= ? AND profile = ?", values).fetchone()
    return int(found[0] or 0)


def check(
    connection: sqlite3.Connection, limits: Sequence[Limit], run: str, worst: float | None, now: datetime
) -> None:
    """Raise Failure (LIMIT) if a request that may cost `worst` USD would pass one of `limits`."""
    for limit in limits:
        check_one(limit, used(connection, limit, run, now), nano(worst) or 0)


def check_one(limit: Limit, used: int, need: int) -> None:
    """Raise Failure (LIMIT) if `need` more nano-dollars, or one more call, would pass `limit`."""
    if limit.unit == "calls":
        if used + 1 > limit.at_most:
            raise Failure(
                ExitStatus.LIMIT,
                f"{limit.key} is {limit.at_most:.0f} (set by {limit.layer}), and {used} calls were made;"
                " nothing more is sent; see: hybrid usage",
            )
    elif used + need > (nano(limit.at_most) or 0):
        raise Failure(
            ExitStatus.LIMIT,
            f"{limit.key} is {usd(limit.at_most)} (set by {limit.layer}): {usd(used / NANO)} is spent or"
            f" reserved, and this call may cost {usd(need / NANO)}; nothing more is sent; see: hybrid usage",
        )
