"""A pipe whose local side is on the nodes of a Ray cluster. This process hands off, keeps the ledger and writes.

So key, consent, scan and budget stay in one place, however many nodes there are. Ray Data keeps the order and
does again what a lost node was at.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import ray
from ray.data import ActorPoolStrategy, DataContext, read_datasource
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hybrid_cli.exit_status import ExitStatus, Failure, Interrupted
from hybrid_cli.gate.criterion import criterion_of
from hybrid_cli.local.threads import usable_cores
from hybrid_cli.pipe.pending import PendingRecord
from hybrid_cli.pipe.record_cascade import HandoffDue, RecordCascades, RecordOutcome
from hybrid_cli.pipe.records import Source
from hybrid_cli.pipe.remote import COLUMN, Batch, Job, Node, Records
from hybrid_cli.pipe.resume import Done
from hybrid_cli.pipe.sink import Sink
from hybrid_cli.privacy.consent import Consent
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.ui.environment import Environment, deadline
from hybrid_cli.ui.sanitize import shorten
from hybrid_cli.weights.store import Store

_KNOCK_SECONDS = 5.0
_JOIN_SECONDS = 30.0
_LOOK_SECONDS = 2.0
_OBJECT_STORE_BYTES = 200_000_000
"""Of a cluster that is started here: batches of text are small."""
_SHARE_OF_A_CORE = 0.01
"""What Ray is told that an engine takes. It uses its whole node, but must find room on another one when that is
lost, and Ray would never place it where all cores are taken."""


@contextlib.contextmanager
def joined(address: str, environment: Environment) -> Iterator[None]:
    """Be a part of the cluster at `address`; under `auto` of one that runs here, or else of one's own.

    Raises Failure (USAGE) where there is none.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with _silenced(environment):
        try:
            with environment.waiting("joining the cluster"):
                _join(address)
            for number, handler in handlers.items():  # Ray puts its own
                signal.signal(number, handler)
            yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _silenced(environment: Environment) -> Iterator[None]:
    """Keep stdout and stderr for what is written through `environment`: Ray and its native code write there too."""
    named = {1: environment.stdout, 2: environment.stderr}
    own = {number: os.dup(number) for number in named}
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        if environment.stdout is not None:
            environment.stdout = os.fdopen(own[1], "wb", closefd=False)
        if environment.stderr is not None:
            environment.stderr = os.fdopen(own[2], "w", encoding="utf-8", errors="replace", closefd=False)
        for number in named:
            os.dup2(nothing, number)
        yield
    finally:
        environment.stdout, environment.stderr = named[1], named[2]  # type: ignore[assignment]
        for number, descriptor in own.items():
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(nothing)


def _join(address: str) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
    named = os.environ.get("RAY_ADDRESS", address) if address == "auto" else address
    if named != "auto":
        _knock(named)
    try:
        with deadline(_JOIN_SECONDS):
            ray.init(address=named, **quiet)
    except ConnectionError as error:
        if named != "auto":
            raise _unreachable(named, "it does not answer") from error
        with _uninterrupted():
            ray.init(
                num_cpus=usable_cores(),
                object_store_memory=_OBJECT_STORE_BYTES,
                include_dashboard=False,
                **quiet,
            )
    except Interrupted as interrupted:
        if interrupted.status is not ExitStatus.DEADLINE:
            raise
        raise _unreachable(named, f"no Ray answered within {_JOIN_SECONDS:g} s") from None
    except (RuntimeError, ValueError) as error:
        raise _unreachable(named, "this machine is not a node of it, or runs another Ray") from error


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Signals wait for the end of the block: of a cluster that is half started, processes would be left."""
    noted: list[int] = []
    numbers = [
        number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, lambda given, _: noted.append(given)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if noted:
        signal.raise_signal(noted[0])


def _knock(address: str) -> None:
    """Ray tries for two minutes, and ends the process."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise Failure(
            ExitStatus.USAGE,
            f"`{shorten(address)}` is no cluster's HOST:PORT; `auto` finds one that runs here",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, getattr(error, "strerror", None) or str(error)) from None


def _unreachable(address: str, why: str) -> Failure:
    return Failure(ExitStatus.USAGE, f"there is no cluster to join at {address}: {why}")


