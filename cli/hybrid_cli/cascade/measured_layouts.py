"""How fast a model is in each layout of its weights on this machine: measured after a pull, read by every run."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from hybrid_cli.exit_status import Failure
from hybrid_cli.local.layouts import Layouts
from hybrid_cli.local.protocol import Measured, MeasureLayouts
from hybrid_cli.local.worker import Worker
from hybrid_cli.system.files import DEFAULT_MODE, read_regular, replacing
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Manifest, Store

_LARGEST = 4096
"""Bytes of a record."""
_LEAST_SIZE = 64 << 20
"""Bytes. The weights of a smaller model are rearranged in no time."""


def read_layouts(weights_id: str, environment: Environment) -> Layouts | None:
    """Return the speeds of these weights; None if they were not measured."""
    try:
        record = read_regular(Store(environment).speeds_file(weights_id), _LARGEST + 1)
        return None if len(record) > _LARGEST else msgspec.json.decode(record, type=Layouts)
    except (OSError, msgspec.DecodeError, RecursionError):
        return None


def measure_stored(manifest: Manifest, environment: Environment) -> None:
    """Measure a model that was just stored, as `measure_layouts` does."""
    measure_layouts(manifest.sha256, Store(environment).path(manifest), manifest.size, environment)


def measure_layouts(weights_id: str, model: Path, size: int, environment: Environment) -> None:
    """Measure `model`, a file, and keep its speeds, unless they are known. Where that fails, nothing is kept."""
    if size < _LEAST_SIZE:
        return
    known = read_layouts(weights_id, environment)
    request = MeasureLayouts(str(model.absolute()), "" if known is None else known.kernels)
    engine = Worker.spawn()  # a download may have started threads
    with contextlib.ExitStack() as stack, contextlib.suppress(Failure, OSError, msgspec.DecodeError):
        stack.callback(engine.stop)
        if environment.can_animate():  # a log needs no line about seconds
            stack.enter_context(environment.waiting("measuring how fast the model is on this machine"))
        for event in engine.events(request):
            if isinstance(event, Measured) and event.layouts is not None:
                path = Store(environment).speeds_file(weights_id)
                path.parent.mkdir(exist_ok=True)
                with replacing(path, DEFAULT_MODE) as file:
                    file.write(msgspec.json.encode(event.layouts))
