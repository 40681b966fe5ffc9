"""The ledger: a row for each request to a cloud, written before its first byte leaves.

Money is reserved with the row and settled when the outcome is known, in transactions that take the
database's one write lock first: however many processes send at once, no limit is passed. Amounts are
whole nano-dollars (1e-9 USD), so that sums are exact. Days and months are those of UTC.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hybrid_cli.exit_status import ExitStatus, Failure

if TYPE_CHECKING:
    import sqlite3  # late, as most runs send nothing

Unit = Literal["usd", "calls"]
Period = Literal["run", "day", "month"]
Outcome = Literal["open", "answered", "refused", "unknown"]

NANO = 1_000_000_000
_BUSY_SECONDS = 60
_DEAF_SECONDS = 0.5
"""How long SQLite waits by itself: no signal, and so no deadline, is heard meanwhile."""
_COLUMNS = """
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,           -- UTC, ISO 8601
    run TEXT NOT NULL,          -- one process
    profile TEXT NOT NULL,
    decided_by TEXT NOT NULL,   -- the layer that set the mode
    reason TEXT NOT NULL,       -- as in the answer object
    origin TEXT NOT NULL,
    model TEXT NOT NULL,
    tools TEXT NOT NULL,        -- hosted tools asked for, comma-separated
    bytes INTEGER NOT NULL,     -- of the payload
    sha256 TEXT NOT NULL,       -- of the payload
    redactions TEXT NOT NULL,   -- JSON: how many places by kind
    reserved INTEGER,           -- nano-dollars, the worst case; NULL: the price is not known
    outcome TEXT NOT NULL,      -- open, answered, refused (nothing to pay), unknown (the reservation stands)
    cost INTEGER,               -- nano-dollars; NULL until settled, and where it is not known
    estimated INTEGER NOT NULL DEFAULT 0,  -- 1: the server gave no usage
    tokens_in INTEGER,
    tokens_cached INTEGER,      -- of those in
    tokens_out INTEGER,
    tokens_reasoning INTEGER,   -- of those out
    prompt TEXT,                -- only under log.prompts
    answer TEXT
"""
_OBSERVED = """
    sent INTEGER PRIMARY KEY,   -- the request's row
    weights TEXT NOT NULL,      -- sha256 of the local model
    version INTEGER NOT NULL,   -- of the signals
    signals TEXT NOT NULL,      -- JSON: the local answer's signals, numbers by name
    running TEXT NOT NULL,      -- JSON: its mean log-probability at each checkpoint that it reached
    tokens_in INTEGER NOT NULL,
    tokens_out INTEGER NOT NULL,
    agreement REAL              -- of both answers, 1 or 0; NULL: it cannot be told
"""
_SPENT = "COALESCE(cost, reserved, 0)"


@dataclass(frozen=True)
class Limit:
    """At most so much in a period; under `profile`, or over all where that is None."""

    key: str
    """As the profile has it."""
    layer: str
    """Who set it."""
    unit: Unit
    period: Period
    at_most: float
    profile: str | None = None


@dataclass(frozen=True)
class Entry:
    """What is known of a request before it is sent. `reserved` is its worst case in USD."""

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
    prompt: str | None = None


@dataclass(frozen=True)
class Settlement:
    """What is known afterwards. Costs are in USD; None where no price is known."""

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
    """A local answer in numbers, beside a cloud's answer to the same prompt."""

    weights: str
    version: int
    signals: dict[str, float | None]
    running: list[float | None]
    tokens_in: int
    tokens_out: int


