"""Connections to the ledger's SQLite file: its tables, its privacy, and waiting for other processes."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_cli.exit_status import ExitStatus, Failure

if TYPE_CHECKING:
    import sqlite3  # late, as most runs send nothing

_BUSY_SECONDS = 60
_SQLITE_WAIT_SECONDS = 0.5
"""How long SQLite waits by itself. Meanwhile no signal is handled, so no deadline either."""
_SENT = """
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,           -- UTC, ISO 8601
    run TEXT NOT NULL,          -- one process: Environment.run_id
    profile TEXT NOT NULL,      -- the name of the chosen profile
    decided_by TEXT NOT NULL,   -- the layer that set the mode
    reason TEXT NOT NULL,       -- as in the answer object
    origin TEXT NOT NULL,
    model TEXT NOT NULL,
    tools TEXT NOT NULL,        -- hosted tools asked for, comma-separated
    bytes INTEGER NOT NULL,     -- of the payload
    sha256 TEXT NOT NULL,       -- of the payload
    redactions TEXT NOT NULL,   -- JSON: number of redacted places by kind
    reserved INTEGER,           -- nano-dollars in the worst case; NULL: the price is unknown
    outcome TEXT NOT NULL,      -- open, answered, refused (nothing to pay), unknown (the reservation counts)
    cost INTEGER,               -- nano-dollars; NULL until settled, or if it is unknown
    estimated INTEGER NOT NULL DEFAULT 0,  -- 1: the server reported no usage
    tokens_in INTEGER,
    tokens_cached INTEGER,      -- part of tokens_in
    tokens_out INTEGER,
    tokens_reasoning INTEGER,   -- part of tokens_out
    prompt TEXT,                -- only with log.prompts: true
    answer TEXT,
    images TEXT NOT NULL DEFAULT '[]'  -- JSON: media type, bytes and sha256 of each image
"""
_OBSERVED = """
    sent INTEGER PRIMARY KEY,   -- the row of the request in `sent`
    weights TEXT NOT NULL,      -- sha256 of the local model
    version INTEGER NOT NULL,   -- of the set of signals
    signals TEXT NOT NULL,      -- JSON: the local answer's signals, numbers by name
    running TEXT NOT NULL,      -- JSON: the mean log-probability at each checkpoint that the answer reached
    tokens_in INTEGER NOT NULL,
    tokens_out INTEGER NOT NULL,
    agreement REAL              -- 1 if both answers agree, 0 if not; NULL: unknown
"""


@contextmanager
def transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that holds the write lock; commits at the end of the block, or rolls back if it raises."""
    with connect(path) as connection:
        when_free(lambda: connection.execute("BEGIN IMMEDIATE"))
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that reads one state of the ledger at `path`, and waits for no writer.

    Where nothing can be written, it reads a copy in memory: SQLite would write beside the file even to read it. Raises
    Failure if the ledger cannot be read.
    """
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        with connect(path) as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.rollback()
        return
    import sqlite3

    with _as_failures(path), closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        _copy(path, copy)
        _prepare(copy)
        yield copy


def _copy(path: Path, copy: sqlite3.Connection) -> None:
    """Copy the ledger at `path`, which cannot be written, with what is only in its write-ahead log.

    SQLite opens it so if another process has it open, for which the disk may be writable. Else nothing changes the
    files: a log that a crash left is read from a copy of both, and without one the ledger is its file alone.
    """
    import sqlite3

    log = path.with_name(f"{path.name}-wal")
    place = path.absolute().as_uri()
    try:
        _copy_from(f"{place}?mode=ro", copy)
    except sqlite3.OperationalError:
        if not (log.exists() and log.stat().st_size):
            _copy_from(f"{place}?mode=ro&immutable=1", copy)
            return
        with tempfile.TemporaryDirectory() as folder:
            for file in (path, log):
                shutil.copyfile(file, Path(folder, file.name))
            _copy_from(Path(folder, path.name).as_uri(), copy)


def _copy_from(uri: str, copy: sqlite3.Connection) -> None:
    import sqlite3

    with closing(sqlite3.connect(uri, uri=True)) as source:
        source.backup(copy)


@contextmanager
def _as_failures(path: Path) -> Iterator[None]:
    """Raise errors of SQLite and of files in the block as Failure about the ledger at `path`."""
    import sqlite3

    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise Failure(ExitStatus.FAILURE, f"the ledger {path} cannot be used: {_explained(error)}") from None


@contextmanager
def connect(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the ledger at `path`, which is created if it is missing.

    Raises Failure if it cannot be read or written.
    """
    import sqlite3

    with _as_failures(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)  # private when created
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
        os.close(descriptor)
        with closing(sqlite3.connect(path, timeout=_SQLITE_WAIT_SECONDS, isolation_level=None)) as connection:
            when_free(lambda: _prepare(connection))
            yield connection


def _prepare(connection: sqlite3.Connection) -> None:
    """Create what is missing in a new ledger."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # survives kills; FULL only adds fsyncs
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"CREATE TABLE IF NOT EXISTS sent ({_SENT})")
    connection.execute("CREATE TABLE IF NOT EXISTS purges (at TEXT NOT NULL, requests INTEGER NOT NULL)")
    connection.execute(f"CREATE TABLE IF NOT EXISTS observed ({_OBSERVED})")
    if "images" not in {column[1] for column in connection.execute("PRAGMA table_info(sent)")}:
        _add_column(connection, "images TEXT NOT NULL DEFAULT '[]'")
    connection.execute("CREATE INDEX IF NOT EXISTS sent_at ON sent (at)")


def _add_column(connection: sqlite3.Connection, column: str) -> None:
    """Add a column that ledgers of earlier versions do not have."""
    import sqlite3

    try:
        connection.execute(f"ALTER TABLE sent ADD COLUMN {column}")
    except sqlite3.OperationalError as error:  # another process was quicker
        if "duplicate column" not in str(error):
            raise


def when_free(act: Callable[[], object]) -> None:
    """Call `act` once no other process has locked the file.

    SQLite itself waits only briefly, and not at all if two processes change the journal mode at once.
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


def _explained(error: Exception) -> str:
    import sqlite3

    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return f"it is damaged ({error}); to send again, move the file away; its budgets then start at zero"
    return getattr(error, "strerror", None) or str(error)
