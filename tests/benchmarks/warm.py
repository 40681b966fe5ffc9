"""A loaded model against a cold start, `llm` and llama-server, as ratios within one run.

    python tests/benchmarks/warm.py GGUF [--server PATH] [--llm PATH --llm-model NAME] [--rounds 7]

PATH of --server is llama-server as for serve.py. PATH of --llm is `llm` with the plugin llm-gguf, and NAME a model that
it has for the same file. The two sides of a row take turns, so that what else the machine does meets both; medians and
the load are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from serve import Measure, llama_server, row, write_profile

from hybrid_cli.cascade.warm_models import loaded_models
from hybrid_cli.system.runtime_folder import may_be_warm, runtime_folder
from hybrid_cli.ui.environment import Environment

HYBRID = str(Path(sys.executable).parent / "hybrid")
PROMPT = (
    "Write a short story about a red fox who lives near a river and likes to read old books number {} there."
)
QUESTIONS = [
    "Name the capital of France.", "What is the chemical symbol of water?", "Name a prime number over 20.",
    "What is the plural of mouse?", "Translate to German: good morning", "Name the largest planet.",
    "Which shell command lists files?", "What is 7 times 8?", "Name the author of Hamlet.", "Is ice cold?",
]  # fmt: skip


class Bench:
    """One model and a home of its own."""

    def __init__(self, chosen: argparse.Namespace, home: str) -> None:
        self.chosen, self.rounds = chosen, chosen.rounds
        self.variables = {**os.environ, "HYBRID_HOME": home}
        self.model = str(chosen.model.resolve())
        write_profile(home, self.model, chosen.threads)
        self._number = 0

    def run(self, *options: str, prompt: str | None = None) -> list[str]:
        """The command for a prompt that was not asked before, so that only its beginning is held already."""
        self._number += 1
        text = PROMPT.format(self._number) if prompt is None else prompt
        limits = ["--max-tokens", "16", "--allow-truncated"]
        return [HYBRID, "run", "-q", "-p", "bench", *limits, *options, text]

    def unload(self) -> None:
        subprocess.run([HYBRID, "models", "unload", "-q"], env=self.variables, check=True)

    def warm(self, *options: str, prompt: str | None = None) -> list[str]:
        return self.run("--keep-alive", "10m", *options, prompt=prompt)

    def seconds(self, command: list[str]) -> float:
        started = time.perf_counter()
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True, env=self.variables)
        return time.perf_counter() - started

    def first_byte(self, command: list[str]) -> float:
        started = time.perf_counter()
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self.variables,
        ) as process:
            assert process.stdout is not None
            process.stdout.read(1)
            taken = time.perf_counter() - started
            process.stdout.read()
        return taken

    def row(self, name: str, aim: str, ours: Measure, theirs: Measure) -> None:
        row(name, aim, self.rounds, ours, theirs)


def cold_and_warm(bench: Bench) -> None:
    with tempfile.TemporaryDirectory() as home:
        cold = Bench(bench.chosen, home)
        bench.row(
            "16 tokens: s, warm and cold",
            "<= 0.35",
            lambda: bench.seconds(bench.warm()),
            lambda: cold.seconds(cold.run()),
        )
        bench.row(
            "first byte: s, warm and cold",
            "<= 0.25",
            lambda: bench.first_byte(bench.warm("--stream")),
            lambda: cold.first_byte(cold.run("--stream")),
        )


def second_turn(bench: Bench) -> None:
    history = "Here is a list. " + "apple pear plum cherry " * 400

    def turns() -> tuple[float, float]:
        with tempfile.TemporaryDirectory() as folder:
            talk = ("--stream", "--conversation", f"{folder}/talk.jsonl")
            bench.unload()
            bench.seconds(bench.warm(prompt="Hi"))
            first = bench.first_byte(bench.warm(*talk, prompt=f"{history} {time.time()}"))
            second = bench.first_byte(bench.warm(*talk, prompt="How many kinds?"))
            return second, first

    pairs = [turns() for _ in range(max(3, bench.rounds // 2))]
    mine, peer = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"{'first token: s, turn 2 and turn 1 of 2,000 tokens':<52} {mine:>8.3f} {peer:>8.3f} {mine / peer:>6.2f}  <= 0.15"
    )


def one_liners(bench: Bench, llm: str, llm_model: str) -> None:
    system = ("-s", "Answer with one word.")  # llm-gguf has no limit on tokens

    def ours() -> float:
        return sum(bench.seconds(bench.warm(*system, prompt=question)) for question in QUESTIONS)

    def theirs() -> float:
        command = [llm, "-m", llm_model, "--no-log", *system]
        return sum(bench.seconds([*command, question]) for question in QUESTIONS)

    bench.row("ten one-liners: s, warm and llm", "<= 0.33", ours, theirs)


def against_server(bench: Bench, path: str) -> None:
    with llama_server(path, bench.model) as server:
        count = iter(range(1_000_000))

        def curl() -> float:
            body = {
                "messages": [{"role": "user", "content": PROMPT.format(f"s{next(count)}")}],
                "max_tokens": 16,
                "temperature": 0,
            }
            command = [
                "curl",
                "-s",
                f"http://127.0.0.1:{server.port}/v1/chat/completions",
                "-d",
                json.dumps(body),
            ]
            return bench.seconds(command)

        bench.row(
            "16 tokens: s, warm and curl to llama-server",
            "<= 1.15+",
            lambda: bench.seconds(bench.warm()),
            curl,
        )
        bench.row(
            "the start of the interpreter: s, hybrid --version",
            "",
            lambda: bench.seconds([HYBRID, "--version"]),
            curl,
        )


def look_up(bench: Bench) -> None:
    started = time.perf_counter()
    for _ in range(1000):
        may_be_warm(runtime_folder({"HYBRID_HOME": "/nonexistent"}))
    taken = time.perf_counter() - started
    print(f"{'looking for a warm engine: ms':<52} {taken:>8.3f} {'':>8} {'':>6}  <= 1")


def memory(bench: Bench) -> None:
    """Memory after many mixed requests, against that after a few."""
    environment = Environment(None, None, None, {"HYBRID_HOME": bench.variables["HYBRID_HOME"]})

    def load(rounds: int) -> int:
        for _ in range(rounds):
            callers = [
                subprocess.Popen(
                    bench.warm(prompt=f"{question} {time.time()}"),
                    env=bench.variables,
                    stdout=subprocess.DEVNULL,
                )
                for question in QUESTIONS[:4]
            ]
            for caller in callers:
                caller.wait()
        (status,) = loaded_models(environment)
        return int(status["memory"])

    before, after = load(5), load(60)
    print(
        f"{'memory: MB, after 260 and after 20 requests':<52} {after / 1e6:>8.0f} {before / 1e6:>8.0f} {after / before:>6.2f}  <= 1.05"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--server")
    parser.add_argument("--llm")
    parser.add_argument("--llm-model", default="gguf")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", default="auto")
    parser.add_argument("--only", default="")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        bench = Bench(chosen, home)
        rows: dict[str, Callable[[], None]] = {
            "cold": lambda: cold_and_warm(bench),
            "turn": lambda: second_turn(bench),
            "look": lambda: look_up(bench),
            "memory": lambda: memory(bench),
        }
        if chosen.llm:
            rows["llm"] = lambda: one_liners(bench, chosen.llm, chosen.llm_model)
        if chosen.server:
            rows["server"] = lambda: against_server(bench, chosen.server)
        try:
            for name, row in rows.items():
                if chosen.only in name:
                    row()
        finally:
            bench.unload()


if __name__ == "__main__":
    main()
