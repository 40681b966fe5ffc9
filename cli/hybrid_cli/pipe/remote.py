"""What runs on the nodes of a cluster: one task that reads the records, and on each node the local side.

All of it is Ray's to start, to stop and to start again elsewhere. Nothing is sent to a cloud from here.
"""

from __future__ import annotations

import io
import os
import pickle
import platform
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow
import ray
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from hybrid_cli import __version__
from hybrid_cli.cascade.cascade import Carried, Decided
from hybrid_cli.egress import permission
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.local.threads import usable_cores
from hybrid_cli.local.worker import Worker
from hybrid_cli.pipe.pending import Arrival, arrivals
from hybrid_cli.pipe.record_cascade import Answering, Asked, Judged, kept
from hybrid_cli.pipe.records import Each, Record, Source
from hybrid_cli.pipe.resume import Done
from hybrid_cli.pipe.shared_engine import LOCAL_CREW, EngineOver, Shared
from hybrid_cli.pipe.sink import Sink
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Store

COLUMN = "batch"
"""Of Ray's tables: each row holds a pickled `Batch`."""
_FIRST = 4
"""Records in the first batch, so that answers come soon; the next ones are larger."""
_MOST = 16
"""The engine has two batches at a time, so that it never waits for the last record of one."""
_MOST_BYTES = 1_000_000
_MOST_PASSED = 10_000


@dataclass(frozen=True)
class Job:
    """What a node has to know: all that the driver's files and variables say of the answers."""

    asked: Asked
    policy: Policy
    sink: Sink
    each: Each
    files: tuple[Path, ...]
    as_objects: bool
    enforcement: str
    weights: str | None
    """sha256; None where no local model is asked."""
    criterion: Criterion | None
    consent: str
    """For HYBRID_CONSENT."""
    home: str | None
    """HYBRID_HOME, where it is set."""
    verbosity: int
    jobs: int | None
    cores: dict[str, int]
    """Of each node, as Ray was told."""
    version: str = __version__

    def environment(self) -> NodeEnvironment:
        variables = {**os.environ, "HYBRID_CONSENT": self.consent}
        if self.home is not None:
            variables["HYBRID_HOME"] = self.home
        environment = NodeEnvironment(
            stdin=None, stdout=io.BytesIO(), stderr=None, variables=variables, verbosity=self.verbosity
        )
        permission.withhold_keys(self.policy, environment)
        return environment

    def answering(self, environment: Environment, engine: Any) -> Answering:
        return Answering(
            self.asked,
            self.policy,
            self.enforcement,
            environment,
            engine,
            as_objects=self.as_objects,
            criterion=self.criterion,
        )


class NodeEnvironment(Environment):
    """A node's own consents and calibrations have no say, and there is nobody to be asked."""

    @property
    def config_folder(self) -> Path:
        return Path(os.devnull)


@dataclass(frozen=True)
class Batch:
    """Records on their way together."""

    arrivals: list[Arrival] = field(default_factory=list)
    carried: dict[int, Carried] = field(default_factory=dict)
    """What is to be handed off, by the record's number."""
    failure: Failure | None = None
    """The end of all."""
    told: str = ""
    """What a node has to say on stderr."""


class Records(Datasource):  # type: ignore[misc]
    """The records of files, in batches, read by one task on the driver's node.

    It reads much faster than any cluster answers, numbers the records, and makes the same batches if Ray has
    to run it again.
    """

    def __init__(self, job: Job, done: Done | None) -> None:
        super().__init__()
        self._job, self._done = job, done

    @property
    def supports_distributed_reads(self) -> bool:
        return False

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, *_arguments: Any, **_options: Any) -> list[ReadTask]:
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(partial(_tables, self._job, self._done), unknown)]


def _tables(job: Job, done: Done | None) -> Iterator[Any]:
    try:
        environment = job.environment()
        key = job.answering(environment, None).key
        found = arrivals(Source(job.files, job.each, environment), job.sink, key, done)
        for batch in _batches(found):
            yield _table(batch)
    except Failure as failure:
        yield _table(Batch(failure=failure))


