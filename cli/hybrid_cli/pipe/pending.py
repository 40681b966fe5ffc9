"""Records as they come to be answered, one after another, each with its place in the input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from hybrid_cli.pipe.record_cascade import Judged
from hybrid_cli.pipe.records import Record
from hybrid_cli.pipe.resume import Done
from hybrid_cli.pipe.sink import Sink


@dataclass(frozen=True)
class Arrival:
    """A record that has come."""

    number: int
    """Its place in the input, from 1."""
    record: Record | None
    """None for one that an earlier run has answered."""
    judged: Judged | None = None
    """None where nothing was decided about it yet."""


def arrivals(
    source: Iterable[Record], sink: Sink, key: Callable[[Record], str], done: Done | None
) -> Iterator[Arrival]:
    """The records of `source`, but those that are `done`; what `sink` cannot write is a problem of theirs."""
    for number, record in enumerate(source, 1):
        if done is not None and done.passes(key(record)):
            yield Arrival(number, None)
        else:
            problem = record.problem or sink.problem(record)
            yield Arrival(number, replace(record, problem=problem) if problem else record)
