"""How fast a model is in each layout of its weights on this machine: measured after a pull, read by every run."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from hybrid_cli.exit_status import Failure
from hybrid_cli.local.layouts import Layouts
from hybrid_cli.local.protocol import Measured, MeasureLayouts
from hybrid_cli.local.worker import Worker
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Store

_LEAST_SIZE = 64 << 20
"""Bytes. The weights of a smaller model are rearranged in no time."""


def read_layouts(weights_id: str, environment: Environment) -> Layouts | None:
    """Return the speeds of these weights; None if they were not measured."""
    try:
        return msgspec.json.decode(Store(environment).speeds_file(weights_id).read_bytes(), type=Layouts)
    except (OSError, msgspec.DecodeError):
        return None


def measure_layouts(weights_id: str, path: Path, size: int, environment: Environment) -> None:
    """Measure the model at `path` and keep its speeds, unless they are known. Where that fails, nothing is kept."""
    if size < _LEAST_SIZE:
        return
    known = read_layouts(weights_id, environment)
    request = MeasureLayouts(str(path.absolute()), "" if known is None else known.kernels)
    engine = Worker.spawn()  # a download may have started threads
    with contextlib.ExitStack() as stack, contextlib.suppress(Failure, OSError):
        stack.callback(engine.stop)
        if environment.can_animate():  # a log needs no line about seconds
            stack.enter_context(environment.waiting("measuring how fast the model is on this machine"))
        for event in engine.events(request):
            if isinstance(event, Measured) and event.layouts is not None:
                Store(environment).keep_speeds(weights_id, msgspec.json.encode(event.layouts))
