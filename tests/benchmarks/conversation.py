"""A conversation of six turns, local and cloud mixed: the time to the first token, and what left, turn by turn.

    python tests/benchmarks/conversation.py GGUF --cloud GGUF [--cold]

The local model stays loaded between the turns; --cold loads it for each. The cloud is llama-cpp-python's own server
with the other file, on loopback. Turn 1 has a text of about 700 tokens. Turns 3 and 5 are handed off.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from server_process import served

SUPPORT = Path(__file__).parents[1] / "support"
HYBRID = str(Path(sys.executable).parent / "hybrid")
TEXT = " ".join(
    f"Report {number}: the red fox was seen near the river at {number % 12} o'clock." for number in range(30)
)
TURNS = [
    ("local", f"{TEXT}\n\nWhich animal is this about?"),
    ("local", "Where was it seen?"),
    ("cloud", "Write one sentence about it."),
    ("local", "Which colour has it?"),
    ("cloud", "Translate your sentence to German."),
    ("local", "How many reports are there?"),
]


class Talk:
    """The conversation, in a home of its own."""

    def __init__(self, model: Path, origin: str, home: str, keep: list[str]) -> None:
        self.variables = {**os.environ, "HYBRID_HOME": home, "HYBRID_CONSENT": origin}
        self.keep = keep
        local = f"version: 1\nlocal: {{model: {model.resolve()}}}\n"
        cloud = f"cloud: {{base_url: {origin}/v1, model: cloud, max_tokens: 24}}\n"
        self.profiles = {}
        for name, text in (
            ("local", f"{local}escalation: {{mode: forbid}}\n"),
            ("cloud", f"{local}{cloud}escalation: {{mode: force}}\n"),
        ):
            self.profiles[name] = Path(home, f"{name}.yaml")
            self.profiles[name].write_text(text, encoding="utf-8")

    def first_byte(self, where: str, *arguments: str) -> float:
        """Seconds from the command's start to the first byte of its answer."""
        command = [
            HYBRID,
            "run",
            "--stream",
            "--allow-truncated",
            "-p",
            str(self.profiles[where]),
            *arguments,
        ]
        started = time.perf_counter()
        with subprocess.Popen(
            command + (self.keep if where == "local" else []),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self.variables,
        ) as process:
            assert process.stdout is not None
            process.stdout.read(1)
            taken = time.perf_counter() - started
            process.stdout.read()
        if process.returncode != 0:
            sys.exit(f"the {where} turn ended with code {process.returncode}")
        return taken

    def turn(self, where: str, prompt: str) -> float:
        return self.first_byte(where, "--max-tokens", "24", "--conversation", "talk", prompt)

    def sent(self) -> list[dict[str, Any]]:
        """What left, oldest first."""
        done = subprocess.run(
            [HYBRID, "usage", "--export"], stdout=subprocess.PIPE, check=True, env=self.variables
        )
        rows: list[dict[str, Any]] = json.loads(done.stdout)["requests"]
        return sorted(rows, key=lambda row: row["id"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--cloud", type=Path, required=True)
    parser.add_argument("--cold", action="store_true")
    chosen = parser.parse_args()
    server = [sys.executable, SUPPORT / "model_server.py", "--model", chosen.cloud, "--model_alias", "cloud"]
    with (
        served([*server, "--n_ctx", "4096"], "/v1/models") as origin,
        tempfile.TemporaryDirectory() as home,
    ):
        talk = Talk(chosen.model, origin, home, [] if chosen.cold else ["--keep-alive", "10m"])
        try:
            if not chosen.cold:
                talk.first_byte("local", "--max-tokens", "1", "Hi")
            first, rows = 0.0, 0
            print(f"{'turn':<12}{'first byte':>12}{'of turn 1':>12}   left the machine")
            for number, (where, prompt) in enumerate(TURNS, 1):
                seconds = talk.turn(where, prompt)
                first = first or seconds
                sent = talk.sent()[rows:]
                rows += len(sent)
                left = ", ".join(
                    f"{row['bytes']:,} bytes, {row['tokens_in']} tokens, {row['reason']}" for row in sent
                )
                print(
                    f"{number} {where:<10}{seconds:>10.2f} s{seconds / first:>12.2f}   {left or 'nothing'}",
                    flush=True,
                )
            print(f"load {os.getloadavg()[0]:.1f}")
        finally:
            if not chosen.cold:
                subprocess.run([HYBRID, "models", "unload", "-q"], env=talk.variables, check=False)


if __name__ == "__main__":
    main()