def job_of(cascades: RecordCascades, sink: Sink, source: Source, jobs: int | None) -> Job:
    """What the nodes are told. Raises Failure (WEIGHTS) where the weights are not here either."""
    policy, environment = cascades.policy, cascades.environment
    weights = None if policy.mode == "force" else Store(environment).locate(policy.local.model).sha256
    cores = _cores()
    if not cores:
        raise Failure(ExitStatus.FAILURE, "no node of the cluster has a core to work with")
    cloud = policy.cloud
    agreed = cloud is not None and Consent(environment).covers(cloud.base_url, cloud.model)
    return Job(
        cascades.instruction,
        policy,
        sink,
        source.each,
        tuple(path.absolute() for path in source.files),
        cascades.as_objects,
        cascades.enforcement,
        weights,
        None if weights is None else criterion_of(policy, weights, environment),
        origin_of(cloud.base_url) if cloud is not None and agreed else "",
        environment.variables.get("HYBRID_HOME"),
        environment.verbosity,
        jobs,
        cores,
    )


def _cores() -> dict[str, int]:
    """The nodes that have any, each with how many."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    cores = {node["NodeID"]: int(node["Resources"].get("CPU", 0)) for node in alive}
    return {node: count for node, count in cores.items() if count}


def decided(
    job: Job, done: Done | None, cascades: RecordCascades, *, ordered: bool
) -> Iterator[PendingRecord]:
    """The records, each decided on some node; `ordered`: as they were read.

    Raises Failure where the cluster fails.
    """
    environment = cascades.environment
    nodes = len(job.cores)
    over = threading.Event()
    threading.Thread(target=_tell_losses, args=(job, environment, over), daemon=True).start()
    try:
        with environment.waiting(f"starting the local model on {nodes} node{'s' * (nodes > 1)}") as waiting:
            for batch in _batches(job, done, ordered):
                waiting.end()
                environment.write_stderr(batch.messages)
                if batch.failure is not None:
                    raise batch.failure
                for pending in batch.records:
                    yield _resumed(pending, batch, cascades)
    finally:
        over.set()


def _tell_losses(job: Job, environment: Environment, over: threading.Event) -> None:
    """Say so when a node is lost: until Ray has given its work to another, nothing may come."""
    left = set(job.cores)
    while not over.wait(_LOOK_SECONDS):
        with contextlib.suppress(Exception):  # the cluster is being left
            alive = left & set(_cores())
            if alive != left:
                environment.note(
                    f"{len(left - alive)} of {len(left)} nodes lost; others do again what was in hand there"
                )
            left = alive


def _batches(job: Job, done: Done | None, ordered: bool) -> Iterator[Batch]:
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = 1  # a batch is passed on as soon as it is there
    context.execution_options.preserve_order = ordered
    records = read_datasource(Records(job, done), override_num_blocks=1, num_cpus=0)
    decided = records.map_batches(
        Node,
        fn_constructor_args=[job],
        batch_size=1,
        num_cpus=_SHARE_OF_A_CORE,
        compute=ActorPoolStrategy(
            size=len(job.cores),
            max_tasks_in_flight_per_actor=4,
            max_concurrent_calls_per_actor=2,
            enable_true_multi_threading=True,
        ),
        ray_remote_args_fn=_one_a_node(job),
    )
    try:
        for table in decided.iter_batches(batch_size=None, prefetch_batches=0):
            yield from map(pickle.loads, table[COLUMN])
    except Exception as error:
        if os.environ.get("HYBRID_DEBUG"):
            raise
        cause = getattr(error, "cause", None) or error.__cause__ or error
        raise Failure(
            ExitStatus.FAILURE, f"the cluster failed: {type(cause).__name__}; HYBRID_DEBUG=1 shows where"
        ) from error


def _one_a_node(job: Job) -> Callable[[], dict[str, Any]]:
    """Where each engine begins; when its node is lost, it may be made anew on any other."""
    nodes = itertools.cycle(job.cores)
    return lambda: {"scheduling_strategy": NodeAffinitySchedulingStrategy(next(nodes), soft=True)}


def _resumed(pending: PendingRecord, batch: Batch, cascades: RecordCascades) -> PendingRecord:
    """Return `pending` for this process to settle: handoffs leave from here, under this process's policy."""
    decision = batch.decisions.get(pending.number)
    if decision is None or pending.record is None:
        return pending
    cascade = cascades.cascade(pending.record, pending.number)
    cascade.stopwatch.add(decision.seconds)
    return replace(pending, decided=RecordOutcome(HandoffDue(cascade, decision)))
