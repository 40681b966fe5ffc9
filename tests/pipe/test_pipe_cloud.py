"""`hybrid pipe` with clouds that are slow, fail, limit the rate or cost money."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pytest

from hybrid_cli.cloud.faults import CloudFault
from hybrid_cli.egress.backpressure import Backpressure, Reservation
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.system.retry_after import rate_limit_pause
from hybrid_process import Hybrid, environment
from scripted_cloud import Reply, ScriptedCloud

ODD = "escalation: {rules: [{when: {matches: odd}, then: force}, {when: {matches: even}, then: local}]}\n"
"""Each record says which side answers it."""
CHOICES = ("--choices", "yes,no")
YES = Reply(pieces=("Yes", "."))


def alternating(count: int) -> bytes:
    return b"".join(b"odd\n" if number % 2 else b"even\n" for number in range(count))


def objects(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line)["hybrid"] for line in out.splitlines()]


def test_a_cloud_that_fails_half_the_time_does_not_stop_the_run(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path]
) -> None:
    turn = itertools.count()
    cloud.respond = lambda _body: YES if next(turn) % 2 else Reply(status=500)
    path = profile(cloud.section(", retries: 0, prices: {input: 1, output: 1}") + ODD)
    done = hybrid(
        "pipe", "-p", path, *CHOICES, "--each", "line", "--jsonl", "Is it?", stdin=alternating(20), HYBRID_CONSENT=cloud.origin
    )  # fmt: skip
    found = objects(done.stdout)
    assert [answer.get("answered_by") for answer in found[::2]] == ["local"] * 10
    handed_off = Counter(answer.get("answered_by") for answer in found[1::2])
    assert handed_off["cloud"] == 5
    assert sum("error" in answer for answer in found) == 5
    assert done.returncode == 5
    # what a 500 has cost is not known: its reservation stays
    assert b"20 records: 10 kept, 5 handed off, 0 denied, 5 failed, $0.0" in done.stderr


def test_a_slow_cloud_does_not_delay_local_records(
    command: str, home: Path, cloud: ScriptedCloud, profile: Callable[..., Path]
) -> None:
    waits = threading.Event()

    def respond(_body: dict[str, Any]) -> Reply:
        waits.wait(60)
        return YES

    cloud.respond = respond
    path = profile(cloud.section() + ODD)
    process = subprocess.Popen(
        [command, "pipe", "-p", path, *CHOICES, "--unordered", "--cloud-jobs", "1", "Is it?"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(home, HYBRID_CONSENT=cloud.origin),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"odd\n" * 30 + b"even\n" * 4)  # more odd ones than there are local threads
    process.stdin.close()
    for _ in range(4):
        assert process.stdout.readline()
    assert len(cloud.received) == 1
    waits.set()
    assert len(process.stdout.read().splitlines()) == 30
    process.stdout.close()
    assert process.wait(60) == 0


def test_a_rate_limit_delays_all_records_for_that_cloud(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path]
) -> None:
    times: list[float] = []

    def respond(_body: dict[str, Any]) -> Reply:
        times.append(time.monotonic())
        return Reply(status=429, headers={"Retry-After": "2"}) if len(times) == 1 else YES

    cloud.respond = respond
    path = profile(cloud.section() + "escalation: {mode: force}\n")
    done = hybrid(
        "pipe",
        "-p",
        path,
        *CHOICES,
        "--cloud-jobs",
        "1",
        "Is it?",
        stdin=b"x\n" * 5,
        HYBRID_CONSENT=cloud.origin,
    )
    assert (done.returncode, done.stdout) == (0, b"yes\n" * 5)
    assert times[1] - times[0] >= 2  # a wait that is asked for is no figure


def test_a_failing_cloud_gets_no_retries_for_later_records(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path]
) -> None:
    cloud.replies = [Reply(status=503)]
    path = profile(cloud.section() + "escalation: {mode: force}\n")
    done = hybrid(
        "pipe", "-p", path, "--cloud-jobs", "1", "Is it?", stdin=b"x\n" * 20, HYBRID_CONSENT=cloud.origin
    )
    assert (done.returncode, done.stdout) == (5, b"\n" * 20)
    assert len(cloud.received) == 3 * 3 + 17  # eight in a row, then one try each


def test_an_exhausted_budget_fails_later_records_at_once(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path]
) -> None:
    cloud.respond = lambda _body: YES
    limits = "limits: {usd_per_run: 0.002}\n"
    path = profile(cloud.section(", prices: {input: 0, output: 10}") + ODD + limits)
    # Each may cost 0.001 and costs 0.00003: side by side they must not take each other's room.
    done = hybrid(
        "pipe", "-p", path, *CHOICES, "--max-tokens", "100", "Is it?", stdin=alternating(12), HYBRID_CONSENT=cloud.origin
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(cloud.received) == 6
    path = profile(cloud.section(", prices: {input: 0, output: 10}") + ODD + limits, "small.yaml")
    done = hybrid(
        "pipe", "-p", path, *CHOICES, "--max-tokens", "300", "Is it?", stdin=alternating(12), HYBRID_CONSENT=cloud.origin
    )  # fmt: skip
    assert done.returncode == 8
    assert len(cloud.received) == 6
    assert b"12 records: 6 kept, 0 handed off, 0 denied, 6 failed" in done.stderr


def test_on_cloud_failure_answer_makes_the_run_succeed(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path]
) -> None:
    cloud.replies = [Reply(status=500)]
    words = "escalation: {target: {threshold: 1.0}, on_cloud_failure: answer}\nlimits: {calls_per_run: 2}\n"
    path = profile(cloud.section(", retries: 0") + words)
    done = hybrid("pipe", "-p", path, *CHOICES, "Is it?", stdin=b"a\nb\nc\nd\n", HYBRID_CONSENT=cloud.origin)
    assert done.returncode == 0
    assert set(done.stdout.splitlines()) <= {b"yes", b"no"}
    assert len(cloud.received) == 2
    assert b"4 records: 4 kept, 0 handed off" in done.stderr


def test_a_cloud_answer_outside_the_choices_fails(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path]
) -> None:
    path = profile(cloud.section() + "escalation: {mode: force}\n")
    done = hybrid("pipe", "-p", path, *CHOICES, "Is it?", stdin=b"x\n", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout) == (7, b"\n")
    assert "Answer with exactly one of: yes, no." in str(cloud.received[0].body["messages"])


def fault(wait: float | None, *, limits_rate: bool = False) -> CloudFault:
    found = CloudFault(ExitStatus.CLOUD, "it limits the rate", wait=wait, transient=True)
    found.limits_rate = limits_rate
    return found


def test_backpressure_is_per_cloud() -> None:
    backpressure = Backpressure()
    backpressure.failed("https://one", fault(30.0))
    with pytest.raises(Failure, match="it limits the rate"):
        backpressure.wait_for_turn("https://one", 10.0)
    backpressure.wait_for_turn("https://other", 10.0)
    backpressure.answered("https://one", 0.2)  # a shorter wait shortens nothing
    with pytest.raises(Failure):
        backpressure.wait_for_turn("https://one", 10.0)
    backpressure.failed("https://other", fault(None, limits_rate=True))
    begun = time.monotonic()
    backpressure.wait_for_turn("https://other", 10.0)
    assert time.monotonic() - begun > 0.5


def test_a_reservation_waits_while_others_are_open() -> None:
    backpressure = Backpressure()
    room = 1
    order: list[str] = []

    def reserve() -> Reservation:
        nonlocal room
        if not room:
            raise Failure(ExitStatus.LIMIT, "no room")
        room -= 1
        return 7, None

    def second() -> None:
        with backpressure.reserved(reserve) as (row, _):
            order.append(f"second {row}")

    thread = threading.Thread(target=second)
    with backpressure.reserved(reserve):
        thread.start()
        time.sleep(0.1)
        order.append("first")
        room += 1
    thread.join(10)
    assert order == ["first", "second 7"]
    with pytest.raises(Failure, match="no room"), backpressure.reserved(reserve):
        pass


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "1s"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20ms"}, 0.02),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1.5"}, 1.5),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon"}, None),
        ({"x-ratelimit-remaining-requests": "0"}, None),
    ],
)
def test_the_pause_that_rate_limit_headers_ask_for(headers: dict[str, str], seconds: float | None) -> None:
    assert rate_limit_pause(headers) == seconds


def test_each_record_is_confirmed_on_its_own(
    command: str, home: Path, cloud: ScriptedCloud, profile: Callable[..., Path], tmp_path: Path
) -> None:
    cloud.respond = lambda _body: YES
    rule = "escalation: {mode: ask, on_denied: fail, target: {threshold: 1.0}}\n"
    path, records = profile(cloud.section() + rule), tmp_path / "records"
    records.write_text("a\nb\nc\n")
    arguments = ["pipe", "-p", str(path), *CHOICES, "Is it?", str(records)]
    variables = environment(home, HYBRID_CONSENT=cloud.origin, TERM="xterm")
    child = pexpect.spawn(command, arguments, env=variables, timeout=60, encoding="utf-8")
    for answer in ("y", "n", "y"):
        child.expect(r"Send this prompt \(\d+ characters\) to .*\? \[y/N\]")
        child.sendline(answer)
    child.expect("3 records: 0 kept, 2 handed off, 0 denied, 1 failed")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3
    assert len(cloud.received) == 2


def test_denied_records_name_the_cause_and_the_remedy(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path]
) -> None:
    path = profile(cloud.section() + "escalation: {target: {threshold: 1.0}}\n")
    done = hybrid("pipe", "-p", path, *CHOICES, "Is it?", stdin=b"a\nb\nc\n")
    *_, cause, summary = done.stderr.decode().splitlines()
    assert cause == (
        f"hybrid: 3 denied: no consent for {cloud.origin}; run: hybrid consent grant {cloud.origin}"
    )
    assert "0 kept, 0 handed off, 3 denied" in summary
    assert (done.returncode, cloud.received) == (0, [])


@pytest.mark.parametrize(
    ("escalation", "code"),
    [
        ("mode: auto", 4),  # on_cloud_failure: fail is the built-in default, as if the key were refused
        ("mode: auto, on_cloud_failure: answer, on_denied: fail", 0),
        ("mode: auto, rules: [{when: {matches: Is}, then: force}]", 4),
        ("mode: force", 4),
    ],
)
def test_without_a_key_nobody_is_asked_for_consent(
    command: str, home: Path, cloud: ScriptedCloud, profile: Callable[..., Path], escalation: str, code: int
) -> None:
    section = cloud.section(", key: {env: MY_KEY}")
    path = profile(f"{section}escalation: {{{escalation}, target: {{threshold: 1.0}}}}\n")
    arguments = ["run", "-p", str(path), *CHOICES, "Is it?"]
    child = pexpect.spawn(
        command, arguments, env=environment(home, TERM="xterm"), timeout=60, encoding="utf-8"
    )
    child.expect("no API key: MY_KEY is not set; export it, or set cloud.key")
    assert "[y/N]" not in (child.before or "")
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, cloud.received) == (code, [])


def test_consent_for_a_new_cloud_is_asked_for_once(
    command: str, home: Path, cloud: ScriptedCloud, profile: Callable[..., Path], tmp_path: Path
) -> None:
    path, records = (
        profile(cloud.section() + "escalation: {target: {threshold: 1.0}}\n"),
        tmp_path / "records",
    )
    records.write_text("a\nb\nc\n")
    arguments = ["pipe", "-p", str(path), *CHOICES, "Is it?", str(records)]
    child = pexpect.spawn(
        command, arguments, env=environment(home, TERM="xterm"), timeout=60, encoding="utf-8"
    )
    child.expect(r"\[y/N\]")
    child.sendline("n")
    child.expect("3 records: 0 kept, 0 handed off, 3 denied, 0 failed")
    assert child.before is not None
    assert "[y/N]" not in child.before
    child.close()
    assert cloud.received == []


def test_a_terminal_shows_progress_and_erases_it(command: str, home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = f"seq 60 | {command} pipe -p offline --choices yes,no 'Is it even?' > {out}"
    child = pexpect.spawn(
        "bash", ["-c", line], env=environment(home, TERM="xterm"), timeout=60, encoding="utf-8"
    )
    child.expect(r"\r(\x1b\[K)?hybrid: \d+ records, \d+\.\d/s, 0 % handed off, 0 failed, \$0\.00")
    child.expect(  # the first line takes the place of the progress: why records were denied
        r"\r\x1b\[K(\x1b\[1m)?hybrid:(\x1b\[0m)? [^\r]*handoffs\r\n"
        r"(\x1b\[1m)?hybrid:(\x1b\[0m)? 60 records: \d+ kept, 0 handed off, \d+ denied, 0 failed"
    )
    child.close()
    assert len(out.read_text().splitlines()) == 60


def test_a_terminal_shows_each_answer_once(
    command: str, home: Path, cloud: ScriptedCloud, profile: Callable[..., Path], tmp_path: Path
) -> None:
    cloud.replies = [Reply(pieces=("one\n", "two"))]
    path, records = profile(cloud.section() + "escalation: {mode: force}\n"), tmp_path / "records"
    records.write_text("a\nb\nc\n")
    variables = environment(home, HYBRID_CONSENT=cloud.origin, TERM="xterm")
    arguments = ["pipe", "-q", "-p", str(path), "Say it.", str(records)]
    child = pexpect.spawn(command, arguments, env=variables, timeout=60, encoding="utf-8")
    child.expect(pexpect.EOF)
    child.close()
    assert child.before == "one\\ntwo\r\n" * 3


def test_the_summary_costs_agree_with_the_ledger(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path]
) -> None:
    replies = iter([Reply(pieces=("none of them",)), Reply(status=500), YES])
    cloud.respond = lambda _body: next(replies)
    path = profile(cloud.section(", retries: 0, prices: {input: 1000, output: 1000}") + ODD)
    flags = ("pipe", "-p", path, *CHOICES, "--max-tokens", "10", "--cloud-jobs", "1", "Is it?")
    done = hybrid(*flags, stdin=b"odd\n" * 3, HYBRID_CONSENT=cloud.origin)
    rows = json.loads(hybrid("usage", "--export").stdout)["requests"]
    spent = sum(row["reserved"] if row["cost"] is None else row["cost"] for row in rows)
    (told,) = re.findall(rb"3 records: 0 kept, 1 handed off, 0 denied, 2 failed, \$([0-9.]+),", done.stderr)
    assert float(told) == pytest.approx(spent, abs=0.01)
    assert spent > 0


def test_files_come_before_the_instruction_of_each_record(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path], tmp_path: Path
) -> None:
    """They are sent, scanned and known to rules like files of `hybrid run`, and kept answers are found again."""
    (tmp_path / "glossary.md").write_text("fox: Fuchs\n")
    path = profile(cloud.section() + "escalation: {mode: force}\n")
    arguments = ("pipe", "-p", path, "-f", "glossary.md", "Translate.", "--resume", "out.jsonl")
    for _ in range(2):
        done = hybrid(*arguments, stdin=b"a fox\ntwo\n", cwd=tmp_path, HYBRID_CONSENT=cloud.origin)
        assert done.returncode == 0, done.stderr
    sent = sorted(one.body["messages"][-1]["content"] for one in cloud.received)
    begin = "File `glossary.md`:\n```\nfox: Fuchs\n```\n\nTranslate.\n\n"
    assert sent == [f"{begin}a fox", f"{begin}two"]
    (tmp_path / "glossary.md").write_text("fox: Rotfuchs\n")
    hybrid(*arguments, stdin=b"two\n", cwd=tmp_path, HYBRID_CONSENT=cloud.origin)
    assert len(cloud.received) == 3  # the old answer was about another glossary
    (tmp_path / "glossary.md").write_text(f"key: {'sk-' + 'proj-' + 'Ab3dEf6hIj9kLmN0pQr5tUvW' * 2}\n")
    done = hybrid(*arguments, stdin=b"three\n", cwd=tmp_path, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, len(cloud.received)) == (3, 3), done.stderr
    assert b"line 1 of `glossary.md`" in done.stderr
    secret = (tmp_path / "glossary.md").read_text()
    for given, record, place in (
        ("Translate\nthis.", secret.encode(), b"line 1 of the record looks"),
        (f"Translate\n{secret}", b"three\n", b"line 2 of the instruction looks"),
    ):
        done = hybrid("pipe", "-p", path, given, stdin=record, cwd=tmp_path, HYBRID_CONSENT=cloud.origin)
        assert (done.returncode, place in done.stderr) == (3, True), done.stderr
    done = hybrid("pipe", "-f", "-", "Translate.", stdin=b"a\n", cwd=tmp_path)
    assert (done.returncode, b"in a pipe, stdin has the records" in done.stderr) == (2, True)