class Ledger:
    """The ledger in the folder `state`. Every method raises Failure where it cannot be read or written."""

    def __init__(self, state: Path) -> None:
        self.path = state / "ledger.db"

    def reserve(self, entry: Entry, limits: Sequence[Limit]) -> int:
        """Write the row of a request that is about to be sent, and return its number.

        Raises Failure (LIMIT), and writes nothing, where its worst case would pass one of `limits`.
        """
        now = _now()
        values = {
            **vars(entry),
            "at": now.isoformat(timespec="seconds"),
            "outcome": "open",
            "reserved": _nano(entry.reserved),
        }
        with self._transaction() as connection:
            _check(connection, limits, entry.run, entry.reserved, now)
            names = ", ".join(values)
            places = ", ".join(f":{name}" for name in values)
            cursor = connection.execute(f"INSERT INTO sent ({names}) VALUES ({places})", values)  # noqa: S608
            return int(cursor.lastrowid or 0)

    def check(self, run: str, worst: float | None, limits: Sequence[Limit]) -> None:
        """Raise Failure (LIMIT) where a request that costs `worst` would pass one of `limits`."""
        if self.path.exists():
            with self._transaction() as connection:
                _check(connection, limits, run, worst, _now())
        else:
            for limit in limits:
                _check_one(limit, 0, _nano(worst) or 0)

    def settle(self, row: int, settlement: Settlement) -> None:
        """Put what a request really cost in the place of its reservation.

        A cost of None leaves the reservation in force.
        """
        values = {**vars(settlement), "cost": _nano(settlement.cost)}
        assignments = ", ".join(f"{name} = :{name}" for name in values)
        with self._transaction() as connection:
            connection.execute(f"UPDATE sent SET {assignments} WHERE id = :id", {**values, "id": row})  # noqa: S608

    def observe(self, row: int, observation: Observation, agreement: float | None) -> None:
        """Keep what the local model made of the prompt that `row` sent, and whether the answers agree."""
        values = {
            **vars(observation),
            "signals": json.dumps(observation.signals),
            "running": json.dumps(observation.running),
            "sent": row,
            "agreement": agreement,
        }
        names, places = ", ".join(values), ", ".join(f":{name}" for name in values)
        with self._transaction() as connection:
            connection.execute(f"INSERT INTO observed ({names}) VALUES ({places})", values)  # noqa: S608

    def observations(self) -> dict[int, dict[str, Any]]:
        """What was observed, by the request's row, oldest first."""
        if not self.path.exists():
            return {}
        with self._transaction() as connection:
            rows = _dictionaries(connection.execute("SELECT * FROM observed ORDER BY sent"))
        decoded = [
            {**row, **{name: json.loads(row[name]) for name in ("signals", "running")}} for row in rows
        ]
        return {row.pop("sent"): row for row in decoded}

    def left(self, limit: Limit, run: str) -> float:
        """What `limit` still allows: USD, or calls."""
        if not self.path.exists():
            return limit.at_most
        with self._transaction() as connection:
            used = _used(connection, limit, run, _now())
        return max(0.0, limit.at_most - (used / NANO if limit.unit == "usd" else used))

    def spent(self, run: str) -> float:
        """USD that the requests of `run` have cost, or, where that is not settled, may cost."""
        if not self.path.exists():
            return 0.0
        with self._open() as connection:  # no transaction: a reader waits for no writer
            found = connection.execute(f"SELECT SUM({_SPENT}) FROM sent WHERE run = ?", [run])  # noqa: S608  as in _used
            return float(found.fetchone()[0] or 0) / NANO

    def rows(self, since: str = "") -> list[dict[str, Any]]:
        """Every row from the day `since` (ISO 8601) on, oldest first; amounts in USD."""
        if not self.path.exists():
            return []
        with self._transaction() as connection:
            rows = _dictionaries(connection.execute("SELECT * FROM sent WHERE at >= ? ORDER BY id", [since]))
        return [
            {**row, **{name: row[name] and row[name] / NANO for name in ("reserved", "cost")}} for row in rows
        ]

    def purges(self) -> list[dict[str, Any]]:
        """When requests were forgotten, and how many."""
        if not self.path.exists():
            return []
        with self._transaction() as connection:
            found = connection.execute("SELECT at, requests FROM purges ORDER BY at").fetchall()
        return [{"at": at, "requests": requests} for at, requests in found]

    def purge(self) -> int:
        """Forget what was sent; the number of requests.

        Of the current month the amounts stay, without what they were for: a purge gives no budget back.
        """
        if not self.path.exists():
            return 0
        month = _since("month", _now())
        with self._transaction() as connection:
            count = connection.execute("SELECT COUNT(*) FROM sent WHERE sha256 != ''").fetchone()[0]
            connection.execute(
                "INSERT INTO purges VALUES (?, ?)", [_now().isoformat(timespec="seconds"), count]
            )
            connection.execute("DELETE FROM sent WHERE at < ?", [month])
            connection.execute("DELETE FROM observed")
            connection.execute(
                "UPDATE sent SET decided_by = '', reason = '', origin = '', model = '', tools = '',"
                " bytes = 0, sha256 = '', redactions = '{}', prompt = NULL, answer = NULL"
            )
        with self._open() as connection:
            _when_free(lambda: connection.execute("VACUUM"))
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(count)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._open() as connection:
            _when_free(lambda: connection.execute("BEGIN IMMEDIATE"))
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        import sqlite3

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(
                self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600
            )  # private from the start
            if os.fstat(descriptor).st_mode & 0o077:
                os.fchmod(descriptor, 0o600)
            os.close(descriptor)
            with closing(
                sqlite3.connect(self.path, timeout=_DEAF_SECONDS, isolation_level=None)
            ) as connection:
                _when_free(lambda: _prepare(connection))
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise Failure(
                ExitStatus.FAILURE, f"the ledger {self.path} cannot be used: {_told(error)}"
            ) from None


