"""Screens of the real command for docs/screens.md, captured from tmux; a server on loopback is the cloud.

    python tests/benchmarks/screens.py [--check]

With --check nothing is written: the code is 1 where a screen lacks what the page shows of it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from scripted_cloud import Reply, ScriptedCloud

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "screens.md"
COLUMNS, LINES = 118, 42
INTRO = """\
<!-- Made by: python tests/benchmarks/screens.py -->

# Screens

Captured from tmux, {columns} columns wide. A loopback server plays the cloud `gpt-5-mini`. Tokens, prices and times are
those of the capture.
"""


@dataclass(frozen=True)
class Screen:
    title: str
    """Empty for what only prepares the next."""
    command: str
    shows: tuple[str, ...]
    """Patterns of what must be on it."""
    has_draft: bool = False
    """Whether to show the screen while the local model answers, too."""


SCREENS = (
    Screen(
        "A first run",
        'hybrid pull --small && hybrid run -p offline "What is 2+2?"',
        (r"pulling smollm2-135m: 98 MB", r"stored as smollm2-135m", r"\n.*4.*\n"),
    ),
    Screen(
        "A handoff",
        'hybrid run -p strict "Why is the sky blue?"',
        (r"handed off to gpt-5-mini: unsure \(0\.\d\d < 0\.\d\d\)", r"scatters"),
    ),
    Screen(
        "A draft that is kept",
        'hybrid run -p gentle --max-tokens 120 --allow-truncated "Write three sentences about a fox."',
        (r"fox",),
        has_draft=True,
    ),
    Screen(
        "A draft that is handed off",
        'hybrid run -p strict --max-tokens 120 --allow-truncated "Why is the evening sky red? Explain it."',
        (r"handed off to gpt-5-mini: ", r"scatters"),
        has_draft=True,
    ),
    Screen("", 'for n in 1 2 3; do hybrid run -q -p strict --escalation force "Hi"; done', ()),
    Screen(
        "What was handed off",
        "hybrid usage --by reason",
        (r"requests", r"unsure", r"forced", r"█", r"usd_per_day"),
    ),
    Screen(
        "What works here",
        "hybrid doctor -p strict",
        (r"ok    llama\.cpp", r"ok    weights", r"ok    guard", r"ok    consent", r"budget"),
    ),
    Screen(
        "A Tab in bash, with 50 models and 50 profiles",
        f"bash {ROOT}/tests/benchmarks/tab.sh",
        (r"\d us  hybrid run -p", r"\d us  hybrid models rm"),
    ),
)


class Terminal:
    """A bash in a tmux of its own, which has nothing of the user's."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self._tmux = ["tmux", "-L", f"screens-{os.getpid()}", "-f", "/dev/null"]
        size = ["-x", str(COLUMNS), "-y", str(LINES)]
        given = [f"{name}={value}" for name, value in variables.items()]
        shell = ["env", "-i", *given, "bash", "--norc", "--noprofile", "-i"]
        subprocess.run([*self._tmux, "new-session", "-d", *size, "-c", folder, *shell], check=True)

    def run(self, screen: Screen) -> tuple[str, str]:
        """The screen while the local model drafts, if that is wanted, and once the command has ended.

        Without the prompt that follows and pip's own settings.
        """
        command, draft = screen.command, ""
        self._send("clear")
        self._send(command)
        idle, deadline = 0, time.monotonic() + 180
        while idle < 4:
            if time.monotonic() > deadline:
                raise SystemExit(f"`{command}` does not end; the screen is:\n{self._capture()}")
            time.sleep(0.05 if screen.has_draft else 0.25)
            seen = self._capture().strip() if screen.has_draft else ""
            idle = idle + 1 if self._is_idle() else 0
            if not idle and "handed off" not in seen and _is_draft(seen):
                draft = draft or seen + "\n"
        lines = [line.rstrip() for line in self._capture().strip().splitlines()]
        return draft, "\n".join(line for line in lines[:-1] if not line.startswith("Looking in ")) + "\n"

    def _is_idle(self) -> bool:
        ask = [*self._tmux, "display-message", "-p", "#{pane_current_command}"]
        running = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
        return running == "bash" and self._capture().strip().endswith("\n$")

    def _send(self, line: str) -> None:
        subprocess.run([*self._tmux, "send-keys", "-l", line], check=True)
        subprocess.run([*self._tmux, "send-keys", "Enter"], check=True)
        time.sleep(0.3)

    def _capture(self) -> str:
        done = subprocess.run(
            [*self._tmux, "capture-pane", "-p", "-J"], capture_output=True, text=True, check=True
        )
        return done.stdout

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False)


