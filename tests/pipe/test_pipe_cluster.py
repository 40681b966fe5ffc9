"""`hybrid pipe --cluster`: real Ray on loopback, two nodes with a core and an engine each."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hybrid_process import Hybrid, environment, processes
from loopback_cluster import LoopbackCluster
from scripted_cloud import Reply, ScriptedCloud

CHOICES = ("--choices", "yes,no", "Is it even?")
HERE = "escalation: {target: {threshold: 0.0}}\n"
"""No record is handed off."""
ENGINE = "hybrid_cli.local.worker"
ODD = "escalation: {rules: [{when: {matches: odd}, then: force}, {when: {matches: even}, then: local}]}\n"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackCluster]:
    """A cluster whose nodes find the weights only by the path that the driver names."""
    empty = tmp_path_factory.mktemp("empty")
    variables = environment(empty, HOME=str(empty))
    del variables["HYBRID_HOME"]
    with LoopbackCluster(variables) as running:
        yield running


def objects(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_without_ray_the_error_names_the_extra(tmp_path: Path, home: Path) -> None:
    words = "import sys; sys.modules['ray'] = None; from hybrid_cli.__main__ import main; sys.exit(main())"
    records = tmp_path / "records"
    records.write_text("1\n")
    done = subprocess.run(
        [sys.executable, "-c", words, "pipe", "--cluster", "auto", "Is it?", records],
        capture_output=True,
        env=environment(home),
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == b"hybrid: --cluster needs Ray; run: pip install 'hybrid-cli[cluster]'\n"


def test_clusters_and_files_that_cannot_be_used_are_one_line(
    hybrid: Hybrid, profile: Callable[..., Path], tmp_path: Path
) -> None:
    records = tmp_path / "records"
    records.write_text("1\n")

    def told(*arguments: str | Path, stdin: bytes | None = None, **variables: str) -> tuple[int, bytes]:
        done = hybrid("pipe", *arguments, stdin=stdin, **variables)
        assert done.stdout == b""
        return done.returncode, done.stderr.replace(b"hybrid: joining the cluster\n", b"")

    path = profile(HERE)
    assert told("-p", path, "--cluster", "127.0.0.1:1", *CHOICES, records) == (
        2,
        b"hybrid: cannot join a cluster at 127.0.0.1:1: Connection refused\n",
    )
    code, words = told("-p", path, "--cluster", "auto", *CHOICES, records, RAY_ADDRESS="here")
    assert (code, words.count(b"\n")) == (2, 1)
    assert b"`here` is not HOST:PORT" in words
    code, words = told("-p", path, "--cluster", "auto", *CHOICES, stdin=b"1\n")
    assert (code, words) == (2, b"hybrid: --cluster reads files, not stdin; name files or a pattern\n")
    code, words = told("-p", "offline", "--cluster", "auto", *CHOICES, records)
    assert (code, words.count(b"\n")) == (3, 1)
    assert b"--cluster needs the network, but profile `offline` forbids handoffs" in words


@pytest.mark.slow
def test_auto_starts_a_cluster_and_leaves_nothing_behind(
    command: str, home: Path, cloud: ScriptedCloud, profile: Callable[..., Path], tmp_path: Path
) -> None:
    before, seen = processes(ENGINE), []

    def respond(_body: dict[str, Any]) -> Reply:
        engines = processes(ENGINE) - before
        guarded = ["Seccomp:\t2" in Path(f"/proc/{one}/status").read_text("utf-8") for one in engines]
        seen.append((processes("a-key-of-12-letters"), guarded))
        return Reply(pieces=("yes",))

    cloud.respond = respond
    path = profile(cloud.section(", key: {env: MY_KEY}") + "escalation: {target: {threshold: 1.0}}\n")
    records = tmp_path / "records"
    records.write_text("".join(f"{number}\n" for number in range(5000)))
    with tempfile.TemporaryDirectory(prefix="hy-", ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [command, "pipe", "-p", path, "--cluster", "auto", *CHOICES, records],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(
                home, HYBRID_CONSENT=cloud.origin, MY_KEY="a-key-of-12-letters", RAY_TMPDIR=folder
            ),
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"yes\n"
        process.send_signal(2)
        out, told = process.communicate(timeout=60)
        assert process.returncode == 130
        assert set(out.splitlines()) <= {b"yes"}
        assert b"to continue, start at record" in told.splitlines()[-1]
        assert all(line.startswith(b"hybrid: ") for line in told.splitlines())
        for _ in range(900):  # Ray's agents look now and then whether their node is there
            if not (left := processes(folder) | (processes(ENGINE) - before)):
                break
            time.sleep(0.1)
        assert left == set()
    assert {header for one in cloud.received for header in [one.headers["authorization"]]} == {
        "Bearer a-key-of-12-letters"
    }
    # It is in the block that this process was started with, and in no process of Ray's or the engine's.
    assert all(holders <= {process.pid} for holders, _ in seen)
    assert seen[0][1] == [True]


def test_a_cluster_answers_like_one_machine(
    hybrid: Hybrid, cluster: LoopbackCluster, profile: Callable[..., Path], tmp_path: Path
) -> None:
    path = profile(HERE)
    (tmp_path / "b.txt").write_bytes("".join(f"{number}\n" for number in range(16)).encode())
    (tmp_path / "a.txt").write_bytes(b"one\n\n\xff\nd\xc3\xa9j\xc3\xa0 vu\n" + b"x" * 100_000 + b"\nlast")
    arguments = ("pipe", "-p", path, *CHOICES)
    here = hybrid(*arguments, tmp_path / "a.txt", tmp_path / "b.txt")
    there = hybrid(*arguments, "--cluster", cluster.address, tmp_path / "*.txt")
    assert there.stdout == here.stdout
    assert there.returncode == here.returncode
    assert len(there.stdout.splitlines()) == 22

    def told(words: bytes) -> list[bytes]:
        shown = [line for line in words.splitlines() if b"cluster" not in line and b"starting" not in line]
        return [line.rpartition(b", ")[0] if b"records/s" in line else line for line in shown]

    assert told(there.stderr) == told(here.stderr)


def test_a_budget_covers_all_nodes_in_one_ledger(
    hybrid: Hybrid,
    cluster: LoopbackCluster,
    cloud: ScriptedCloud,
    profile: Callable[..., Path],
    tmp_path: Path,
) -> None:
    cloud.respond = lambda _body: Reply(pieces=("yes",))
    path = profile(cloud.section(", prices: {input: 1, output: 1}") + ODD + "limits: {calls_per_run: 3}\n")
    rows = [json.dumps({"n": number, "kind": "odd" if number % 2 else "even"}) for number in range(24)]
    (tmp_path / "in.jsonl").write_text("\n".join(rows), encoding="utf-8")
    done = hybrid("pipe", "-p", path, *CHOICES, "--jsonl", "--cluster", cluster.address, tmp_path / "in.jsonl",
                  HYBRID_CONSENT=cloud.origin)  # fmt: skip
    found = objects(done.stdout)
    assert [one["n"] for one in found] == list(range(24))
    assert Counter(one["hybrid"].get("answered_by", "failed") for one in found) == {
        "local": 12,
        "cloud": 3,
        "failed": 9,
    }
    assert done.returncode == 8
    assert len(cloud.received) == 3
    usage = json.loads(hybrid("usage", "--export").stdout)
    assert len(usage["requests"]) == 3


def test_a_node_without_the_weights_is_named(
    command: str, cluster: LoopbackCluster, home: Path, profile: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "records").write_text("1\n2\n")
    shared = tmp_path / ".local" / "share"
    shared.mkdir(parents=True)
    (shared / "hybrid").symlink_to(home / "data")
    variables = environment(home, HOME=str(tmp_path))  # a home of its own, which the nodes do not have
    del variables["HYBRID_HOME"]
    done = subprocess.run(
        [command, "pipe", "-p", profile(HERE), "--cluster", cluster.address, *CHOICES, tmp_path / "records"],
        capture_output=True,
        env=variables,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (6, b"")
    last = done.stderr.splitlines()[-1]
    assert last.startswith(b"hybrid: node ")
    assert last.endswith(b"smollm2-135m is not downloaded; run: hybrid pull smollm2-135m")


def test_a_killed_node_loses_and_repeats_no_record(
    command: str, cluster: LoopbackCluster, home: Path, profile: Callable[..., Path], tmp_path: Path
) -> None:
    rows = [json.dumps({"n": number % 100}) for number in range(150)]  # some are there twice
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    arguments = [command, "pipe", "-p", profile(HERE), *CHOICES, "--resume", str(out), str(source)]
    source.write_text("\n".join(rows[:5]), encoding="utf-8")
    subprocess.run(arguments, env=environment(home), check=True, timeout=60)  # begun on one machine
    source.write_text("\n".join(rows), encoding="utf-8")
    with out.open("ab") as torn:
        torn.write(b'{"n": 5, "hybrid": {"ans')
    process = subprocess.Popen(
        [*arguments, "--cluster", cluster.address], stderr=subprocess.PIPE, env=environment(home)
    )
    while process.poll() is None and out.read_bytes().count(b"\n") < 45:  # both nodes have begun
        time.sleep(0.01)
    cluster.tell("kill")
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert b"1 of 2 nodes lost" in told
    assert b"145 records: 145 kept, 0 handed off, 0 denied, 0 failed, 5 answered before" in told
    assert [one["n"] for one in objects(out.read_bytes())] == [json.loads(row)["n"] for row in rows]
