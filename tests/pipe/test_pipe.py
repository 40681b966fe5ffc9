"""`hybrid pipe` with the real model, through real pipes."""

from __future__ import annotations

import json
import math
import os
import random
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybrid_cli.gate.calibration import Promise, as_text
from hybrid_process import Hybrid, environment
from made_rows import made_calibration
from scripted_cloud import Reply, ScriptedCloud

OFFLINE = ("-p", "offline", "--max-tokens", "24")
NOTHING_SURE = "escalation: {target: {threshold: 1.0}}\n"
SAY = "Say hello."
CHOOSE = ("-p", "offline", "--choices", "yes,no")


def objects(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_answers_are_in_order_and_independent_of_each_other(hybrid: Hybrid) -> None:
    lines = ["Hello", "four", "yes", "cat", "red", "Paris"]
    flags = ("pipe", *OFFLINE, "--system", "Brief.", "Say it.")
    together = hybrid(*flags, stdin="\n".join(lines).encode())
    backwards = hybrid(*flags, stdin="\n".join(lines[::-1]).encode())
    answers = together.stdout.decode().splitlines()
    assert len(answers) == 6
    assert len(set(answers)) > 3
    # An answer does not depend on the records decoded in the same batch.
    assert backwards.stdout.decode().splitlines() == answers[::-1]


def test_answers_do_not_wait_for_the_end_of_input(command: str, home: Path) -> None:
    process = subprocess.Popen(
        [command, "pipe", *CHOOSE, SAY],
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


def test_a_closed_output_ends_the_run(command: str, home: Path) -> None:
    pipeline = f"yes 'a cat' | '{command}' pipe -p offline --choices yes,no '{SAY}' | head -n 2"
    process = subprocess.Popen(
        ["bash", "-c", f"{pipeline}; exit ${{PIPESTATUS[1]}}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(home),
    )
    out, _ = process.communicate(timeout=90)
    assert len(out.splitlines()) == 2
    assert process.returncode == 141


def test_ctrl_c_stops_the_run_and_says_how_to_continue(command: str, home: Path) -> None:
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
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert re.search(rb"stopped; 2 records: .* 0 failed", stderr)
    assert b"to continue, start at record 3" in stderr
    assert time.monotonic() - begun < 10  # a hang, not a figure


def test_a_failed_record_leaves_an_empty_line(hybrid: Hybrid) -> None:
    done = hybrid("pipe", *CHOOSE, SAY, stdin=b"a cat\n\xff\xfe\na dog\n")
    assert done.returncode == 2
    assert [bool(line) for line in done.stdout.split(b"\n")] == [True, False, True, False]
    assert b"record 2: not UTF-8 (byte 0)" in done.stderr


def test_unsure_records_are_handed_off_and_fail_alone(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path]
) -> None:
    from scripted_cloud import Reply

    cloud.respond = lambda body: Reply(status=400) if "odd" in str(body["messages"]) else Reply()
    path = profile(cloud.section() + NOTHING_SURE)
    lines = "\n".join("odd" if number % 2 else "even" for number in range(4))
    done = hybrid(
        "pipe", "-p", path, "--system", "Brief.", "Say it.", stdin=lines.encode(), HYBRID_CONSENT=cloud.origin
    )
    assert done.stdout.decode().splitlines() == ["The cloud says hello.", ""] * 2
    assert done.returncode == 1
    assert b"4 records: 0 kept, 2 handed off, 0 denied, 2 failed" in done.stderr


def test_a_call_limit_covers_all_records(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path]
) -> None:
    path = profile(cloud.section() + "escalation: {mode: force}\nlimits: {calls_per_run: 3}\n")
    done = hybrid("pipe", "-p", path, SAY, stdin=b"x\n" * 10, HYBRID_CONSENT=cloud.origin)
    assert len(cloud.received) == 3
    assert done.stdout.count(b"hello") == 3
    assert done.returncode == 8


def test_empty_input_succeeds(hybrid: Hybrid) -> None:
    done = hybrid("pipe", SAY, stdin=b"")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"0 records: 0 kept, 0 handed off, 0 denied, 0 failed" in done.stderr


def test_the_time_limit_applies_to_each_record(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path]
) -> None:
    key = ", key: {command: [sleep, '15']}"  # a key command may take longer than limits.seconds
    path = profile(cloud.section(key) + "escalation: {mode: force}\nlimits: {seconds: 2}\n")
    done = hybrid("pipe", "-p", path, SAY, stdin=b"a\nb\n", HYBRID_CONSENT=cloud.origin)
    assert (done.stdout, done.returncode) == (b"\n\n", 124)
    assert b"record 2: no answer within 2 s (limits.seconds)" in done.stderr
    assert cloud.received == []