def _table(batch: Batch) -> Any:
    return pyarrow.table({COLUMN: pyarrow.array([pickle.dumps(batch)], pyarrow.binary())})


def _batches(found: Iterable[Arrival]) -> Iterator[Batch]:
    most, held, records, size = _FIRST, [], 0, 0
    for arrival in found:
        held.append(arrival)
        if arrival.record is not None:
            records += 1
            size += len(arrival.record.raw)
        if records >= most or size >= _MOST_BYTES or len(held) >= _MOST_PASSED:
            yield Batch(held)
            held, records, size = [], 0, 0
            most = min(2 * most, _MOST)
    if held:
        yield Batch(held)


class Node:
    """The local side on one node: an actor that holds the engine. What Ray makes anew begins from nothing."""

    def __init__(self, job: Job) -> None:
        self._failure: Failure | None = None
        self._crew = ThreadPoolExecutor(LOCAL_CREW)
        try:
            self._answering = self._begun(job)
        except Failure as failure:
            self._failure = _on_node(failure)

    def __call__(self, table: dict[str, Any]) -> dict[str, list[bytes]]:
        """Judge the batches of a table of Ray's."""
        batches = map(pickle.loads, table[COLUMN])  # they are of this program's making
        return {COLUMN: [pickle.dumps(self._judged(batch)) for batch in batches]}

    def _begun(self, job: Job) -> Answering:
        if job.version != __version__:
            raise Failure(
                ExitStatus.FAILURE, f"hybrid is {__version__} here, and {job.version} where it began"
            )
        environment = job.environment()
        if job.weights is None:
            return job.answering(environment, None)
        policy = job.policy
        weights = Store(environment).locate(policy.local.model)
        if weights.sha256 != job.weights:
            raise Failure(
                ExitStatus.WEIGHTS,
                f"the weights of {policy.local.model} are others than where it began: sha256 {weights.sha256}",
            )
        cores = job.cores.get(ray.get_runtime_context().get_node_id(), usable_cores())
        threads = cores if cores < usable_cores() else None
        engine = Shared(Worker.spawn(), job.asked.flow(weights, policy, job.jobs, threads))
        return job.answering(environment, engine)

    def _judged(self, batch: Batch) -> Batch:
        if batch.failure is not None or self._failure is not None:
            return Batch(failure=batch.failure or self._failure)
        told = io.StringIO()
        try:
            judged = list(self._crew.map(partial(self._one, told), batch.arrivals))
        except EngineOver as over:
            failure = over.__cause__
            if not isinstance(failure, Failure):
                raise
            return Batch(failure=_on_node(failure))
        carried = {}
        for place, arrival in enumerate(judged):
            if arrival.judged is not None and isinstance(arrival.judged.outcome, Decided):
                carried[arrival.number] = arrival.judged.outcome.carried()
                judged[place] = replace(arrival, judged=None)
        return Batch(judged, carried, told=told.getvalue())

    def _one(self, told: io.StringIO, arrival: Arrival) -> Arrival:
        record, number = arrival.record, arrival.number
        if record is None or record.is_blank:
            return arrival
        answering = replace(self._answering, environment=replace(self._answering.environment, stderr=told))
        return replace(arrival, judged=_judged(answering, record, number))


def _judged(answering: Answering, record: Record, number: int) -> Judged:
    seconds = answering.policy.limits.seconds
    ends = None if seconds is None else answering.environment.clock() + seconds
    try:
        # Where the answer to a question is no, as it is here, a local answer may be called for.
        return kept(answering.cascade(record, number, ends).decide().asked())
    except Failure as failure:
        return Judged(failure)


def _on_node(failure: Failure) -> Failure:
    return Failure(failure.status, f"node {platform.node()}: {failure}")
