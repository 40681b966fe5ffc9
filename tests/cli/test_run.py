"""`hybrid run` with the real model: streams, stdin, output, JSON and bad input."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import time
from pathlib import Path

import pytest

from hybrid_process import HELLO, Hybrid, environment


def lines(data: bytes) -> list[str]:
    return data.decode().splitlines()


def test_answer_alone_is_on_stdout(hybrid: Hybrid) -> None:
    done = hybrid(
        "run",
        "-p",
        "offline",
        "Which city is it in? One word.",
        stdin=b"The Eiffel Tower is in Paris. It is tall.\n",
    )
    assert done.returncode == 0
    assert "Paris" in done.stdout.decode()
    assert done.stdout.endswith(b"\n")
    assert not done.stdout.endswith(b"\n\n")
    assert done.stderr == b""


def test_stdin_alone_and_dash_are_the_prompt(hybrid: Hybrid) -> None:
    *system, prompt = HELLO
    told = hybrid("run", *HELLO).stdout
    assert told
    assert hybrid("run", *system, stdin=prompt.encode()).stdout == told
    assert hybrid("run", *system, "-", stdin=prompt.encode()).stdout == told


def test_stdin_beside_a_prompt_is_context(hybrid: Hybrid) -> None:
    plan = hybrid("run", "--dry-run", "--json", "four", stdin=b"three\n")
    assert json.loads(plan.stdout)["characters"] == len("three\n\nfour")
    ignored = hybrid("run", "--dry-run", "--json", "--no-stdin", "four", stdin=b"three\n")
    assert json.loads(ignored.stdout)["characters"] == len("four")
    ignored = hybrid("run", "--dry-run", "--json", "four", stdin=b"three\n", HYBRID_NO_STDIN="1")
    assert json.loads(ignored.stdout)["characters"] == len("four")


def test_no_stdin_leaves_a_loops_input_alone(command: str, home: Path) -> None:
    script = f'while read -r word; do "{command}" run --dry-run --no-stdin "$word"; echo "$word"; done'
    done = subprocess.run(
        ["sh", "-c", script], input=b"one\ntwo\n", capture_output=True, env=environment(home), check=True
    )
    assert done.stdout == b"one\ntwo\n"


def test_a_silent_pipe_is_announced_and_ends_at_the_deadline(command: str, home: Path) -> None:
    reader, writer = os.pipe()
    try:
        done = subprocess.run(
            [command, "run", "--timeout", "4", "hi"],
            stdin=reader,
            capture_output=True,
            env=environment(home),
            timeout=60,
            check=False,
        )
    finally:
        os.close(reader)
        os.close(writer)
    assert done.returncode == 124
    assert done.stdout == b""
    told, ended = lines(done.stderr)
    assert "waiting for stdin" in told
    assert "--no-stdin" in told
    assert "deadline" in ended


@pytest.mark.parametrize("option", ["--profile", "--model", "--schema", "--stop", "--tag", "--verify"])
def test_an_empty_value_is_rejected(hybrid: Hybrid, option: str) -> None:
    """`-p "$PROFILE"` with an unset variable must not loosen the policy."""
    done = hybrid("run", option, "", "hi", HYBRID_PROFILE="offline")
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = lines(done.stderr)
    assert option in line


def test_closed_streams(command: str, home: Path) -> None:
    def shell(redirection: str) -> subprocess.CompletedProcess[bytes]:
        script = f'"{command}" run -p offline {shlex.join(HELLO)} {redirection}'
        return subprocess.run(["sh", "-c", script], capture_output=True, env=environment(home), check=False)

    assert shell("<&-").stdout
    assert shell("2>&-").returncode == 0
    closed = shell(">&-")
    assert closed.returncode == 1
    assert b"stdout is closed" in closed.stderr
    full = shell(">/dev/full")
    assert full.returncode == 1
    assert full.stderr == b"hybrid: stdout: No space left on device\n"


def test_json_is_one_object_with_the_contracts_fields(hybrid: Hybrid) -> None:
    done = hybrid("run", "--json", "-p", "offline", *HELLO)
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert done.stdout.count(b"\n") == 1
    assert answer["answered_by"] == "local"
    assert answer["model"] == "smollm2-135m"
    assert answer["answer"] == hybrid("run", "-p", "offline", *HELLO).stdout.decode().strip()
    fields = {"decision", "reason", "stage", "confidence", "threshold", "signals", "stages"}
    assert answer["handoff"].keys() == fields
    assert answer["handoff"]["decision"] == "kept"
    assert answer["handoff"]["reason"] == "none"
    assert 0 < answer["handoff"]["confidence"] <= 1
    assert answer["usage"]["local"]["in"] > 10
    assert answer["usage"]["local"]["out"] > 1
    assert answer["usage"]["cloud"] == {"in": 0, "out": 0}
    assert answer["cost_usd"] == 0
    assert 0 < answer["timings"]["load"] < answer["timings"]["first_token"] < answer["timings"]["total"]
    policy = answer["policy"]
    assert (policy["profile"], policy["mode"]) == ("offline", "forbid")
    assert policy["decided_by"] == "profile `offline`"
    assert answer["finish_reason"] == "stop"
    assert answer["id"]


def test_same_seed_same_text(hybrid: Hybrid) -> None:
    def sampled(seed: str) -> bytes:
        arguments = ("run", "-p", "offline", "--temperature", "1.5", "--seed", seed, "--stream")
        return hybrid(*arguments, "-s", "Brief.", "--max-tokens", "8", "Name a fruit.").stdout

    first, again, *others = (sampled(seed) for seed in "1123")
    assert first == again
    assert set(others) != {first}


def test_a_truncated_answer_is_a_failure(hybrid: Hybrid) -> None:
    done = hybrid("run", "--max-tokens", "3", "Hello")
    assert done.returncode == 7
    assert done.stdout == b""
    assert "cut off at 3 tokens" in done.stderr.decode()
    streamed = hybrid("run", "--stream", "--max-tokens", "3", "Hello")
    assert streamed.returncode == 7
    assert streamed.stdout.endswith(b"\n")
    assert len(streamed.stdout) > 3


def test_output_replaces_the_file_atomically(hybrid: Hybrid, tmp_path: Path) -> None:
    file = tmp_path / "answer.txt"
    assert hybrid("run", "-o", file, *HELLO).returncode == 0
    first = file.read_bytes()
    assert first.strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    link = tmp_path / "link.txt"
    link.symlink_to(file)
    file.write_bytes(b"old")
    assert hybrid("run", "-o", link, "--json", *HELLO).returncode == 0
    assert link.is_symlink()
    assert json.loads(file.read_bytes())["answer"] == first.decode().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answer.txt", "home", "link.txt"]


def test_a_failure_leaves_the_output_file_alone(hybrid: Hybrid, tmp_path: Path) -> None:
    file = tmp_path / "answer.txt"
    file.write_bytes(b"old")
    assert hybrid("run", "-o", file, "--max-tokens", "3", "Hello").returncode == 7
    assert file.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answer.txt", "home"]


def test_output_to_a_named_pipe_and_a_device(hybrid: Hybrid) -> None:
    assert hybrid("run", "-o", "/dev/stdout", *HELLO).stdout.strip()
    assert hybrid("run", "-o", "/dev/null", *HELLO).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "told"),
    [
        (("run", ""), None, 2, "the prompt is empty"),
        (("run", " \n"), None, 2, "the prompt is empty"),
        (("run",), b"", 2, "the prompt is empty"),
        (("run", "--no-stdin"), b"hi", 2, "no prompt"),
        (("run", b"\xff".decode(errors="surrogateescape")), None, 2, "the prompt is not UTF-8"),
        (("run", "hi"), b"caf\xe9", 2, "stdin is not UTF-8 (byte 3)"),
        (("run", "hi"), b"x" * 16_000_001, 2, "over 16 MB"),
        (("run", "-m", "smollm2-135n", "hi"), None, 2, "did you mean `smollm2-135m`?"),
        (("run", "-m", "qwen3-4b", "hi"), None, 6, "hybrid pull qwen3-4b"),
        (("run", "-m", "./none.gguf", "hi"), None, 6, "none.gguf"),
        (("run", "-m", __file__, "hi"), None, 6, "is not a GGUF model file"),
        (("run", "-p", "ofline", "hi"), None, 2, "did you mean `offline`?"),
        (("run", "-p", "./none.yaml", "hi"), None, 2, "the profile none.yaml cannot be read"),
        (("run", "-o", "/nowhere/file", "hi"), None, 1, "/nowhere/file cannot be written"),
        (("run", "-o", "/", "hi"), None, 2, "is a folder"),
        (("run", "--bogus", "hi"), None, 2, "run has no option `--bogus`"),
        (("run", "--max-tokens", "0", "hi"), None, 2, "--max-tokens"),
        (("run", "--temperature", "nan", "hi"), None, 2, "--temperature"),
        (("run", "--timeout", "nan", "hi"), None, 2, "--timeout"),
        (("run", "--escalation", "maybe", "hi"), None, 2, "--escalation"),
        (("run", "one", "two"), None, 2, "two"),
        (("rum", "hi"), None, 2, "did you mean `run`?"),
        ((), None, 2, "hybrid needs a command: run, pipe"),
    ],
)
def test_bad_input_is_one_clear_line(
    hybrid: Hybrid, arguments: tuple[str, ...], stdin: bytes | None, code: int, told: str
) -> None:
    done = hybrid(*arguments, stdin=stdin)
    assert (done.returncode, done.stdout) == (code, b"")
    (line,) = lines(done.stderr)
    assert line.startswith("hybrid: ")
    assert told in line


def test_bad_variables(hybrid: Hybrid) -> None:
    done = hybrid("run", "hi", HYBRID_ESCALATION="off")
    assert done.returncode == 2
    assert b"HYBRID_ESCALATION" in done.stderr
    assert hybrid("run", "hi", HYBRID_PROFILE="none").returncode == 2


def test_a_prompt_beyond_the_context_is_an_error(hybrid: Hybrid) -> None:
    done = hybrid("run", "-p", "offline", "Sum it up.", stdin=b"word " * 9000)
    assert done.returncode == 3
    assert done.stdout == b""
    (line,) = lines(done.stderr)
    assert "tokens" in line
    assert "8192" in line
    assert "offline" in line


def test_a_read_only_home_still_answers(command: str, home: Path, weights_home: Path) -> None:
    # Root may write anywhere, so the folders that would be written are ones that cannot exist.
    (home / "config").write_text("a file, so that nothing can be made below it")
    done = subprocess.run(
        [command, "run", "--no-stdin", *HELLO],
        capture_output=True,
        env=environment(home),
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_without_a_home(command: str, weights_home: Path, tmp_path: Path) -> None:
    variables = environment(weights_home)
    del variables["HOME"]
    done = subprocess.run(
        [command, "run", "--no-stdin", *HELLO], capture_output=True, env=variables, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    del variables["HYBRID_HOME"]
    variables["XDG_DATA_HOME"] = str(tmp_path)  # the home of the password file may hold weights
    done = subprocess.run(
        [command, "run", "--no-stdin", *HELLO], capture_output=True, env=variables, timeout=60, check=False
    )
    assert done.returncode == 6
    assert b"Traceback" not in done.stderr
    assert len(lines(done.stderr)) == 1


def test_control_characters_do_not_reach_stdout_or_stderr(hybrid: Hybrid) -> None:
    done = hybrid("run", "-m", "\x1b[31mred", "hi")
    assert done.returncode == 2
    assert b"\x1b" not in done.stderr


def test_verbose_and_quiet(hybrid: Hybrid, profile: object) -> None:
    kept = profile("escalation: {target: {threshold: 0.1}}\n")  # type: ignore[operator]
    assert b"kept the local answer (confidence 0." in hybrid("run", "-v", "-p", kept, *HELLO).stderr
    nothing = b"smollm2-135m cannot keep wrong_at_most=0.2; use a larger model or a weaker promise; not handed off: "
    assert nothing in hybrid("run", *HELLO).stderr
    strict = hybrid("run", "-q", "-p", "offline", *HELLO)
    assert strict.stderr == b""
    assert strict.stdout


def test_a_timeout_that_a_profile_shortens_is_named(hybrid: Hybrid) -> None:
    expected = b"--timeout has no effect: profile `offline` sets limits.seconds to 600"
    assert expected in hybrid("run", "-p", "offline", "--timeout", "700", "--dry-run", "hi").stderr
    piped = hybrid("pipe", "-p", "offline", "--timeout", "700", "--dry-run", "Answer.", stdin=b"hi\n")
    assert expected in piped.stderr


def test_a_held_answer_does_not_outlive_its_deadline(hybrid: Hybrid) -> None:
    started = time.monotonic()
    done = hybrid("run", "--timeout", "1", "--max-tokens", "4000", "Write a long story about a fox.")
    assert b"--timeout has no effect" not in done.stderr
    assert done.returncode == 124
    assert done.stdout == b""
    assert time.monotonic() - started < 15  # generous: it would take minutes to its end
