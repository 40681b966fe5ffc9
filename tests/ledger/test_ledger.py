"""The ledger: no limit is passed, nothing sent is free or forgotten, and the file is private."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ledger.amounts import usd
from hybrid_cli.ledger.connection import transaction
from hybrid_cli.ledger.database import Ledger, LedgerEntry, Settlement
from hybrid_cli.ledger.limits import Limit
from hybrid_cli.ledger.report import as_table, group
from hybrid_process import Hybrid, environment
from scripted_cloud import Reply, ScriptedCloud

Profile = Callable[..., Path]
PRICES = ", prices: {input: 1.0, output: 10.0}"


def entry(run: str = "r", profile: str = "p", reserved: float | None = 0.01) -> LedgerEntry:
    return LedgerEntry(run, profile, "flag", "forced", "https://a", "m", "", 1, "0" * 64, "{}", reserved)


def calls(at_most: float, **more: Any) -> Limit:
    return Limit("limits.calls_per_day", "a test", "calls", more.pop("period", "day"), at_most, **more)


def dollars(at_most: float, **more: Any) -> Limit:
    return Limit("limits.usd_per_day", "a test", "usd", more.pop("period", "day"), at_most, **more)


def _try_to_reserve(state: Path, limit: Limit, start: Any, outcomes: Any) -> None:
    start.wait()
    try:
        Ledger(state).reserve(entry(run=str(os.getpid())), [limit])
    except Failure as failure:
        outcomes.put(int(failure.status))
    else:
        outcomes.put(0)


@pytest.mark.parametrize("limit", [calls(10), dollars(0.1)])
def test_fifty_processes_at_once_never_pass_a_limit(tmp_path: Path, limit: Limit) -> None:
    start_by = multiprocessing.get_context("fork")
    start, outcomes = start_by.Event(), start_by.Queue()
    arguments = (tmp_path, limit, start, outcomes)
    processes = [start_by.Process(target=_try_to_reserve, args=arguments) for _ in range(50)]
    for process in processes:
        process.start()
    start.set()
    found = [outcomes.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert (found.count(0), found.count(ExitStatus.LIMIT)) == (10, 40)
    assert len(Ledger(tmp_path).rows()) == 10


@settings(max_examples=25)
@given(st.lists(st.tuples(st.floats(0, 0.3), st.none() | st.floats(0, 0.3)), max_size=20))
def test_what_is_reserved_or_spent_never_passes_the_limit(
    tmp_path_factory: pytest.TempPathFactory, requests: list[tuple[float, float | None]]
) -> None:
    """Where no request costs more than its worst case."""
    ledger = Ledger(tmp_path_factory.mktemp("state"))
    for reserved, share in requests:
        try:
            row = ledger.reserve(entry(reserved=reserved), [dollars(1.0)])
        except Failure as failure:
            assert failure.status is ExitStatus.LIMIT
        else:
            if share is not None:
                ledger.settle(row, Settlement("answered", cost=reserved * share))
    assert group(ledger.rows(), "model") == [] or group(ledger.rows(), "model")[0].usd <= 1.0
    assert ledger.left(dollars(1.0), "r") >= 0


def test_an_unsettled_or_unknown_request_keeps_its_reservation(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.reserve(entry(), [])
    ledger.settle(ledger.reserve(entry(), []), Settlement("unknown"))
    ledger.settle(ledger.reserve(entry(), []), Settlement("refused", cost=0.0))
    ledger.settle(ledger.reserve(entry(), []), Settlement("answered", cost=0.002))
    assert ledger.left(dollars(1.0), "r") == pytest.approx(1 - 0.01 - 0.01 - 0.002)
    assert ledger.left(calls(10), "r") == 6


def test_runs_days_months_and_profiles_are_counted_apart(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for at, run, profile in (
        ("2000-01-01T00:00:00+00:00", "old", "p"),
        (f"{time.strftime('%Y-%m', time.gmtime())}-00T", "this month", "p"),
        (None, "now", "p"),
        (None, "now", "q"),
    ):
        row = ledger.reserve(entry(run, profile), [])
        if at is not None:
            with sqlite3.connect(ledger.path) as connection:
                connection.execute("UPDATE sent SET at = ? WHERE id = ?", [at, row])
            connection.close()
    left = [
        ledger.left(limit, "now")
        for limit in (
            calls(10, period="run"),
            calls(10),
            calls(10, period="month"),
            calls(10, profile="q"),
            calls(10, period="month", profile="p"),
        )
    ]
    assert left == [8, 8, 7, 9, 8]


def test_the_file_is_private_and_a_broken_one_lets_nothing_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "state")
    assert (ledger.rows(), ledger.path.exists()) == ([], False)
    ledger.reserve(entry(), [])
    assert ledger.path.stat().st_mode & 0o777 == 0o600
    for path in ledger.path.parent.iterdir():
        path.unlink()
    ledger.path.write_bytes(b"no database " * 100)
    with pytest.raises(Failure, match="cannot be used"):
        ledger.reserve(entry(), [])


def test_a_ledger_behind_a_broken_link_is_no_empty_ledger(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.path.symlink_to("moved-away.db")
    for use in (ledger.rows, ledger.purges, ledger.observations, ledger.purge, lambda: ledger.spent("r")):
        with pytest.raises(Failure, match="cannot be used"):
            use()
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.db"]


def test_a_purge_forgets_what_was_sent_and_gives_no_budget_back(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    row = ledger.reserve(LedgerEntry(**{**vars(entry()), "prompt": "canary-prompt"}), [])
    ledger.settle(row, Settlement("answered", cost=0.25, answer="canary-answer"))
    assert ledger.purge() == 1
    assert ledger.left(dollars(1.0), "r") == 0.75
    for file in tmp_path.iterdir():
        assert b"canary" not in file.read_bytes()
    assert [line.split()[0] for line in as_table(group(ledger.rows(), "model"), bars=False)[1:]] == [
        "(purged)"
    ]


def test_a_ledger_of_an_earlier_version_gets_the_new_column(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.reserve(entry(), [])
    with closing(sqlite3.connect(ledger.path)) as connection:
        connection.execute("ALTER TABLE sent DROP COLUMN images")
    ledger.reserve(LedgerEntry(**{**vars(entry()), "images": '[{"bytes": 1}]'}), [])
    assert [row["images"] for row in ledger.rows()] == ["[]", '[{"bytes": 1}]']
    ledger.purge()
    assert {row["images"] for row in ledger.rows()} == {"[]"}


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0, "$0.00"), (12.5, "$12.50"), (0.05, "$0.05"), (0.0123, "$0.0123"), (0.000039, "$0.000039")],
)
def test_amounts_for_people(amount: float, shown: str) -> None:
    assert usd(amount) == shown


def rows(home: Path) -> list[dict[str, Any]]:
    return Ledger(home / "state").rows()


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (
            "usd_per_run: 0.001",
            "limits.usd_per_run is $0.001 (set by profile `test`): $0.00 is spent or reserved",
        ),
        ("usd_per_day: 0.001", "this call may cost $0.0205"),
        ("usd_per_month: 0.001", "limits.usd_per_month"),
        ("calls_per_run: 0", "limits.calls_per_run is 0 (set by profile `test`), and 0 calls were made"),
        ("calls_per_month: 0", "limits.calls_per_month"),
        ("of_profile: {usd_per_day: 0.001}", "limits.of_profile.usd_per_day"),
    ],
)
def test_each_limit_is_told_with_its_figure(
    hybrid: Hybrid, home: Path, cloud: ScriptedCloud, profile: Profile, limits: str, told: str
) -> None:
    path = profile(cloud.section(PRICES) + f"escalation: {{mode: force}}\nlimits: {{{limits}}}\n")
    done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout, cloud.received, rows(home)) == (8, b"", [], [])
    assert told in done.stderr.decode()


def test_a_price_that_is_not_known_meets_no_limit(
    hybrid: Hybrid, home: Path, cloud: ScriptedCloud, profile: Profile
) -> None:
    """But a server on this machine costs nothing."""
    force, limits = "escalation: {mode: force}\n", "limits: {usd_per_day: 100}\n"
    elsewhere = profile('cloud: {base_url: "https://unknown.invalid/v1", model: m}\n' + force + limits)
    done = hybrid("run", "-p", elsewhere, "hi", HYBRID_CONSENT="https://unknown.invalid")
    assert (done.returncode, rows(home)) == (8, [])
    assert b"the price of m is unknown" in done.stderr
    done = hybrid(
        "run", "-p", profile(cloud.section() + force + limits), "--json", "hi", HYBRID_CONSENT=cloud.origin
    )
    assert json.loads(done.stdout)["cost_usd"] == 0
    assert rows(home)[0]["cost"] == 0


def test_a_server_without_usage_is_counted_by_estimate(
    hybrid: Hybrid, home: Path, cloud: ScriptedCloud, profile: Profile
) -> None:
    cloud.replies = [
        Reply(usage=None),
        Reply(usage={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}),
        Reply(
            usage={
                "prompt_tokens": 1000,
                "completion_tokens": 300,
                "prompt_tokens_details": {"cached_tokens": 200},
                "completion_tokens_details": {"reasoning_tokens": 250},
            }
        ),
    ]
    section = cloud.section(", prices: {input: 1.0, cached_input: 0.1, output: 10.0}")
    path = profile(section + "escalation: {mode: force}\n")
    for estimated in (True, True, False):
        answer = json.loads(hybrid("run", "-p", path, "--json", "hi", HYBRID_CONSENT=cloud.origin).stdout)
        assert answer["cost_is_estimate"] is estimated
    first, second, third = rows(home)
    size = len(cloud.received[0].content)
    assert first["cost"] == pytest.approx(((size // 4 + 1) + 10 * 6) / 1e6)
    assert (first["estimated"], second["cost"]) == (1, first["cost"])
    assert third["cost"] == pytest.approx((800 + 200 * 0.1 + 300 * 10) / 1e6)
    assert (third["tokens_cached"], third["tokens_reasoning"], third["estimated"]) == (200, 250, 0)


def test_a_kill_between_reservation_and_settlement(
    command: str, home: Path, cloud: ScriptedCloud, profile: Profile, hybrid: Hybrid
) -> None:
    cloud.replies = [Reply(fault="hang")]
    path = profile(
        cloud.section(PRICES) + "escalation: {mode: force}\nlimits: {calls_per_day: 1, usd_per_day: 1}\n"
    )
    process = subprocess.Popen(
        [command, "run", "-p", str(path), "hi"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(home, HYBRID_CONSENT=cloud.origin),
    )
    ends = time.monotonic() + 60
    while not cloud.received and time.monotonic() < ends:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=20)
    (row,) = rows(home)
    assert (row["outcome"], row["cost"]) == ("open", None)
    assert row["reserved"] > 0.005
    left = json.loads(hybrid("usage", "-p", path, "--json").stdout)["left"]
    assert left["limits.usd_per_day"] == pytest.approx(1 - row["reserved"])
    done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, len(cloud.received)) == (8, 1)


def test_an_answer_that_came_is_given_though_the_ledger_broke_meanwhile(
    hybrid: Hybrid, home: Path, cloud: ScriptedCloud, profile: Profile
) -> None:
    def break_it(_body: object) -> Reply:
        for path in (home / "state").iterdir():
            path.write_bytes(b"no database " * 100)
        return Reply()

    cloud.respond = break_it
    path = profile(cloud.section(PRICES) + "escalation: {mode: force}\n")
    done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout) == (0, b"The cloud says hello.\n"), done.stderr
    assert b"it is damaged" in done.stderr
    assert b"the reservation for this request remains" in done.stderr
    done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, len(cloud.received)) == (1, 1)  # without a ledger nothing is sent


def test_no_disk_left_is_no_free_call(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, small_disk: Path
) -> None:
    path = profile(cloud.section(PRICES) + "escalation: {mode: force}\n")
    (small_disk / "filler").write_bytes(bytes((1 << 20) - 8192))
    done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin, HYBRID_HOME=str(small_disk))
    assert (done.returncode, done.stdout, cloud.received) == (1, b"", [])
    assert b"cannot be used" in done.stderr


@pytest.mark.parametrize("ends", ["whole", "with its log"])
def test_a_ledger_on_a_disk_that_cannot_be_written_is_read_and_lets_nothing_out(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, small_disk: Path, ends: str
) -> None:
    """A ledger that a crash left has its last requests in the write-ahead log alone."""
    path = profile(cloud.section(PRICES) + "escalation: {mode: force}\nlimits: {calls_per_day: 5}\n")
    variables = {"HYBRID_CONSENT": cloud.origin, "HYBRID_HOME": str(small_disk)}
    ledger = Ledger(small_disk / "state")
    for _ in range(2):
        assert hybrid("run", "-p", path, "hi", **variables).returncode == 0
    if ends == "with its log":
        with closing(sqlite3.connect(ledger.path)) as held:
            held.execute("SELECT * FROM sent").fetchall()
            assert hybrid("run", "-p", path, "hi", **variables).returncode == 0
            left = {file: file.read_bytes() for file in ledger.path.parent.glob("ledger.db*")}
        for file, content in left.items():
            file.write_bytes(content)
        ledger.path.with_name("ledger.db-shm").unlink()
    requests = len(cloud.received)
    expected = {
        arguments: hybrid(*arguments, **variables).stdout
        for arguments in (
            ("usage", "-p", path, "--json"),
            ("usage", "-p", path),
            ("usage", "--csv", "--by", "model"),
            ("usage", "--export"),
            ("run", "-p", path, "--dry-run", "hi"),
        )
        if ends == "whole"
    }
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for arguments, output in expected.items():
        done = hybrid(*arguments, **variables)
        assert (done.returncode, done.stdout) == (0, output), done.stderr
    found = json.loads(hybrid("usage", "-p", path, "--json", **variables).stdout)
    assert (found["total"]["requests"], found["left"]["limits.calls_per_day"]) == (requests, 5 - requests)
    done = hybrid("run", "-p", path, "hi", **variables)
    assert (done.returncode, done.stdout, len(cloud.received)) == (1, b"", requests)
    assert b"cannot be used: Read-only file system" in done.stderr
    assert hybrid("usage", "purge", "--yes", **variables).returncode == 1


def test_a_reader_waits_for_no_writer(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.reserve(entry(), [])
    with transaction(ledger.path) as writer:
        writer.execute("UPDATE sent SET model = 'other'")
        before = time.monotonic()
        assert [row["model"] for row in ledger.rows()] == ["m"]
        assert ledger.left(calls(3), "r") == 2
        assert time.monotonic() - before < 0.4  # SQLite alone waits half a second
    assert [row["model"] for row in ledger.rows()] == ["other"]


def test_usage_by_what_is_asked_for(hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile) -> None:
    path = profile(cloud.section(PRICES) + "escalation: {mode: force}\nlimits: {calls_per_day: 5}\n")
    assert hybrid("usage", "-p", path, "--json").returncode == 0
    for _ in range(2):
        hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin)
    table = hybrid("usage", "-p", path, "--by", "reason").stdout.decode().splitlines()
    assert table[1].split() == ["forced", "2", "14", "6", "$0.000074"]
    assert table[-1] == "limits.calls_per_day: 3 left"
    found = json.loads(hybrid("usage", "-p", path, "--json", "--by", "model").stdout)
    assert (found["groups"][0]["name"], found["total"]["requests"]) == ("scripted", 2)
    csv = hybrid("usage", "--csv", "--by", "profile").stdout.decode().splitlines()
    assert csv[0].startswith("name,requests,answered")
    assert csv[1].startswith("test,2,2,14,6,")
    exported = json.loads(hybrid("usage", "--export").stdout)["requests"]
    assert [row["outcome"] for row in exported] == ["answered", "answered"]
    assert {row["prompt"] for row in exported} == {None}
    assert hybrid("usage", "--csv", "--json").returncode == 2
    assert hybrid("usage", "purge").returncode == 2
    assert hybrid("usage", "purge", "--yes").returncode == 0
    left = json.loads(hybrid("usage", "--export").stdout)
    assert (left["requests"], [one["requests"] for one in left["purged"]]) == ([], [2])
    assert left["purged"][0]["at"][:10] == time.strftime("%Y-%m-%d", time.gmtime())


def test_a_limit_does_not_hide_the_fault_of_the_cloud(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    cloud.replies = [Reply(status=500, headers={"Retry-After-Ms": "20"})]
    path = profile(cloud.section() + "escalation: {mode: force}\nlimits: {calls_per_run: 2}\n")
    done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout, len(cloud.received)) == (5, b"", 2)
    over, failing = done.stderr.decode().splitlines()[-2:]
    assert over.startswith("hybrid: not sent again: limits.calls_per_run is 2")
    assert failing.endswith("is failing: 500 (scripted)")


def test_a_deadline_holds_beside_a_locked_ledger(
    hybrid: Hybrid, home: Path, cloud: ScriptedCloud, profile: Profile
) -> None:
    path = profile(cloud.section() + "escalation: {mode: force}\n")
    assert hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin).returncode == 0
    other = sqlite3.connect(home / "state" / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        done = hybrid("run", "-p", path, "--timeout", "5", "hi", HYBRID_CONSENT=cloud.origin, timeout=30)
    finally:
        other.close()
    assert (done.returncode, done.stdout, len(cloud.received)) == (124, b"", 1)
    assert b"waiting for the ledger" in done.stderr
