"""The loaded models: one engine for each model file and its settings, shared by all requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from hybrid_cli.cascade.session import warm_engine
from hybrid_cli.cascade.shared_engine import EngineGone, EngineSlot, SharedEngine
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local.connection import Connection
from hybrid_cli.local.protocol import Event, LocalRequest, SchedulerRequest, Tokens
from hybrid_cli.local.worker import Worker
from hybrid_cli.system.runtime_folder import runtime_folder
from hybrid_cli.system.thread_pool import ThreadPool
from hybrid_cli.system.work_tree import work_tree_of
from hybrid_cli.ui.environment import Environment


@dataclass(frozen=True)
class _Loaded:
    connection: Connection
    shared: SharedEngine


@dataclass(frozen=True)
class _Start:
    """An engine to find or start."""

    weights_id: str
    request: SchedulerRequest
    keep: float | None
    """Seconds that it stays after this process; None for ever."""
    outcome: Future[_Loaded] = field(default_factory=Future)

    @property
    def key(self) -> tuple[str, bytes]:
        return self.weights_id, msgspec.json.encode(self.request)


class Engines:
    """Starts each engine when it is first needed, and again if it has ended. Safe to use from several threads."""

    def __init__(self, environment: Environment, *, may_connect: bool = True) -> None:
        """With `may_connect`, engines that stay loaded are used and started; otherwise each is a process of its own."""
        self._environment = environment
        self._may_connect = may_connect
        self._folder = runtime_folder(environment.variables)
        self._loaded: dict[tuple[str, bytes], _Loaded] = {}
        # A worker ends with the thread that started it (prctl(2)), so this one must outlive all requests.
        self._starter: ThreadPool[_Start] = ThreadPool(1, self._start, lambda _: None)

    def engine_for(self, request: LocalRequest, keep: float | None) -> SharedEngine:
        """Return the engine for `request`; it stays for `keep` seconds after this process. Raises Failure."""
        scheduler = SchedulerRequest(
            path=request.path,
            examples=[],
            jobs=None,
            context=request.context,
            threads=request.threads,
            require_enforcement=request.require_enforcement,
            mmap_over_memory=request.mmap_over_memory,
            gpu_layers=request.gpu_layers,
            projector=request.projector,
            layouts=request.layouts,
        )
        start = _Start(request.weights_id, scheduler, keep)
        found = self._loaded.get(start.key)
        if found is None or found.shared.is_gone:
            self._starter.put(start)
            found = start.outcome.result()
        return found.shared

    def _start(self, start: _Start) -> None:
        try:
            start.outcome.set_result(self._started(start))
        except BaseException as error:  # noqa: BLE001  raised where the engine is waited for
            start.outcome.set_exception(error)

    def _started(self, start: _Start) -> _Loaded:
        found = self._loaded.get(start.key)
        if found is not None:
            if not found.shared.is_gone:  # started for another request meanwhile
                return found
            found.connection.stop()
        connection: Connection | None = None
        if self._may_connect and work_tree_of(Path(self._folder), self._environment.variables) is None:
            # The settings that `hybrid run` has for the same model, so that both use one engine.
            settings = msgspec.structs.replace(start.request, require_enforcement=False)
            connection = warm_engine(
                self._folder,
                start.weights_id,
                settings,
                start.keep,
                may_start=True,
                changes_keep=start.keep != 0,
            )
        connection = connection or Worker.spawn()
        loaded = _Loaded(connection, SharedEngine(connection, start.request))
        self._loaded[start.key] = loaded
        return loaded

    def close(self) -> None:
        """Leave the engines that stay, and stop the others."""
        for loaded in list(self._loaded.values()):
            loaded.connection.stop()


class ServedEngine:
    """An `Engine` for one prompt. If the shared engine has ended, the prompt begins anew in another one."""

    def __init__(
        self,
        engines: Engines,
        keep: float | None,
        clock: Callable[[], float],
        on_slot: Callable[[EngineSlot], None],
    ) -> None:
        """`on_slot` gets each slot that is used."""
        self._engines, self._keep, self._clock = engines, keep, clock
        self._on_slot = on_slot
        self._slot: EngineSlot | None = None

    def events(self, request: LocalRequest) -> Iterator[Event]:
        """Yield the events of one sequence. Raises Failure."""
        for is_last in (False, True):
            self._slot = EngineSlot(self._engines.engine_for(request, self._keep), None, self._clock)
            self._on_slot(self._slot)
            has_begun = False
            try:
                for event in self._slot.events(request):
                    has_begun = has_begun or isinstance(event, Tokens)
                    yield event
            except EngineGone as gone:
                if is_last or has_begun:
                    why = f"{gone.__cause__}; send the request again" if has_begun else str(gone.__cause__)
                    raise Failure(ExitStatus.FAILURE, why) from None
            else:
                return

    def stop(self) -> None:
        """Stop generating the sequence."""
        if self._slot is not None:
            self._slot.stop()
