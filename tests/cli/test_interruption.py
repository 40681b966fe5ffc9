"""Signals, closed pipes and terminals end a run at once, with the right exit code and no leftover process."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from hybrid_process import HELLO, WAITING, Hybrid, environment
from scripted_cloud import Reply, ScriptedCloud

LONG = "Write a long story about a fox."


@contextlib.contextmanager
def streaming(command: str, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a run and yield its process once the answer has begun."""
    process = subprocess.Popen(
        [command, "run", "--stream", "--max-tokens", "4000", LONG],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home),
    )
    assert process.stdout is not None
    try:
        assert process.stdout.read(1)
        yield process
    finally:
        process.kill()
        process.communicate()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until_gone(pid: int) -> None:
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists() or "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} is still there")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_signal_during_an_answer_ends_parent_and_worker(
    command: str, home: Path, number: signal.Signals, code: int
) -> None:
    with streaming(command, home) as process:
        (worker,) = children(process.pid)
        process.send_signal(number)
        _out, errors = process.communicate(timeout=10)
    assert process.returncode == code
    assert WAITING.sub(b"", errors) == b""
    wait_until_gone(worker)


def test_a_killed_worker_is_one_line_and_a_code(command: str, home: Path) -> None:
    with streaming(command, home) as process:
        (worker,) = children(process.pid)
        os.kill(worker, signal.SIGKILL)
        _out, errors = process.communicate(timeout=10)
    assert process.returncode == 1
    assert WAITING.sub(b"", errors).decode() == (
        "hybrid: the local engine was killed by SIGKILL; is there enough memory for this model?\n"
    )


def test_ctrl_c_while_waiting_for_a_silent_cloud(
    command: str, home: Path, cloud: ScriptedCloud, profile: object
) -> None:
    cloud.replies = [Reply(fault="stall")]
    path = home / "cloud.yaml"
    path.write_text(f"version: 1\n{cloud.section()}escalation: {{mode: force}}\n")
    process = subprocess.Popen(
        [command, "run", "-p", str(path), "--no-stdin", "hi"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home, HYBRID_CONSENT=cloud.origin),
    )
    while not cloud.received:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, _errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert out == b""


def test_a_closed_pipe_is_141_and_silent(command: str, home: Path) -> None:
    script = f'"{command}" run -p offline --stream --max-tokens 4000 "{LONG}" | head -c 1 >/dev/null; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, env=environment(home), timeout=60, check=False
    )
    assert done.stdout == b"141\n"
    assert WAITING.sub(b"", done.stderr) == b""
    script = f'"{command}" run -p offline {shlex.join(HELLO)} | true; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, env=environment(home), timeout=60, check=False
    )
    assert done.stdout == b"141\n"
    assert WAITING.sub(b"", done.stderr) == b""


def test_head_gets_its_line(command: str, home: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f'"{command}" run -p offline {shlex.join(HELLO)} | head -1'],
        capture_output=True,
        env=environment(home),
        timeout=60,
        check=True,
    )
    assert done.stdout.count(b"\n") == 1
    assert WAITING.sub(b"", done.stderr) == b""


@pytest.fixture
def terminal(command: str, home: Path) -> Iterator[object]:
    """Start the command on a pseudo-terminal."""
    started: list[pexpect.spawn] = []

    def start(*arguments: str, **variables: str) -> pexpect.spawn:
        child = pexpect.spawn(
            command,
            [*arguments],
            env=environment(home, TERM="xterm", **variables),
            timeout=60,
            encoding="utf-8",
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


def test_a_terminal_streams_and_ctrl_c_ends_it(terminal: object) -> None:
    child = terminal("run", "-p", "offline", "--max-tokens", "4000", LONG)  # type: ignore[operator]
    child.expect(r"\w+ \w+")
    assert child.isalive()
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130


def test_a_terminal_answer_has_no_control_characters(terminal: object) -> None:
    child = terminal("run", "-q", "-p", "offline", *HELLO, NO_COLOR="1")  # type: ignore[operator]  # no spinner
    child.expect(pexpect.EOF)
    assert "Hello" in child.before
    assert "\x1b" not in child.before
    child.close()
    assert child.exitstatus == 0


def test_a_pull_on_a_terminal_names_how_to_calibrate(
    terminal: object, home: Path, model_file: Path, tmp_path: Path
) -> None:
    (home / "data").unlink()  # the store of the other tests
    other = tmp_path / "other.gguf"
    other.write_bytes(model_file.read_bytes() + b"\0")
    child = terminal("pull", str(other), "--name", "own")  # type: ignore[operator]
    child.expect(r"hybrid does not know how often own is right; to measure it, run: hybrid calibrate -m own")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_no_prompt_on_a_terminal_is_a_usage_error(terminal: object) -> None:
    child = terminal("run")  # type: ignore[operator]
    child.expect("no prompt; pass PROMPT or pipe text")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2


@pytest.mark.parametrize(("reply", "by"), [("y", "cloud"), ("n", "local")])
def test_ask_asks_on_the_terminal(
    terminal: object, cloud: ScriptedCloud, home: Path, reply: str, by: str
) -> None:
    path = home / "ask.yaml"
    path.write_text(f"version: 1\n{cloud.section()}escalation: {{mode: ask, target: {{threshold: 0.99}}}}\n")
    arguments = ("run", "-p", str(path), "--json", *HELLO)
    child = terminal(*arguments, HYBRID_CONSENT=cloud.origin)  # type: ignore[operator]
    child.expect(r"unsure .* Send this prompt \(11 characters\) to http://127\S+, scripted.*\[y/N\]")
    assert cloud.received == []
    child.sendline(reply)
    child.expect(f'"answered_by": "{by}"')
    child.expect(pexpect.EOF)
    assert len(cloud.received) == (by == "cloud")


def test_consent_for_a_new_cloud_is_asked_once(terminal: object, cloud: ScriptedCloud, home: Path) -> None:
    path = home / "force.yaml"
    section = cloud.section(", prices: {input: 0.25, output: 2.0}")
    path.write_text(f"version: 1\n{section}escalation: {{mode: force}}\n")

    def run(*arguments: str, **variables: str) -> pexpect.spawn:
        return terminal("run", "-p", str(path), *arguments, "hello", **variables)  # type: ignore[operator]

    question = r"hybrid: Send this prompt \(5 characters\) to http://127\S+, scripted, \$0.25/\$2.0 a million tokens\? \"Yes\" is remembered for later prompts. \[y/N\]"
    child = run()
    child.expect(question)
    child.sendline("n")
    child.expect("you declined")
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, cloud.received) == (3, [])
    child = run()
    child.expect(question)
    child.sendline("y")
    child.expect("The cloud says hello")
    child.expect(pexpect.EOF)
    child = run()
    child.expect("The cloud says hello")  # asked once
    child.expect(pexpect.EOF)
    assert "[y/N]" not in child.before
    path.write_text(path.read_text().replace("model: scripted", "model: another"))
    child = run(CI="true")  # another model asks again, and in CI there is nobody to ask
    child.expect("no consent for")
    child.expect(pexpect.EOF)
    assert len(cloud.received) == 2


def test_ask_without_a_terminal_denies(hybrid: Hybrid, cloud: ScriptedCloud, home: Path) -> None:
    path = home / "ask.yaml"
    path.write_text(
        f"version: 1\n{cloud.section()}escalation: {{mode: ask, on_denied: fail, target: {{threshold: 0.99}}}}\n"
    )
    done = hybrid("run", "-p", path, *HELLO, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout, cloud.received) == (3, b"", [])