def test_many_lines_stay_in_order(hybrid: Hybrid) -> None:
    lines = "".join(
        f"{number}\n" for number in range(30)
    )  # more than there are local threads; the benchmark pipe.py has 10,000
    done = hybrid(
        "pipe", *CHOOSE, "--each", "line", "--jsonl", "Is it even?", stdin=lines.encode(), timeout=170
    )
    assert done.returncode == 0
    assert [found["input"] for found in objects(done.stdout)] == lines.splitlines()
    assert {found["hybrid"]["answer"] for found in objects(done.stdout)} <= {"yes", "no"}


def test_a_choice_is_as_confident_as_its_share_is_above_chance(hybrid: Hybrid) -> None:
    def shares(choices: str, text: str) -> tuple[str, float]:
        done = hybrid("pipe", "-p", "offline", "--choices", choices, "--each", "line", "--jsonl", "Is it good?",
                      stdin=text.encode())  # fmt: skip
        (found,) = objects(done.stdout)
        answer, handoff = found["hybrid"], found["hybrid"]["handoff"]
        share, chance = math.exp(handoff["signals"]["mean_logprob"]), 1 / len(choices.split(","))
        above_chance = max(0.0, (share - chance) / (1 - chance))
        assert handoff["confidence"] == pytest.approx(above_chance)
        assert handoff["signals"]["log_tokens"] == 0.0
        return answer["answer"], share

    for text in ("This book is great.", "This book is awful."):
        answer, share = shares("yes,no", text)
        assert answer in ("yes", "no")
        assert 0.5 <= share <= 1  # of two, the likelier one
    answer, share = shares("no,none,nonetheless", "This book is great.")
    assert answer in ("no", "none", "nonetheless")
    assert 0 < share <= 1


def test_each_answer_fits_the_schema(hybrid: Hybrid) -> None:
    schema = '{"type": "object", "properties": {"good": {"type": "boolean"}}, "required": ["good"]}'
    done = hybrid("pipe", "-p", "offline", "--schema", schema, "Is it good?", stdin=b"a\nb\n")
    answers = [json.loads(line.replace(b"\\n", b"\n")) for line in done.stdout.splitlines()]
    assert [type(found["good"]) for found in answers] == [bool, bool]
    assert hybrid("pipe", *CHOOSE, "--schema", schema, "x", stdin=b"a\n").returncode == 2


def test_the_verify_command_checks_each_answer(hybrid: Hybrid) -> None:
    done = hybrid("pipe", *CHOOSE, "--verify", "grep -q maybe", "Is it?", stdin=b"a\nb\n")
    assert (done.returncode, done.stdout) == (7, b"\n\n")
    assert b"record 2: the local answer fails its check: `grep` exited with code 1" in done.stderr


