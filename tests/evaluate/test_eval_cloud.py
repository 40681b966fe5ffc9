"""`hybrid eval` as work that costs time and money: the cloud's side, the estimate, stops and starts again."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pytest

from hybrid_process import Hybrid, environment
from replayed_cloud import replaying
from scripted_cloud import Reply, ScriptedCloud

Profile = Callable[..., Path]
SHORT = ("--max-tokens", "8")
PRICES = ", prices: {input: 10, output: 30}"
SECRET = "ghp_" + "9aZ3kQ7mB1xW5cV8nL2pR4tY6uJ0sD3fG7hE"


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    return written(tmp_path / "questions.jsonl", range(8))


def written(file: Path, numbers: Any) -> Path:
    rows = [
        {"prompt": f"{n} + 1 = ", "answer": str(n + 1), "kind": "text", "cloud_correct": n % 4 != 0}
        for n in numbers
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_a_cloud_is_really_asked_and_paid(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, questions: Path, tmp_path: Path
) -> None:
    cloud.respond = replaying([questions])
    path = profile(cloud.section(PRICES))
    rows = tmp_path / "rows.jsonl"
    live = ("eval", questions, "-p", path, "--cloud", "live", "--rows", rows, *SHORT)
    agreed = {"HYBRID_CONSENT": cloud.origin}

    planned = hybrid(*live, "--dry-run", **agreed)
    assert (planned.returncode, planned.stdout) == (0, b"")
    assert b"8 questions, 8 to be answered by smollm2-135m" in planned.stderr
    assert b"8 requests to scripted at" in planned.stderr
    plan = json.loads(hybrid(*live, "--dry-run", "--json", **agreed).stdout)
    assert (plan["to_answer"], plan["to_send"], plan["usd"]) == (8, 8, None)
    assert plan["usd_at_most"] > 8 * 8 * 30 / 1e6

    unasked = hybrid(*live, **agreed)
    assert (unasked.returncode, unasked.stdout) == (2, b"")
    assert b"nothing was sent: not confirmed; to confirm in advance: --yes" in unasked.stderr
    without_consent = hybrid(*live, "--yes")
    assert without_consent.returncode == 3
    assert b"no consent for" in without_consent.stderr
    assert (cloud.received, rows.exists()) == ([], False)

    told = json.loads(hybrid(*live, "--yes", "--json", **agreed).stdout)
    assert len(cloud.received) == 8
    assert told["metrics"]["accuracy_cloud"]["value"] == pytest.approx(0.75)
    assert told["cloud"]["answers"] == 8
    listed = json.loads(hybrid("usage", "--export").stdout)["requests"]
    assert {row["reason"] for row in listed} == {"eval"}
    assert told["cloud"]["usd"] == pytest.approx(sum(row["cost"] for row in listed), abs=1e-5)
    assert b"1 = " not in rows.read_bytes()

    again = hybrid(*live, "--yes", "--json", **agreed)
    assert json.loads(again.stdout)["metrics"] == told["metrics"]
    assert len(cloud.received) == 8  # nothing is paid twice
    plan = json.loads(hybrid(*live, "--dry-run", "--json", **agreed).stdout)
    assert (plan["to_answer"], plan["to_send"], plan["seconds"]) == (0, 0, 0)


def test_a_limit_ends_it_and_the_next_run_goes_on(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, questions: Path, tmp_path: Path
) -> None:
    cloud.respond = replaying([questions])
    rows = tmp_path / "rows.jsonl"
    path = profile(cloud.section(PRICES) + "limits: {calls_per_run: 5}\n")
    live = ("eval", questions, "--yes", "-p", path, "--cloud", "live", "--rows", rows, "--json", *SHORT)
    first = hybrid(*live, HYBRID_CONSENT=cloud.origin)
    assert (first.returncode, first.stdout) == (8, b"")
    assert b"limits.calls_per_run leaves 5; the evaluation may stop there (exit code 8)" in first.stderr
    assert b"limits.calls_per_run is 5" in first.stderr
    second = hybrid(*live, HYBRID_CONSENT=cloud.origin)
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout)["cloud"]["answers"] == 8
    assert len(cloud.received) == 8


def test_what_may_not_leave_is_left_out(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, tmp_path: Path
) -> None:
    file = written(tmp_path / "mixed.jsonl", range(4))
    more = [
        {"prompt": f"My key is {SECRET}. What is 2+2?", "answer": "4", "kind": "text"},
        {"prompt": "private: 2 + 2 = ", "answer": "4", "kind": "text"},
    ]
    with file.open("a") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in more)
    cloud.replies = [Reply(pieces=("",)), Reply(pieces=("8",))]
    rules = "escalation: {rules: [{when: {matches: private}, then: local}]}\n"
    live = ("eval", file, "--yes", "-p", profile(cloud.section() + rules), "--cloud", "live", *SHORT)
    done = hybrid(*live, "--json", HYBRID_CONSENT=cloud.origin)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["rows"], told["cloud"]["answers"]) == (4, 4)  # an empty answer is a wrong one
    assert b"2 questions were not sent" in done.stderr
    assert b"2+2" not in b"".join(received.content for received in cloud.received)


@pytest.mark.parametrize(("status", "code"), [(401, 4), (503, 5), (400, 1)])
def test_a_cloud_that_fails_ends_it_with_its_code(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, questions: Path, status: int, code: int
) -> None:
    cloud.replies = [Reply(status=status)]
    path = profile(cloud.section(", retries: 0"))
    live = ("eval", questions, "--yes", "--limit", "2", "-p", path, "--cloud", "live", *SHORT)
    done = hybrid(*live, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout) == (code, b"")


def test_the_estimate_is_the_amount_that_is_reserved(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, questions: Path
) -> None:
    """The cloud has a limit of its own, far over the local model's."""
    path = profile(cloud.section(PRICES) + "local: {sampling: {max_tokens: 8}}\n")
    live = ("eval", questions, "--limit", "2", "-p", path, "--cloud", "live")
    agreed = {"HYBRID_CONSENT": cloud.origin}
    plan = json.loads(hybrid(*live, "--dry-run", "--json", **agreed).stdout)
    assert hybrid(*live, "--yes", **agreed).returncode == 0
    reserved = [row["reserved"] for row in json.loads(hybrid("usage", "--export").stdout)["requests"]]
    assert len(reserved) == 2
    assert plan["usd_at_most"] == pytest.approx(sum(reserved), rel=0.02)


