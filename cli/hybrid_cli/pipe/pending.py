"""Records that still need an answer, each with its place in the input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from hybrid_cli.pipe.record_cascade import LocalOutcome
from hybrid_cli.pipe.records import Record
from hybrid_cli.pipe.resume import AnsweredKeys
from hybrid_cli.pipe.sink import Sink


@dataclass(frozen=True)
class PendingRecord:
    """A record on its way into the pipeline."""

    number: int
    """Its place in the input, from 1."""
    record: Record | None
    """None if an earlier run answered it."""
    local_outcome: LocalOutcome | None = None
    """None unless a cluster's node has already decided about it."""


def pending_records(
    source: Iterable[Record], sink: Sink, key: Callable[[Record], str], answered: AnsweredKeys | None
) -> Iterator[PendingRecord]:
    """Yield the records of `source`, without those `answered` before.

    A record that `sink` cannot write gets a problem instead of an answer.
    """
    for number, record in enumerate(source, 1):
        if answered is not None and answered.take(key(record)):
            yield PendingRecord(number, None)
        else:
            problem = record.problem or sink.problem(record)
            yield PendingRecord(number, replace(record, problem=problem) if problem else record)