def test_hostile_records_fail_alone_and_keep_their_fields(hybrid: Hybrid, tmp_path: Path) -> None:
    long = "x " * 20_000
    rows = [
        b'{"text": "a \\"quoted\\" one", "n": 1e400}',
        b'{"text": "\\u0000 and \\r\\n", "n": 2}\r',
        b'{"text": "' + long.encode() + b'"}',
        b'{"text": "\xff"}',
        b'{"text": 5, "hybrid": "mine"}',
        b'{"other": 1}',
        b"not json",
        b'{"text": "last"}',
    ]
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(rows))
    done = hybrid("pipe", *CHOOSE, "--jsonl", "--field", "text", "Is it good?", path)
    lines = done.stdout.splitlines()
    assert len(lines) == len(rows)
    failed = ["error" in found["hybrid"] for found in objects(done.stdout)]
    assert failed == [False, False, True, True, True, True, True, False]
    for number in (0, 1, 2, 5, 7):
        assert lines[number].startswith(rows[number].rstrip(b"\r}"))
    assert objects(lines[4])[0]["input"] == {"text": 5, "hybrid": "mine"}
    assert (
        objects(lines[2])[0]["hybrid"]["error"]["code"] == 3
    )  # too long for the local model, and forbidden to hand off
    assert done.returncode == 3
    named = hybrid("pipe", *CHOOSE, "--jsonl", "--key", "verdict", "Is it good?", stdin=rows[4])
    assert objects(named.stdout)[0]["hybrid"] == "mine"
    assert objects(named.stdout)[0]["verdict"]["answer"] in ("yes", "no")


def test_csv_rows_become_objects(hybrid: Hybrid) -> None:
    table = b'name,text\r\n"Jo ""X""","two\r\nlines"\r\nshort\r\nz,w\r\n'
    done = hybrid(
        "pipe", *CHOOSE, "--each", "csv", "--jsonl", "--template", "It: {text}", "Good?", stdin=table
    )
    first, short, last = objects(done.stdout)
    assert (first["name"], first["text"]) == ('Jo "X"', "two\r\nlines")
    assert short["hybrid"]["error"]["message"] == "expected 2 fields, as in the header row; found 1"
    assert last["hybrid"]["answer"] in ("yes", "no")
    assert done.returncode == 2


def test_paragraphs_and_blank_lines(hybrid: Hybrid) -> None:
    done = hybrid("pipe", *CHOOSE, "--each", "para", "Good?", stdin=b"one\ntwo\n\n\nthree\n")
    assert len(done.stdout.splitlines()) == 2
    done = hybrid("pipe", *CHOOSE, "Good?", stdin=b"one\n\nthree\n")
    assert [bool(line) for line in done.stdout.splitlines()] == [True, False, True]
    assert done.returncode == 0
    assert re.search(rb"2 records: .* 0 failed", done.stderr)


def test_fail_fast_stops_at_the_first_failure(hybrid: Hybrid) -> None:
    done = hybrid("pipe", *CHOOSE, "--fail-fast", "Good?", stdin=b"one\n\xff\nthree\n" * 50)
    assert [bool(line) for line in done.stdout.splitlines()] == [True, False]
    assert done.returncode == 2
    assert b"stopped at record 2 (--fail-fast)" in done.stderr


def test_missing_weights_end_the_run_before_it_reads(command: str, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [command, "pipe", SAY],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path / "none"),
    )
    assert process.stderr is not None
    assert b"hybrid pull" in process.stderr.read()  # although stdin is still open
    assert process.wait(30) == 6
    process.stderr.close()
    assert process.stdin is not None
    process.stdin.close()


def test_dry_run_estimates_without_sending(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path], home: Path, model_file: Path
) -> None:
    folder = home / "config" / "calibrations"
    folder.mkdir(parents=True)
    promise = Promise("escalate_at_most", 0.3, 0.5, handed_off=0.3)
    (folder / "made.json").write_bytes(as_text(made_calibration(model_file.stem, promise)))
    rules = "rules: [{when: {matches: odd}, then: force}, {when: {matches: even}, then: local}]"
    words = f"escalation: {{target: {{escalate_at_most: 0.3}}, {rules}}}\n"
    path = profile(cloud.section(", prices: {input: 1, output: 2}") + words)
    stdin = b"odd\n" * 10 + b"even\n" * 10 + b"any\n" * 10 + b"\xff\n"
    done = hybrid("pipe", "-p", path, "--each", "line", "--jsonl", "--dry-run", "--max-tokens", "100", "Is it?",
                  stdin=stdin, HYBRID_CONSENT=cloud.origin)  # fmt: skip
    (plan,) = objects(done.stdout)
    assert (done.returncode, cloud.received) == (0, [])
    assert (plan["records"], plan["failing"], plan["tokens"]) == (31, 1, 30 * 3)
    assert plan["handed_off"] == "43% (13 records)"
    assert plan["handed_off_at_most"] == "67% (20 records)"
    # 13 prompts of 3 tokens at $1 a million, and 13 answers of 100 at $2
    assert plan["usd"] == "$0.002639"