@pytest.mark.parametrize("saves", [True, False])
def test_ctrl_c_waits_for_no_cloud_and_says_how_to_continue(
    command: str,
    home: Path,
    cloud: ScriptedCloud,
    profile: Profile,
    questions: Path,
    tmp_path: Path,
    saves: bool,
) -> None:
    cloud.replies = [Reply(fault="hang")]
    path = profile(cloud.section())
    rows = tmp_path / "rows.jsonl"
    line = [
        command,
        "eval",
        questions,
        "--limit",
        "4",
        "-p",
        path,
        "--cloud",
        "live",
        "--yes",
        *(["--rows", rows] if saves else []),
    ]
    process = subprocess.Popen(
        [*map(str, line), *SHORT],
        env=environment(home, HYBRID_CONSENT=cloud.origin),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and len(cloud.received) < 4:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)  # the cloud hangs for twice as long
    assert (process.returncode, out) == (130, b"")
    if not saves:
        assert errors.endswith(
            b"stopped; 4 of 4 answers are lost; to be able to continue later, use --rows FILE\n"
        )
        return
    kept = f"stopped; {rows} keeps 4 of 4 answers; to continue, run the same command again\n"
    assert errors.endswith(kept.encode())
    assert rows.read_bytes().count(b"\n") == 4


