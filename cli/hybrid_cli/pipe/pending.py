"""Records that wait for an answer, each with its place in the input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from hybrid_cli.pipe.record_cascade import RecordOutcome
from hybrid_cli.pipe.records import Record
from hybrid_cli.pipe.resume import Done
from hybrid_cli.pipe.sink import Sink


@dataclass(frozen=True)
class PendingRecord:
    """A record that was read."""

    number: int
    """Its place in the input, from 1."""
    record: Record | None
    """None if an earlier run answered it."""
    decided: RecordOutcome | None = None
    """None if nothing was decided about it yet."""


def pending_records(
    source: Iterable[Record], sink: Sink, key: Callable[[Record], str], done: Done | None
) -> Iterator[PendingRecord]:
    """Yield the records of `source` that are not `done`. A record that `sink` cannot write has a problem."""
    for number, record in enumerate(source, 1):
        if done is not None and done.passes(key(record)):
            yield PendingRecord(number, None)
        else:
            problem = record.problem or sink.problem(record)
            yield PendingRecord(number, replace(record, problem=problem) if problem else record)
