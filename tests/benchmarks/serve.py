"""`hybrid serve` against llama-server with the same model file, as ratios within one run; and its memory under load.

    python tests/benchmarks/serve.py GGUF [--server PATH] [--rounds 5] [--tokens 48] [--threads 2]
                                      [--minutes 10] [--only ROW]

PATH is `llama-server`, built from the source package of the installed llama-cpp-python (its vendor/llama.cpp, with
-DLLAMA_CURL=OFF). The two sides of a row take turns, so that what else the machine does meets both; medians and the
load are printed. On a busy machine give `--threads`, because hybrid leaves busy cores to others. `--only memory` needs no other server.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid_cli.cascade.warm_models import loaded_models
from hybrid_cli.ui.environment import Environment

HYBRID = str(Path(sys.executable).parent / "hybrid")
CLIENTS = (1, 8, 16)
SLOTS = 16
PROMPT = (
    "Write a short story about a red fox who lives near a river and likes to read old books number {} there."
)
Measure = Callable[[], float]


@dataclass(frozen=True)
class Server:
    """A running server with OpenAI's API."""

    port: int
    pid: int
    model: str
    token: str = ""

    def post(self, **body: Any) -> http.client.HTTPResponse:
        """Ask, and return the response once its head is there."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        headers = {"content-type": "application/json", "authorization": f"Bearer {self.token}"}
        body = {"model": self.model, "temperature": 0, **body}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        return connection.getresponse()

    def tokens(self, prompt: str, limit: int) -> int:
        """Ask for a whole answer, and return its number of tokens."""
        with self.post(messages=message(prompt), max_tokens=limit) as response:
            return int(json.load(response)["usage"]["completion_tokens"])

    def first_token(self, prompt: str) -> float:
        """Ask for a stream, and return the seconds until its first text."""
        begun = time.perf_counter()
        with self.post(messages=message(prompt), max_tokens=16, stream=True) as response:
            taken = 0.0
            for line in response:
                choices = json.loads(line[6:])["choices"] if line.startswith(b"data: {") else []
                if not taken and choices and choices[0]["delta"].get("content"):
                    taken = time.perf_counter() - begun
            return taken


def message(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def write_profile(home: str, model: str, threads: str) -> None:
    """Write the profile `bench`: the model, and the threads that the peer has."""
    folder = Path(home) / "config" / "profiles"
    folder.mkdir(parents=True, exist_ok=True)
    local = f"local: {{model: {json.dumps(model)}, threads: {threads}}}"
    (folder / "bench.yaml").write_text(f"version: 1\nextends: offline\n{local}\n", "utf-8")


@contextlib.contextmanager
def hybrid_serve(model: str, home: str, threads: str) -> Iterator[Server]:
    write_profile(home, model, threads)
    command = [HYBRID, "serve", "--listen", "127.0.0.1:0"]
    variables = {**os.environ, "HYBRID_HOME": home}
    with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            found = re.search(rb":(\d+);", process.stderr.readline())
            assert found is not None
            token = (Path(home) / "config" / "serve-token").read_text("ascii").strip()
            yield Server(int(found[1]), process.pid, "hybrid/bench", token)
        finally:
            process.terminate()


@contextlib.contextmanager
def llama_server(path: str, model: str) -> Iterator[Server]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    threads = str(len(os.sched_getaffinity(0)))
    command = [path, "-m", model, "--port", str(port), "-t", threads, "-np", str(SLOTS)]
    command += ["-c", str(1024 * SLOTS), "--jinja"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            server = Server(port, process.pid, "any")
            for _ in range(600):
                with contextlib.suppress(OSError, ValueError, KeyError):
                    server.tokens("Hi", 1)
                    break
                time.sleep(0.1)
            yield server
        finally:
            process.terminate()


def rate(server: Server, clients: int, limit: int, numbers: Iterator[int]) -> float:
    """Return the tokens a second that so many clients get together, two answers each."""
    prompts = [PROMPT.format(next(numbers)) for _ in range(2 * clients)]
    begun = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        total = sum(pool.map(lambda prompt: server.tokens(prompt, limit), prompts))
    return total / (time.perf_counter() - begun)


def row(name: str, aim: str, rounds: int, ours: Measure, theirs: Measure) -> None:
    """Measure in turns; print both medians and the median of the ratios."""
    ours(), theirs()
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    mine, peer = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(
        f"{name:<52} {mine:>8.3f} {peer:>8.3f} {ratio:>6.2f}  {aim:<7} load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


# ---- memory ------------------------------------------------------------------------------------------------

SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 20}}, "required": ["name"]}
FORM = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}


def mixed(server: Server, number: int) -> str:
    """Send the request with this number, one of eight kinds; return the kind with its status."""
    kind = ("short", "stream", "schema", "long", "turn", "leave", "bad", "logprobs")[number % 8]
    asked: dict[str, Any] = {"messages": message(PROMPT.format(number)), "max_tokens": 8 + number % 24}
    if kind in ("stream", "leave"):
        asked["stream"] = True
    elif kind == "schema":
        asked |= {"response_format": FORM, "max_tokens": 40}
    elif kind == "long":
        asked["messages"] = message(f"{number} " + "apple pear plum cherry " * (number % 40) + "Count them.")
    elif kind == "turn":
        earlier = [*message("Name an animal."), {"role": "assistant", "content": "A fox."}]
        asked["messages"] = [*earlier, *message(f"Another one, number {number % 50}.")]
    elif kind == "bad":
        asked["n"] = 2
    elif kind == "logprobs":
        asked |= {"logprobs": True, "top_logprobs": 5}
    with server.post(**asked) as response:
        if kind == "leave":
            response.read(10)
        else:
            response.read()
        return f"{kind} {response.status}"


def memory_of(server: Server, environment: Environment) -> tuple[int, int]:
    """Return the bytes in memory of the server, and of its engine with the mapped weights."""
    status = Path(f"/proc/{server.pid}/status").read_text("utf-8")
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found is not None
    (engine,) = loaded_models(environment)
    return int(found[1]) * 1024, int(engine["memory"])


def memory(server: Server, minutes: float, environment: Environment) -> None:
    """Send mixed requests with twelve clients, and compare the memory at the end with that after a minute."""
    numbers, begun = itertools.count(), time.monotonic()
    counts: Counter[str] = Counter()

    def work(seconds: float) -> None:
        while time.monotonic() - begun < seconds:
            counts[mixed(server, next(numbers))] += 1

    def until(seconds: float) -> tuple[int, int]:
        with ThreadPoolExecutor(12) as pool:
            for one in [pool.submit(work, seconds) for _ in range(12)]:
                one.result()
        return memory_of(server, environment)

    first = until(60)
    sent = sum(counts.values())
    last = until(60 * minutes)
    for name, before, after in zip(("server", "engine"), first, last, strict=True):
        print(
            f"{f'memory of the {name}: MB, after {minutes:g} minutes and 1':<52} {after / 1e6:>8.0f}"
            f" {before / 1e6:>8.0f} {after / before:>6.2f}  <= 1.05",
            flush=True,
        )
    print(
        f"  {sent} requests in the first minute, {sum(counts.values())} in all: {dict(sorted(counts.items()))}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--server")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", default="auto")
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--only", default="")
    chosen = parser.parse_args()
    model, numbers = str(chosen.model.resolve()), itertools.count()
    with tempfile.TemporaryDirectory() as home, hybrid_serve(model, home, chosen.threads) as ours:
        if chosen.server:
            with llama_server(chosen.server, model) as theirs:
                compare(ours, theirs, chosen, numbers)
        if chosen.only in "memory":
            memory(ours, chosen.minutes, Environment(None, None, None, {"HYBRID_HOME": home}))


def compare(ours: Server, theirs: Server, chosen: argparse.Namespace, numbers: Iterator[int]) -> None:
    """Print the rows that have a peer."""
    if chosen.only in "first":
        row(
            "time to first token, streamed, 1 client: s",
            "<= 1.1",
            2 * chosen.rounds,
            lambda: ours.first_token(PROMPT.format(next(numbers))),
            lambda: theirs.first_token(PROMPT.format(next(numbers))),
        )
    for clients in CLIENTS:
        if chosen.only in f"tokens{clients}":
            row(
                f"tokens a second, {clients} client{'s' * (clients > 1)}",
                ">= 0.95",
                chosen.rounds,
                lambda clients=clients: rate(ours, clients, chosen.tokens, numbers),  # type: ignore[misc]
                lambda clients=clients: rate(theirs, clients, chosen.tokens, numbers),  # type: ignore[misc]
            )


if __name__ == "__main__":
    main()
