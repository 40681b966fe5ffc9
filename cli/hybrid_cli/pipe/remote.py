"""The code that Ray runs on a cluster's nodes: one task reads the records, and each node decides about some.

Ray starts and stops this code, and restarts it on another node. It hands nothing off.
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
from hybrid_cli.cascade.decision import Decision
from hybrid_cli.cascade.shared_engine import LOCAL_THREADS, EngineGone, SharedEngine
from hybrid_cli.egress.permission import withhold_keys
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.local.threads import usable_cores
from hybrid_cli.local.worker import Worker
from hybrid_cli.pipe.pending import PendingRecord, pending_records
from hybrid_cli.pipe.record_cascade import (
    HandoffDue,
    Instruction,
    LocalOutcome,
    RecordCascades,
    local_outcome,
)
from hybrid_cli.pipe.record_kinds import Input
from hybrid_cli.pipe.records import Record, Source
from hybrid_cli.pipe.resume import AnsweredKeys
from hybrid_cli.pipe.sink import Sink
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Store

COLUMN = "batch"
"""The one column of Ray's tables: each row holds a pickled `Batch`."""
_FIRST_BATCH = 4
"""Records in the first batch: few, so that the first answers come soon. Later batches double up to the maximum."""
_MAX_BATCH = 16
"""A node has two batches at a time, so that its engine never waits for the last record of one."""
_MAX_BATCH_BYTES = 1_000_000
_MAX_BATCH_ENTRIES = 10_000
"""Records in a batch, including those that an earlier run answered."""


@dataclass(frozen=True)
class Job:
    """A node's input: everything on the driver that the answers depend on."""

    instruction: Instruction
    policy: Policy
    sink: Sink
    each: Input
    delimiter: str | None
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
    """CPU cores by Ray's node id."""
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
    """Ignores the node's own consents and calibrations, and never asks questions."""

    @property
    def config_folder(self) -> Path:
        return Path(os.devnull)


@dataclass(frozen=True)
class Batch:
    """Records sent to and from a node together."""

    records: list[PendingRecord] = field(default_factory=list)
    decisions: dict[int, Decision] = field(default_factory=dict)
    """By record number, for the records to hand off."""
    failure: Failure | None = None
    """Ends the whole run."""
    messages: str = ""
    """The node's stderr."""


class Records(Datasource):  # type: ignore[misc]
    """Reads records from files in batches, by one task on the driver's node.

    One task is enough: it reads much faster than any cluster answers. It numbers the records, and makes the same
    batches again if Ray restarts it.
    """

    def __init__(self, job: Job, answered: AnsweredKeys | None) -> None:
        super().__init__()
        self._job, self._answered = job, answered

    @property
    def supports_distributed_reads(self) -> bool:
        return False

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, *_arguments: Any, **_options: Any) -> list[ReadTask]:
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(partial(_read_tables, self._job, self._answered), unknown)]


def _read_tables(job: Job, answered: AnsweredKeys | None) -> Iterator[Any]:
    try:
        environment = job.environment()
        key = job.cascades(environment, None).key
        records = pending_records(
            Source(job.files, job.each, environment, job.delimiter), job.sink, key, answered
        )
        for batch in _batches(records):
            yield _table(batch)
    except Failure as failure:
        yield _table(Batch(failure=failure))


def _table(batch: Batch) -> Any:
    return pyarrow.table({COLUMN: pyarrow.array([pickle.dumps(batch)], pyarrow.binary())})


def _batches(source: Iterable[PendingRecord]) -> Iterator[Batch]:
    limit, held, records, size = _FIRST_BATCH, [], 0, 0
    for pending in source:
        held.append(pending)
        if pending.record is not None:
            records += 1
            size += len(pending.record.raw)
        if records >= limit or size >= _MAX_BATCH_BYTES or len(held) >= _MAX_BATCH_ENTRIES:
            yield Batch(held)
            held, records, size = [], 0, 0
            limit = min(2 * limit, _MAX_BATCH)
    if held:
        yield Batch(held)


class Node:
    """The actor that holds the engine on one node. Ray may restart it, without any state."""

    def __init__(self, job: Job) -> None:
        self._failure: Failure | None = None
        self._threads = ThreadPoolExecutor(LOCAL_THREADS)
        try:
            self._cascades = self._start(job)
        except Failure as failure:
            self._failure = _naming_this_node(failure)

    def __call__(self, table: dict[str, Any]) -> dict[str, list[bytes]]:
        """Decide about the batches in a table from Ray, and return them as such a table."""
        batches = map(pickle.loads, table[COLUMN])  # this program pickled them
        return {COLUMN: [pickle.dumps(self._decide_batch(batch)) for batch in batches]}

    def _start(self, job: Job) -> RecordCascades:
        if job.version != __version__:
            raise Failure(
                ExitStatus.FAILURE, f"this node runs hybrid {__version__}, but the driver runs {job.version}"
            )
        environment = job.environment()
        if job.weights is None:
            return job.cascades(environment, None)
        policy = job.policy
        weights = Store(environment).locate(policy.local.model)
        if weights.sha256 != job.weights:
            raise Failure(
                ExitStatus.WEIGHTS,
                f"the weights of {policy.local.model} differ from the driver's (sha256 {weights.sha256})",
            )
        cores = job.cores.get(ray.get_runtime_context().get_node_id(), usable_cores())
        threads = cores if cores < usable_cores() else None
        request = job.instruction.scheduler_request(weights, policy, environment, job.jobs, threads)
        engine = SharedEngine(Worker.spawn(), request)
        return job.cascades(environment, engine)

    def _decide_batch(self, batch: Batch) -> Batch:
        if batch.failure is not None or self._failure is not None:
            return Batch(failure=batch.failure or self._failure)
        messages = io.StringIO()
        try:
            records = list(self._threads.map(partial(self._decide_record, messages), batch.records))
        except EngineGone as gone:
            failure = gone.__cause__
            if not isinstance(failure, Failure):
                raise
            return Batch(failure=_naming_this_node(failure))
        decisions = {}
        for place, pending in enumerate(records):
            local = pending.local_outcome
            if local is not None and isinstance(local.result, HandoffDue):
                decisions[pending.number] = local.result.decision
                records[place] = replace(pending, local_outcome=None)
        return Batch(records, decisions, messages=messages.getvalue())

    def _decide_record(self, messages: io.StringIO, pending: PendingRecord) -> PendingRecord:
        record, number = pending.record, pending.number
        if record is None or record.is_blank:
            return pending
        cascades = replace(self._cascades, environment=replace(self._cascades.environment, stderr=messages))
        return replace(pending, local_outcome=_decide(cascades, record, number))


def _decide(cascades: RecordCascades, record: Record, number: int) -> LocalOutcome:
    seconds = cascades.policy.limits.seconds
    with cascades.turn():
        deadline = None if seconds is None else cascades.environment.clock() + seconds
        try:
            cascade = cascades.cascade_for(record, number, deadline)
            # No user can be asked here, which counts as a no. After a no, `ask` may run the local model.
            return local_outcome(cascade, cascade.ask(cascade.decide()))
        except Failure as failure:
            return LocalOutcome(failure)


def _naming_this_node(failure: Failure) -> Failure:
    return Failure(failure.status, f"node {platform.node()}: {failure}")