def test_the_estimated_maximum_is_what_the_budget_needs(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Callable[..., Path]
) -> None:
    section = cloud.section(", prices: {input: 1000, output: 1}") + "escalation: {mode: force}\n"
    flags = ("--jsonl", "--schema", '{"type": "object", "required": ["sum"]}', "Add them up.")
    record = b'{"numbers": [1, 2, 3]}\n'
    planned = hybrid(
        "pipe", "-p", profile(section), "--dry-run", *flags, stdin=record, HYBRID_CONSENT=cloud.origin
    )
    (plan,) = objects(planned.stdout)
    most = float(plan["usd_at_most"].removeprefix("$"))
    cloud.replies = [Reply(pieces=('{"sum": 6}',))]
    for share, code in ((0.98, 8), (1.02, 0)):
        path = profile(f"{section}limits: {{usd_per_run: {share * most:.6f}}}\n")
        done = hybrid("pipe", "-p", path, *flags, stdin=record, HYBRID_CONSENT=cloud.origin)
        assert done.returncode == code, done.stderr
    assert len(cloud.received) == 1


def test_resume_after_a_kill_answers_each_record_once(
    command: str, hybrid: Hybrid, home: Path, tmp_path: Path
) -> None:
    rows = [json.dumps({"n": number % 14}) for number in range(20)]  # some are there twice
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(rows), encoding="utf-8")
    arguments = ["pipe", *CHOOSE, "Is it even?", "--resume", str(out), str(source)]
    seeded = random.Random(8)
    for _ in range(4):
        process = subprocess.Popen([command, *arguments], stderr=subprocess.DEVNULL, env=environment(home))
        begun, lines = time.monotonic(), seeded.randrange(1, 4)
        had = out.read_bytes().count(b"\n") if out.exists() else 0
        while process.poll() is None and time.monotonic() - begun < 30:
            if out.exists() and out.read_bytes().count(b"\n") >= had + lines:
                break
            time.sleep(0.005)
        process.kill()
        process.wait()
    with out.open("ab") as torn:
        torn.write(b'{"n": 3, "hybrid": {"ans')
    done = hybrid(*arguments)
    assert done.returncode == 0, done.stderr
    assert b"answered before" in done.stderr
    found = objects(out.read_bytes())
    assert Counter(one["n"] for one in found) == Counter(json.loads(row)["n"] for row in rows)
    again = hybrid(*arguments)
    assert b"0 records: " in again.stderr
    assert objects(out.read_bytes()) == found
    other = [*arguments[:-3], "--system", "Be brief.", *arguments[-3:]]
    assert hybrid(*other).returncode == 0
    assert len(objects(out.read_bytes())) == 40  # other settings have their own answers


@pytest.mark.parametrize("place", ["/dev/full", "/dev/null", "folder", "fifo"])
def test_resume_refuses_anything_but_a_regular_file(hybrid: Hybrid, tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for more in ((), ("--dry-run",)):
        done = hybrid("pipe", *CHOOSE, "Is it?", "--resume", tmp_path / place, *more, stdin=b'{"n": 1}\n')
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"cannot be resumed: not a regular file" in done.stderr


def test_dry_run_skips_answered_records(hybrid: Hybrid, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    flags = ("pipe", *CHOOSE, "Is it even?", "--resume", out)
    assert hybrid(*flags, stdin=b'{"n": 1}\n{"n": 2}\n').returncode == 0
    (plan,) = objects(hybrid(*flags, "--dry-run", stdin=b'{"n": 1}\n{"n": 2}\n{"n": 3}\n').stdout)
    assert (plan["records"], plan["done_before"]) == (1, 2)
