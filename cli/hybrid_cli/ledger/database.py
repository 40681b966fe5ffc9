"""The ledger: one row for each request to a cloud, written before its first byte leaves.

Money is reserved with the row and settled when the outcome is known. Each change is a transaction that first
takes the database's only write lock, so parallel processes cannot pass a limit together. Amounts are whole
nano-dollars (1e-9 USD), so sums are exact. Days and months are in UTC.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hybrid_cli.ledger.amounts import NANO, nano
from hybrid_cli.ledger.connection import connect, reading, transaction, when_free
from hybrid_cli.ledger.limits import SPENT, Limit, check, check_one, start_of, used
from hybrid_cli.system.files import is_there

if TYPE_CHECKING:
    import sqlite3  # late, as most runs send nothing

Outcome = Literal["open", "answered", "refused", "unknown"]


@dataclass(frozen=True)
class LedgerEntry:
    """A request before it is sent. The columns of the table `sent` say what each field means."""

    run: str
    profile: str
    decided_by: str
    reason: str
    origin: str
    model: str
    tools: str
    bytes: int
    sha256: str
    redactions: str
    reserved: float | None
    """The worst case in USD, or None if no price is known."""
    images: str = "[]"
    prompt: str | None = None


@dataclass(frozen=True)
class Settlement:
    """The outcome of a request. `cost` is in USD, or None if no price is known."""

    outcome: Outcome
    cost: float | None = None
    estimated: bool = False
    tokens_in: int | None = None
    tokens_cached: int | None = None
    tokens_out: int | None = None
    tokens_reasoning: int | None = None
    answer: str | None = None


@dataclass(frozen=True)
class Observation:
    """The signals of a local answer to a prompt that was also sent to a cloud."""

    weights: str
    version: int
    signals: dict[str, float | None]
    running: list[float | None]
    tokens_in: int
    tokens_out: int


class Ledger:
    """The ledger in the folder `state`. Every method raises Failure if it cannot read or write the file.

    Those that only read also work on a disk that cannot be written.
    """

    def __init__(self, state: Path) -> None:
        self.path = state / "ledger.db"

    def reserve(self, entry: LedgerEntry, limits: Sequence[Limit]) -> int:
        """Write the row of a request that is about to be sent, and return its id.

        Raises Failure (LIMIT), and writes nothing, if the worst case would pass one of `limits`.
        """
        now = _now()
        values = {
            **vars(entry),
            "at": now.isoformat(timespec="seconds"),
            "outcome": "open",
            "reserved": nano(entry.reserved),
        }
        with transaction(self.path) as connection:
            check(connection, limits, entry.run, entry.reserved, now)
            names = ", ".join(values)
            places = ", ".join(f":{name}" for name in values)
            cursor = connection.execute(f"INSERT INTO sent ({names}) VALUES ({places})", values)  # noqa: S608  our own column names
            return int(cursor.lastrowid or 0)

    def check(self, run: str, worst: float | None, limits: Sequence[Limit]) -> None:
        """Raise Failure (LIMIT) if a request that may cost `worst` USD would pass one of `limits`."""
        if is_there(self.path):
            with reading(self.path) as connection:
                check(connection, limits, run, worst, _now())
        else:
            for limit in limits:
                check_one(limit, 0, nano(worst) or 0)

    def settle(self, row: int, settlement: Settlement) -> None:
        """Record the outcome of a request. Its cost replaces the reservation, unless it is None."""
        values = {**vars(settlement), "cost": nano(settlement.cost)}
        assignments = ", ".join(f"{name} = :{name}" for name in values)
        with transaction(self.path) as connection:
            connection.execute(f"UPDATE sent SET {assignments} WHERE id = :id", {**values, "id": row})  # noqa: S608  our own column names

    def observe(self, row: int, observation: Observation, agreement: float | None) -> None:
        """Record the local answer to the prompt of request `row`, and whether both answers agree (1, 0 or None)."""
        values = {
            **vars(observation),
            "signals": json.dumps(observation.signals),
            "running": json.dumps(observation.running),
            "sent": row,
            "agreement": agreement,
        }
        names, places = ", ".join(values), ", ".join(f":{name}" for name in values)
        with transaction(self.path) as connection:
            connection.execute(f"INSERT INTO observed ({names}) VALUES ({places})", values)  # noqa: S608  our own column names

    def observations(self) -> dict[int, dict[str, Any]]:
        """All observations by the id of their request, oldest first."""
        if not is_there(self.path):
            return {}
        with reading(self.path) as connection:
            rows = _dictionaries(connection.execute("SELECT * FROM observed ORDER BY sent"))
        decoded = [
            {**row, **{name: json.loads(row[name]) for name in ("signals", "running")}} for row in rows
        ]
        return {row.pop("sent"): row for row in decoded}

    def left(self, limit: Limit, run: str) -> float:
        """The rest of `limit`: USD or calls."""
        if not is_there(self.path):
            return limit.at_most
        with reading(self.path) as connection:
            amount = used(connection, limit, run, _now())
        return max(0.0, limit.at_most - (amount / NANO if limit.unit == "usd" else amount))

    def has_reasoned(self, origin: str, model: str) -> bool:
        """Whether an answer of `model` at `origin` had reasoning tokens."""
        if not is_there(self.path):
            return False
        query = "SELECT 1 FROM sent WHERE origin = ? AND model = ? AND tokens_reasoning > 0 LIMIT 1"
        with reading(self.path) as connection:
            return connection.execute(query, [origin, model]).fetchone() is not None

    def spent(self, run: str) -> float:
        """The cost of all requests of `run` in USD; requests that are not settled count with their reservation."""
        if not is_there(self.path):
            return 0.0
        with reading(self.path) as connection:
            found = connection.execute(f"SELECT SUM({SPENT}) FROM sent WHERE run = ?", [run])  # noqa: S608  a constant
            return float(found.fetchone()[0] or 0) / NANO

    def rows(self, since: str = "") -> list[dict[str, Any]]:
        """All requests since the day `since` (ISO 8601), oldest first; amounts are in USD."""
        if not is_there(self.path):
            return []
        with reading(self.path) as connection:
            rows = _dictionaries(connection.execute("SELECT * FROM sent WHERE at >= ? ORDER BY id", [since]))
        return [
            {**row, **{name: row[name] and row[name] / NANO for name in ("reserved", "cost")}} for row in rows
        ]

    def purges(self) -> list[dict[str, Any]]:
        """The purges so far: when, and how many requests each deleted."""
        if not is_there(self.path):
            return []
        with reading(self.path) as connection:
            found = connection.execute("SELECT at, requests FROM purges ORDER BY at").fetchall()
        return [{"at": at, "requests": requests} for at, requests in found]

    def purge(self) -> int:
        """Delete all requests, and return their number.

        The amounts of the current month stay, without all details, so that a purge gives no budget back.
        """
        if not is_there(self.path):
            return 0
        month = start_of("month", _now())
        with transaction(self.path) as connection:
            count = connection.execute("SELECT COUNT(*) FROM sent WHERE sha256 != ''").fetchone()[0]
            connection.execute(
                "INSERT INTO purges VALUES (?, ?)", [_now().isoformat(timespec="seconds"), count]
            )
            connection.execute("DELETE FROM sent WHERE at < ?", [month])
            connection.execute("DELETE FROM observed")
            connection.execute(
                "UPDATE sent SET decided_by = '', reason = '', origin = '', model = '', tools = '',"
                " bytes = 0, sha256 = '', redactions = '{}', images = '[]', prompt = NULL, answer = NULL"
            )
        with connect(self.path) as connection:
            when_free(lambda: connection.execute("VACUUM"))
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(count)


def _dictionaries(found: sqlite3.Cursor) -> list[dict[str, Any]]:
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def _now() -> datetime:
    return datetime.now(timezone.utc)