def test_a_new_cloud_is_asked_about_once(
    command: str, home: Path, cloud: ScriptedCloud, profile: Profile, questions: Path
) -> None:
    cloud.respond = replaying([questions])
    path = profile(cloud.section() + "escalation: {mode: ask}\n")
    line = ["eval", str(questions), "--limit", "4", "-p", str(path), "--cloud", "live", "--quiet", *SHORT]
    for answer, code, sent in (("n", 3, 0), ("y", 0, 4)):
        child = pexpect.spawn(command, line, env=environment(home), encoding="utf-8", timeout=60)
        child.expect(
            r"evaluation\. Send \d+ prompts \(\d+ characters\) to http://127.0.0.1\S+ .*remembered for later prompts"
        )
        child.sendline(answer)
        child.expect(pexpect.EOF)
        child.close()
        assert child.before.count("[y/N]") == 1
        assert (child.exitstatus, len(cloud.received)) == (code, sent)


@pytest.mark.parametrize("mode", ["forbid", "ask"])
def test_the_policy_decides_before_any_work(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, questions: Path, tmp_path: Path, mode: str
) -> None:
    rows = tmp_path / "rows.jsonl"
    path = profile(cloud.section() + f"escalation: {{mode: {mode}}}\n")
    live = ("eval", questions, "--yes", "-p", path, "--cloud", "live", "--rows", rows, *SHORT)
    done = hybrid(*live, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout, cloud.received, rows.exists()) == (3, b"", [], False)


def test_a_killed_run_is_gone_on_with(command: str, home: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "many.jsonl", range(14))
    rows = tmp_path / "rows.jsonl"
    line = [command, "eval", str(file), "--rows", str(rows), "--json", *SHORT]
    process = subprocess.Popen(
        line, env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and (not rows.exists() or rows.read_bytes().count(b"\n") < 3):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
    time.sleep(0.3)  # for a row that was being written by nobody
    left = rows.read_bytes()
    with rows.open("ab") as end:
        end.write(b'{"key":"cut in the mi')
    done = subprocess.run(line, env=environment(home), capture_output=True, check=True, timeout=120)
    assert rows.read_bytes().startswith(left)
    kept = left.count(b"\n")
    assert 3 <= kept < 14
    assert f"14 questions, {14 - kept} to be answered".encode() in done.stderr
    assert json.loads(done.stdout)["rows"] == 14
    keys = [json.loads(row)["key"] for row in rows.read_bytes().splitlines() if row.endswith(b"}")]
    assert len(keys) == len(set(keys)) == 14


def test_a_bar_on_a_terminal_and_on_stderr_only(command: str, home: Path, tmp_path: Path) -> None:
    questions = written(tmp_path / "questions.jsonl", range(20))  # long enough for an estimate
    out = tmp_path / "out"
    shell = f"{command} eval {questions} -p offline --json {' '.join(SHORT)} > {out}"
    child = pexpect.spawn("sh", ["-c", shell], env=environment(home), encoding="utf-8", timeout=120)
    child.expect("20 questions, 20 to be answered by smollm2-135m")
    child.expect("█+░* [0-9]+ of 20 answered by smollm2-135m, about [0-9]+ s left")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert json.loads(out.read_bytes())["rows"] == 20


def test_commands_of_the_data_run_only_where_that_was_said(hybrid: Hybrid, tmp_path: Path) -> None:
    file = tmp_path / "verified.jsonl"
    touched = tmp_path / "touched"
    rows = [
        {"prompt": "Say hello.", "answer": ["touch", str(touched)], "kind": "verify"},
        {"prompt": "Say hello again.", "answer": ["false"], "kind": "verify"},
        {"prompt": "Say hello in JSON.", "answer": {"type": "object"}, "kind": "schema"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    refused = hybrid("eval", file, "--cloud", "none", *SHORT)
    assert (refused.returncode, refused.stdout, touched.exists()) == (2, b"", False)
    assert b"would run false, touch; check its commands, then use --run-commands" in refused.stderr
    done = hybrid("eval", file, "--cloud", "none", "--run-commands", "--json", *SHORT)
    assert done.returncode == 0, done.stderr
    assert touched.exists()
    assert json.loads(done.stdout)["metrics"]["accuracy_local"]["value"] == pytest.approx(1 / 3, abs=1e-3)
