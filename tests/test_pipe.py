"""`hybrid pipe` on the real model, through real pipes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from conftest import Hybrid, environment
from scripted_cloud import ScriptedCloud

OFFLINE = ("-p", "offline", "--max-tokens", "24")
WHOLE = ("-p", "offline", "--max-tokens", "200")
NOTHING_SURE = "escalation: {target: {threshold: 1.0}}\n"
SAY = "Say hello."


def test_answers_come_in_order_whatever_is_decoded_beside_them(hybrid: Hybrid) -> None:
    lines = [f"{'very ' * (number % 5)}good {number}" for number in range(20)]
    together = hybrid("pipe", *OFFLINE, SAY, stdin="\n".join(lines).encode())
    backwards = hybrid("pipe", *OFFLINE, SAY, stdin="\n".join(lines[::-1]).encode())
    answers = together.stdout.decode().splitlines()
    assert len(answers) == 20
    assert len(set(answers)) > 1
    # What a line gets does not depend on what is decoded beside it.
    assert backwards.stdout.decode().splitlines() == answers[::-1]


def test_the_first_answer_does_not_wait_for_the_end_of_input(command: str, home: Path) -> None:
    process = subprocess.Popen(
        [command, "pipe", *WHOLE, SAY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(home),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for line in (b"a cat\n", b"a dog\n"):
        process.stdin.write(line)
        process.stdin.flush()
        assert process.stdout.readline().strip()
    process.stdin.close()
    assert process.stdout.read() == b""
    process.stdout.close()
    assert process.wait(20) == 0


def test_a_closed_output_ends_an_endless_input(command: str, home: Path) -> None:
    pipeline = f"yes 'a cat' | '{command}' pipe -p offline --max-tokens 4 '{SAY}' | head -n 2"
    process = subprocess.Popen(
        ["bash", "-c", f"{pipeline}; exit ${{PIPESTATUS[1]}}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(home),
    )
    out, _ = process.communicate(timeout=90)
    assert len(out.splitlines()) == 2
    assert process.returncode == 141


def test_ctrl_c_stops_it_and_it_says_how_to_go_on(command: str, home: Path) -> None:
    process = subprocess.Popen(
        [command, "pipe", *OFFLINE, "--choices", "yes,no", SAY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"a cat\na dog\n")
    process.stdin.flush()
    assert process.stdout.readline()
    assert process.stdout.readline()
    process.send_signal(2)
    begun = time.monotonic()
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"stopped; 2 records: 2 kept" in told
    assert b"to go on: from record 3" in told
    assert time.monotonic() - begun < 10  # a hang, not a figure


def test_a_record_that_fails_leaves_its_line_empty_and_the_rest_goes_on(hybrid: Hybrid) -> None:
    done = hybrid("pipe", *WHOLE, SAY, stdin=b"a cat\n\xff\xfe\na dog\n")
    assert done.returncode == 2
    assert [bool(line) for line in done.stdout.split(b"\n")] == [True, False, True, False]
    assert b"record 2: it is not UTF-8 (byte 0)" in done.stderr


def test_unsure_records_are_handed_off_and_failures_of_the_cloud_are_theirs_alone(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path]
) -> None:
    from scripted_cloud import Reply

    cloud.respond = lambda body: Reply(status=400) if "odd" in str(body["messages"]) else Reply()
    path = profile(cloud.section() + NOTHING_SURE)
    lines = "\n".join("odd" if number % 2 else "even" for number in range(8))
    done = hybrid("pipe", "-p", path, SAY, stdin=lines.encode(), HYBRID_CONSENT=cloud.origin)
    assert done.stdout.decode().splitlines() == ["The cloud says hello.", ""] * 4
    assert done.returncode == 1
    assert b"8 records: 0 kept, 4 handed off, 0 denied, 4 failed" in done.stderr


def test_a_budget_of_calls_holds_over_all_records(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path]
) -> None:
    path = profile(cloud.section() + "escalation: {mode: force}\nlimits: {calls_per_run: 3}\n")
    done = hybrid("pipe", "-p", path, SAY, stdin=b"x\n" * 10, HYBRID_CONSENT=cloud.origin)
    assert len(cloud.received) == 3
    assert done.stdout.count(b"hello") == 3
    assert done.returncode == 8


def test_no_records_are_no_failure(hybrid: Hybrid) -> None:
    done = hybrid("pipe", SAY, stdin=b"")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"0 records: 0 kept, 0 handed off, 0 denied, 0 failed" in done.stderr


def test_no_record_holds_the_others_for_longer_than_the_limit(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path]
) -> None:
    key = ", key: {command: [sleep, '15']}"  # what has a longer limit of its own than the profile sets
    path = profile(cloud.section(key) + "escalation: {mode: force}\nlimits: {seconds: 2}\n")
    done = hybrid("pipe", "-p", path, SAY, stdin=b"a\nb\n", HYBRID_CONSENT=cloud.origin)
    assert (done.stdout, done.returncode) == (b"\n\n", 124)
    assert b"record 2: no answer within 2 s (limits.seconds)" in done.stderr
    assert cloud.received == []
