"""The parts of a start: what `hybrid run` does before its first token, in milliseconds.

    python tests/benchmarks/start_parts.py GGUF [--rounds 9]

The command and the engine's process do their parts at the same time. Each round is a new process, which measures one side;
medians and the load are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIDES = ("command", "engine")


class Parts:
    """Times of the parts of one side, in order."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}

    def timed(self, name: str, part: Callable[[], Any]) -> Any:
        """Do a part, and return its result."""
        begun = time.perf_counter()
        result = part()
        self.times[name] = (time.perf_counter() - begun) * 1000
        return result


def command_side(model: str) -> Parts:
    """Measure what the command does before it asks the engine."""
    import importlib

    parts = Parts()
    for name, modules in {
        "import typer": ["typer"],
        "import msgspec and yaml": ["msgspec", "yaml"],
        "import hybrid's own modules": [
            "hybrid_cli.app",
            "hybrid_cli.commands.run",
            "hybrid_cli.cascade.run_prompt",
        ],
    }.items():
        parts.timed(name, lambda modules=modules: [importlib.import_module(module) for module in modules])
    from hybrid_cli.profile.policy import Flags, merge_policy
    from hybrid_cli.ui.environment import Environment
    from hybrid_cli.weights.store import Store

    environment = Environment.of_process()
    flags = Flags(profile="offline", model=model)
    policy = parts.timed("read the profile", lambda: merge_policy(flags, environment))
    store = Store(environment)
    store.locate(model)  # the first time reads the whole file
    parts.timed("find the weights", lambda: store.locate(policy.local.model))
    return parts


def engine_side(path: str) -> Parts:
    """Measure what the engine's process does, with a prompt of one word."""
    parts = Parts()

    def import_engine() -> None:
        import hybrid_cli.local.inference
        import hybrid_cli.local.loading  # noqa: F401  only the time of the import counts

    parts.timed("import llama.cpp and numpy", import_engine)
    from hybrid_cli.local.bindings import llama_cpp
    from hybrid_cli.local.context import Size, new_context
    from hybrid_cli.local.inference import Inference
    from hybrid_cli.local.loading import Loader
    from hybrid_cli.local.model import Model
    from hybrid_cli.local.protocol import LocalRequest, Task

    only = llama_cpp.llama_model_default_params()
    only.vocab_only = True
    loader = Loader()
    llama_cpp.llama_model_free(
        parts.timed(
            "  of the load: header, tokenizer",
            lambda: llama_cpp.llama_model_load_from_file(os.fsencode(path), only),
        )
    )
    parts.timed("load", lambda: loader.load(path))
    model = Model(loader.handle)
    size = Size.for_tasks([[1] * 32], [16], model.trained_context, None)
    llama_cpp.llama_free(
        parts.timed("allocate a context", lambda: new_context(model, size, os.cpu_count() or 1, loader))
    )
    inference, task = Inference(loader), Task([{"role": "user", "content": "Hi"}], 1)
    request = LocalRequest(path, [task])
    parts.timed(
        "read the prompt, first token (a context included)",
        lambda: inference.answer(request, lambda _event: None),
    )
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--side", choices=SIDES, help="measure one side in this process, and print JSON")
    chosen = parser.parse_args()
    model = str(chosen.model.resolve())
    if chosen.side:
        sys.stdout.write(json.dumps((command_side if chosen.side == "command" else engine_side)(model).times))
        return
    print(f"{chosen.rounds} rounds; load before: {os.getloadavg()[0]:.1f}")
    for side in SIDES:
        command = [sys.executable, __file__, model, "--side", side]
        rounds = [
            json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
            for _ in range(chosen.rounds + 1)
        ]
        print(f"{side}, ms")
        for name in rounds[0]:
            print(f"  {name:<52} {statistics.median(one[name] for one in rounds[1:]):>7.1f}")
    print(f"load after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
