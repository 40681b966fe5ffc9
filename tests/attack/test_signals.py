"""Every command ends within two seconds of SIGTERM, whatever it computes, and patterns take linear time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hybrid_cli.checks.json_schema import AnswerSchema
from hybrid_process import environment

EVIL = ["^(a+)+$", "^(?=a)(a+)+$", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$"]


def pattern_schemas(pattern: str) -> list[dict[str, object]]:
    return [
        {"type": "string", "pattern": pattern},
        {"type": "object", "patternProperties": {pattern: {"type": "integer"}}},
        {"type": "object", "patternProperties": {pattern: {}}, "additionalProperties": False},
        {"type": "object", "propertyNames": {"pattern": pattern}},
        {"type": "object", "patternProperties": {pattern: {}}, "unevaluatedProperties": False},
    ]


@pytest.mark.parametrize("pattern", [EVIL[0], EVIL[2]])
def test_no_pattern_of_a_schema_hangs(pattern: str) -> None:
    text = "a" * 40 + "!"
    for schema in pattern_schemas(pattern):
        value = text if schema["type"] == "string" else {text: "x"}
        started = time.monotonic()
        AnswerSchema(schema).problem(json.dumps(value))
        assert time.monotonic() - started < 60  # backtracking would take hours


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"pattern": "^a+$"}, "aaa", "ab"),
        ({"pattern": "^(?=ab)"}, "abc", "acb"),  # in a process of its own
        ({"patternProperties": {"^n_": {"type": "integer"}}}, {"n_a": 1, "b": "x"}, {"n_a": "x"}),
        ({"patternProperties": {"^n_": {}}, "additionalProperties": False}, {"n_a": 1}, {"b": 1}),
        ({"properties": {"b": {}}, "additionalProperties": {"type": "null"}}, {"b": 1, "c": None}, {"c": 1}),
        ({"patternProperties": {"^n": {}}, "unevaluatedProperties": False}, {"n": 1}, {"b": 1}),
        ({"properties": {"pattern": {"const": "(?=x)"}}}, {"pattern": "(?=x)"}, {"pattern": "y"}),
        ({"pattern": "^.$"}, "\ud800", "\ud800\ud800"),
    ],
)
def test_patterns_mean_the_same_in_linear_time(schema: dict[str, object], good: object, bad: object) -> None:
    assert AnswerSchema(schema).problem(json.dumps(good)) is None
    assert (AnswerSchema(schema).problem(json.dumps(bad)) or "").startswith("does not match the schema")


STORY = ["-p", "offline", "--max-tokens", "4000", "--verify", "sleep 60", "Write a long story about a fox."]
COMMANDS = {
    "run": ["run", *STORY],
    "pipe": ["pipe", *STORY],
    "verify": ["run", "-p", "offline", "--verify", "sleep 60", "hi"],
    "calibrate": ["calibrate", "-p", "offline"],
    "eval": ["eval", "-p", "offline"],
}
"""Each works for longer than the test waits."""


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_each_command_ends_within_two_seconds(name: str, number: int, command: str, home: Path) -> None:
    for wait in (0.3, 1.0, 4.0):
        process = subprocess.Popen(
            [command, *COMMANDS[name]],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(home),
        )
        try:
            assert process.stdin is not None
            process.stdin.write(b"a\nb\n" * 50)
            process.stdin.close()
            time.sleep(wait)
            assert process.poll() is None, "the command ended by itself; nothing was tried"
            os.kill(process.pid, number)
            assert process.wait(2) in (143, 130, -number)
        finally:
            process.kill()
            process.wait()


LOST = """
import os, signal, sys, time
from hybrid_cli.__main__ import redeliver
from hybrid_cli.exit_status import ExitStatus, Interrupted

def terminate(number, frame):
    raise Interrupted(ExitStatus.TERMINATED)

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)

def hook(lost):
    redeliver(lost)
    time.sleep(SECONDS)

sys.unraisablehook = hook
signal.signal(signal.SIGTERM, terminate)
try:
    Finalized()
    time.sleep(30)
except Interrupted as interrupted:
    sys.exit(interrupted.status)
"""


@pytest.mark.parametrize("seconds", [0, 0.3])
def test_a_signal_in_a_finalizer_is_not_lost(seconds: float) -> None:
    """Also where the signal that is sent again meets the hook, which swallows it as a finalizer does."""
    script = LOST.replace("SECONDS", str(seconds))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=20, check=False)
    assert done.returncode == 143
    assert seconds or not done.stderr