def _prepare(connection: sqlite3.Connection) -> None:
    """Bring a new ledger into its form; done again, it changes nothing."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # safe from kills; FULL only adds fsyncs
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"CREATE TABLE IF NOT EXISTS sent ({_COLUMNS})")
    connection.execute("CREATE TABLE IF NOT EXISTS purges (at TEXT NOT NULL, requests INTEGER NOT NULL)")
    connection.execute(f"CREATE TABLE IF NOT EXISTS observed ({_OBSERVED})")
    connection.execute("CREATE INDEX IF NOT EXISTS sent_at ON sent (at)")


def _when_free(act: Callable[[], object]) -> None:
    """Do `act` once no other process holds the file.

    SQLite waits for that only briefly, and not at all where two change a file's journal mode at once.
    """
    import sqlite3

    ends = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            act()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > ends:
                raise
            time.sleep(0.02)
        else:
            return


def _told(error: Exception) -> str:
    """What is wrong with the file, and what to do."""
    import sqlite3

    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return f"it is damaged ({error}); nothing is sent until you move it away, and with it what it counts"
    return getattr(error, "strerror", None) or str(error)


def _dictionaries(found: sqlite3.Cursor) -> list[dict[str, Any]]:
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _since(period: Period, now: datetime) -> str:
    """The first moment of the period that holds `now`, as it compares with the column `at`."""
    return f"{now:%Y-%m-%d}" if period == "day" else f"{now:%Y-%m}"


def _nano(usd: float | None) -> int | None:
    return None if usd is None else -int(-usd * NANO // 1)


def _used(connection: sqlite3.Connection, limit: Limit, run: str, now: datetime) -> int:
    """What counts against `limit` so far: nano-dollars, or calls."""
    amount = f"SUM({_SPENT})" if limit.unit == "usd" else "COUNT(*)"
    query = f"SELECT {amount} FROM sent WHERE "  # noqa: S608  no word of it comes from outside
    if limit.period == "run":
        found = connection.execute(f"{query}run = ?", [run]).fetchone()
    elif limit.profile is None:
        found = connection.execute(f"{query}at >= ?", [_since(limit.period, now)]).fetchone()
    else:
        values = [_since(limit.period, now), limit.profile]
        found = connection.execute(f"{query}at >= ? AND profile = ?", values).fetchone()
    return int(found[0] or 0)


def _check(
    connection: sqlite3.Connection, limits: Sequence[Limit], run: str, worst: float | None, now: datetime
) -> None:
    for limit in limits:
        _check_one(limit, _used(connection, limit, run, now), _nano(worst) or 0)


def _check_one(limit: Limit, used: int, need: int) -> None:
    if limit.unit == "calls":
        if used + 1 > limit.at_most:
            raise Failure(
                ExitStatus.LIMIT,
                f"{limit.key} is {limit.at_most:.0f} (set by {limit.layer}), and {used} were made;"
                " nothing more is sent",
            )
    elif used + need > (_nano(limit.at_most) or 0):
        raise Failure(
            ExitStatus.LIMIT,
            f"{limit.key} is {usd(limit.at_most)} (set by {limit.layer}): {usd(used / NANO)} is spent or"
            f" reserved, and this call may cost {usd(need / NANO)}; nothing more is sent",
        )


def usd(amount: float) -> str:
    """An amount for people: at least cents, and the more digits the smaller it is."""
    digits = 2 if amount >= 1 else 4 if amount >= 0.01 else 8
    whole, _, part = f"{amount:.{digits}f}".partition(".")
    return f"${whole}.{part.rstrip('0').ljust(2, '0')}"


def usd_bound(amount: float) -> str:
    """As `usd`, of an amount that will not be passed: rounded up to a hundredth of a cent."""
    return usd(math.ceil(amount * 10_000) / 10_000)


def in_unit(value: float, unit: Unit) -> str:
    """What a limit counts, for a reader: money, or a whole number of calls."""
    return usd(value) if unit == "usd" else f"{value:.0f}"
