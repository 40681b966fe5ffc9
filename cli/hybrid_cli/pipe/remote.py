"""The code that Ray runs on a cluster's nodes: one task that reads the records, and the local side on each node.

Ray starts it, stops it, and restarts it elsewhere. No prompt is handed off from here.
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
from hybrid_cli.cascade.cascade import Decision
from hybrid_cli.egress.permission import withhold_keys
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.local.threads import usable_cores
from hybrid_cli.local.worker import Worker
from hybrid_cli.pipe.pending import PendingRecord, pending_records
from hybrid_cli.pipe.record_cascade import HandoffDue, Instruction, RecordCascades, RecordOutcome, outcome_of
from hybrid_cli.pipe.record_kinds import Each
from hybrid_cli.pipe.records import Record, Source
from hybrid_cli.pipe.resume import Done
from hybrid_cli.pipe.shared_engine import LOCAL_THREADS, EngineGone, SharedEngine
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
    """A node's input: everything from the driver's files and variables that the answers depend on."""

    instruction: Instruction
    policy: Policy
    sink: Sink
    each: Each
    files: tuple[Path, ...]
    as_objects: bool
    enforcement: str
    weights: str | None
    """sha256; None without a local model."""
    criterion: Criterion | None
    consent: str
    """The value of HYBRID_CONSENT."""
    home: str | None
    """HYBRID_HOME, if it is set."""
    verbosity: int
    jobs: int | None
    cores: dict[str, int]
    """By node, as Ray knows them."""
    version: str = __version__

    def environment(self) -> NodeEnvironment:
        """Return the environment of a node."""
        variables = {**os.environ, "HYBRID_CONSENT": self.consent}
        if self.home is not None:
            variables["HYBRID_HOME"] = self.home
        environment = NodeEnvironment(
            stdin=None, stdout=io.BytesIO(), stderr=None, variables=variables, verbosity=self.verbosity
        )
        withhold_keys(self.policy, environment)
        return environment

    def cascades(self, environment: Environment, engine: SharedEngine | None) -> RecordCascades:
        """Return the cascades of this job's records."""
        return RecordCascades(
            self.instruction,
            self.policy,
            self.enforcement,
            environment,
            engine,
            as_objects=self.as_objects,
            criterion=self.criterion,
        )


class NodeEnvironment(Environment):
    """Ignores the node's own consents and calibrations; nobody can be asked there."""

    @property
    def config_folder(self) -> Path:
        return Path(os.devnull)


@dataclass(frozen=True)
class Batch:
    """Records that travel together."""

    records: list[PendingRecord] = field(default_factory=list)
    decisions: dict[int, Decision] = field(default_factory=dict)
    """For records that are due for a handoff, by the record's number."""
    failure: Failure | None = None
    """It ends the whole run."""
    messages: str = ""
    """A node's stderr."""


class Records(Datasource):  # type: ignore[misc]
    """The records of files in batches, read by one task on the driver's node.

    The task reads much faster than any cluster answers. It numbers the records, and makes the same batches if Ray
    runs it again.
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
        key = job.cascades(environment, None).key
        found = pending_records(Source(job.files, job.each, environment), job.sink, key, done)
        for batch in _batches(found):
            yield _table(batch)
    except Failure as failure:
        yield _table(Batch(failure=failure))


def _table(batch: Batch) -> Any:
    return pyarrow.table({COLUMN: pyarrow.array([pickle.dumps(batch)], pyarrow.binary())})


def _batches(found: Iterable[PendingRecord]) -> Iterator[Batch]:
    most, held, records, size = _FIRST, [], 0, 0
    for pending in found:
        held.append(pending)
        if pending.record is not None:
            records += 1
            size += len(pending.record.raw)
        if records >= most or size >= _MOST_BYTES or len(held) >= _MOST_PASSED:
            yield Batch(held)
            held, records, size = [], 0, 0
            most = min(2 * most, _MOST)
    if held:
        yield Batch(held)


class Node:
    """The local side on one node: an actor that holds the engine. Ray may restart it from nothing."""

    def __init__(self, job: Job) -> None:
        self._failure: Failure | None = None
        self._threads = ThreadPoolExecutor(LOCAL_THREADS)
        try:
            self._cascades = self._start(job)
        except Failure as failure:
            self._failure = _on_node(failure)

    def __call__(self, table: dict[str, Any]) -> dict[str, list[bytes]]:
        """Decide about the batches in a table from Ray."""
        batches = map(pickle.loads, table[COLUMN])  # this program pickled them
        return {COLUMN: [pickle.dumps(self._decided(batch)) for batch in batches]}

    def _start(self, job: Job) -> RecordCascades:
        if job.version != __version__:
            raise Failure(
                ExitStatus.FAILURE, f"hybrid is {__version__} here, but {job.version} on the driver"
            )
        environment = job.environment()
        if job.weights is None:
            return job.cascades(environment, None)
        policy = job.policy
        weights = Store(environment).locate(policy.local.model)
        if weights.sha256 != job.weights:
            raise Failure(
                ExitStatus.WEIGHTS,
                f"the weights of {policy.local.model} differ from the driver's: sha256 {weights.sha256}",
            )
        cores = job.cores.get(ray.get_runtime_context().get_node_id(), usable_cores())
        threads = cores if cores < usable_cores() else None
        engine = SharedEngine(
            Worker.spawn(), job.instruction.scheduler_request(weights, policy, job.jobs, threads)
        )
        return job.cascades(environment, engine)

    def _decided(self, batch: Batch) -> Batch:
        if batch.failure is not None or self._failure is not None:
            return Batch(failure=batch.failure or self._failure)
        messages = io.StringIO()
        try:
            records = list(self._threads.map(partial(self._one, messages), batch.records))
        except EngineGone as over:
            failure = over.__cause__
            if not isinstance(failure, Failure):
                raise
            return Batch(failure=_on_node(failure))
        decisions = {}
        for place, pending in enumerate(records):
            if pending.decided is not None and isinstance(pending.decided.outcome, HandoffDue):
                decisions[pending.number] = pending.decided.outcome.decision
                records[place] = replace(pending, decided=None)
        return Batch(records, decisions, messages=messages.getvalue())

    def _one(self, messages: io.StringIO, pending: PendingRecord) -> PendingRecord:
        record, number = pending.record, pending.number
        if record is None or record.is_blank:
            return pending
        cascades = replace(self._cascades, environment=replace(self._cascades.environment, stderr=messages))
        return replace(pending, decided=_decided(cascades, record, number))


def _decided(cascades: RecordCascades, record: Record, number: int) -> RecordOutcome:
    seconds = cascades.policy.limits.seconds
    ends = None if seconds is None else cascades.environment.clock() + seconds
    try:
        cascade = cascades.cascade(record, number, ends)
        # Nobody can be asked here, which counts as a no; after that, a local answer may be needed.
        return outcome_of(cascade, cascade.ask(cascade.decide()))
    except Failure as failure:
        return RecordOutcome(failure)


def _on_node(failure: Failure) -> Failure:
    return Failure(failure.status, f"node {platform.node()}: {failure}")