def _is_draft(seen: str) -> bool:
    """Whether a screen shows a draft of some length below the command."""
    words = seen.partition("\n")[2].split()
    return len(words) >= 15 and "the model is" not in seen


def capture(folder: Path, home: Path, cloud: ScriptedCloud) -> list[tuple[Screen, str]]:
    """Every screen, one after another in one session."""
    cloud.replies = [
        Reply(
            pieces=("The air scatters", " blue light more than red."),
            usage={"prompt_tokens": 14, "completion_tokens": 9, "total_tokens": 23},
        )
    ]
    profiles = home / "config" / "profiles"
    profiles.mkdir(parents=True)
    prices = ", prices: {input: 0.25, output: 2.0}"
    section = cloud.section(prices).replace("scripted", "gpt-5-mini")
    (profiles / "strict.yaml").write_text(
        f"version: 1\n{section}escalation: {{target: {{threshold: 0.95}}}}\nlimits: {{usd_per_day: 1.0}}\n"
    )
    (profiles / "gentle.yaml").write_text(
        f"version: 1\n{section}escalation: {{target: {{threshold: 0.0}}}}\n"
    )
    command = Path(sys.executable).parent
    completions = folder / ".local/share/bash-completion/completions"
    completions.mkdir(parents=True)
    made = subprocess.run([command / "hybrid", "completion", "bash"], capture_output=True, check=True)
    (completions / "hybrid").write_bytes(made.stdout)
    (folder / ".bashrc").write_text(f"source {completions}/hybrid\n")  # where there is no bash-completion
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    variables = {
        **kept,
        "PATH": f"{command}:/usr/bin:/bin",
        "HOME": str(folder),
        "HYBRID_HOME": str(home),
        "HYBRID_CONSENT": cloud.origin,
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "TERM": "tmux-256color",
        "PS1": "$ ",
    }
    terminal = Terminal(folder, variables)
    try:
        shown = [(screen, *terminal.run(screen)) for screen in SCREENS]
        return [(screen, _with_draft(draft, text)) for screen, draft, text in shown if screen.title]
    finally:
        terminal.close()


def _with_draft(draft: str, text: str) -> str:
    return f"{draft}\n(the draft is dimmed; a moment later:)\n\n{text}" if draft else text


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    if shutil.which("tmux") is None:
        raise SystemExit("tmux is not installed")
    with tempfile.TemporaryDirectory(prefix="hybrid-") as work, ScriptedCloud() as cloud:
        folder, home = Path(work) / "you", Path(work) / "hybrid"
        folder.mkdir()
        screens = capture(folder, home, cloud)
        page = INTRO.format(columns=COLUMNS)
        lacking = []
        for screen, text in screens:
            lacking += [f"{screen.title}: {form}" for form in screen.shows if not re.search(form, text)]
            shown = text.replace(cloud.origin, "http://127.0.0.1:8000").replace(str(Path(work)), "/home")
            shown = shown.replace(str(Path(sys.executable).parent), "/home/you/venv/bin").replace(
                f"{ROOT}/", ""
            )
            page += f"\n## {screen.title}\n\n```text\n{shown}```\n"
    if lacking:
        sys.stderr.write(page + "\nlacks:\n" + "\n".join(lacking) + "\n")
        return 1
    if not check:
        PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
