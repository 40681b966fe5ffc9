"""Shadow mode: some kept prompts are sent afterwards, under the same policy and budget."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hybrid_cli.cascade import shadow
from hybrid_cli.checks.agreement import agreement
from hybrid_cli.gate.verdict import LocalResult
from hybrid_cli.ledger.database import Ledger, LedgerEntry, Settlement
from hybrid_cli.local.protocol import TokenSignal
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.ui.environment import Environment
from hybrid_process import HELLO, Hybrid, processes
from scripted_cloud import Reply, ScriptedCloud

Profile = Callable[..., Path]
KEEPS = "escalation: {target: {threshold: 0.01}, shadow: %s}\n"


@pytest.mark.parametrize(
    ("local", "cloud", "found"),
    [
        ("Paris.", "paris", 1),
        ("It is in Paris.", "Paris", 1),
        ("Paris is the capital.", "Paris", 1),
        ("Yes, it is.", "no", 0),
        ("There is no doubt: yes", "no", 0),
        ("B", "(B) because it is so", 1),
        ("1,234", "The answer is 1234.", 1),
        ("3.5", "3.6", 0),
        ("", "Paris", 0),
        ("a b c d e f", "A, b c. D e f!", 1),
        ("a b c d e f", "g h i j k l", None),
    ],
)
def test_agreement(local: str, cloud: str, found: float | None) -> None:
    assert agreement(local, cloud) == agreement(cloud, local) == found


def test_the_drawn_share_is_right_and_repeats_with_the_seed(tmp_path: Path, profile: Profile) -> None:
    policy_of = {"HYBRID_HOME": str(tmp_path)}
    path = profile('cloud: {base_url: "http://127.0.0.1:9/v1", model: m}\n' + KEEPS % 0.1)
    result = LocalResult("4", "stop", tokens_in=3, tokens_out=1)
    result.add(TokenSignal(-0.1, 0.9, 0.1, "first"))

    def drawn(seed: int) -> list[bool]:
        chance = random.Random(seed).random
        world = Environment(None, None, None, dict(policy_of), chance=chance)
        policy = merge_policy(Flags(profile=str(path)), world)
        return [shadow.observe(result, "w", policy, world) is not None for _ in range(5000)]

    first = drawn(7)
    assert first == drawn(7) != drawn(8)
    assert 0.08 < sum(first) / len(first) < 0.12
    result.finish_reason = "length"
    assert not any(drawn(7))  # what is cut is no answer to compare


def settled(hybrid: Hybrid, count: int) -> list[dict[str, Any]]:
    """Return the ledger's rows, once `count` shadow requests are answered and observed."""
    for _ in range(200):
        rows: list[dict[str, Any]] = json.loads(hybrid("usage", "--export").stdout)["requests"]
        if sum(row["reason"] == "shadow" and row["observed"] is not None for row in rows) >= count:
            return rows
        time.sleep(0.1)
    raise AssertionError(f"no {count} shadow requests in {rows}")


def assert_nothing_sent(home: Path) -> None:
    """Check that nothing is sent: no process of this home runs, and the ledger is empty."""
    deadline = time.monotonic() + 20
    while processes(f"HYBRID_HOME={home}") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes(f"HYBRID_HOME={home}") == set()
    assert Ledger(home / "state").rows() == []


def test_a_kept_prompt_is_sent_after_its_answer(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, home: Path
) -> None:
    cloud.replies = [Reply(pieces=("hello",))]
    path = profile(cloud.section(", prices: {input: 1, output: 10}") + KEEPS % 1.0)
    done = hybrid("run", "-p", path, "--json", *HELLO, HYBRID_CONSENT=cloud.origin)
    told = json.loads(done.stdout)
    assert done.returncode == 0
    assert b"handed off" not in done.stderr
    assert (told["answered_by"], told["cost_usd"]) == ("local", 0)
    (row,) = settled(hybrid, 1)
    assert (row["outcome"], row["cost"] > 0, row["prompt"], row["answer"]) == ("answered", True, None, None)
    observed = row["observed"]
    assert observed["signals"] == told["handoff"]["signals"]
    assert observed["agreement"] == 1
    assert len(observed["weights"]) == 64
    assert cloud.received[0].body["messages"][-1]["content"] == "Hello"
    by_reason = json.loads(hybrid("usage", "--by", "reason", "--json").stdout)
    assert [group["name"] for group in by_reason["groups"]] == ["shadow"]
    hybrid("usage", "purge", "--yes")
    assert Ledger(home / "state").observations() == {}


def test_the_command_does_not_wait_for_a_slow_or_broken_cloud(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, home: Path
) -> None:
    cloud.replies = [Reply(fault="hang")]
    path = profile(cloud.section() + KEEPS % 1.0 + "limits: {seconds: 60}\n")
    done = hybrid(
        "run", "-p", path, *HELLO, timeout=55, HYBRID_CONSENT=cloud.origin
    )  # the cloud hangs for longer
    assert done.returncode == 0
    assert b"handed off" not in done.stderr
    for _ in range(100):
        if rows := Ledger(home / "state").rows():
            break
        time.sleep(0.1)
    assert [row["outcome"] for row in rows] == ["open"]
    cloud.released.set()


def test_policy_and_budget_prevent_shadow_requests(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, home: Path
) -> None:
    for sections in (
        KEEPS % 0,
        "escalation: {target: {threshold: 0.01}, shadow: 1.0, mode: ask}\n",
        "escalation: {target: {threshold: 0.01}, shadow: 1.0, mode: forbid}\n",
        "escalation: {shadow: 1.0, rules: [{when: {matches: Hello}, then: local}]}\n",
        KEEPS % 1.0 + "limits: {calls_per_day: 0}\n",
    ):
        path = profile(cloud.section() + sections)
        assert hybrid("run", "-p", path, *HELLO, HYBRID_CONSENT=cloud.origin).returncode == 0
    assert_nothing_sent(home)


def test_missing_consent_secrets_and_project_files_prevent_shadow_requests(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, home: Path, tmp_path: Path
) -> None:
    path = profile(cloud.section() + KEEPS % 1.0)
    assert hybrid("run", "-p", path, *HELLO).returncode == 0
    planned = hybrid("run", "-p", path, "--dry-run", *HELLO, HYBRID_CONSENT=cloud.origin)
    assert b"; kept prompts afterwards with probability 1" in planned.stderr
    secret = "ghp_" + "9aZ3kQ7mB1xW5cV8nL2pR4tY6uJ0sD3fG7hE"
    assert hybrid("run", "-p", path, f"{secret} What is 2 + 2?", HYBRID_CONSENT=cloud.origin).returncode == 0
    project = tmp_path / "project"
    project.mkdir()
    (project / ".hybrid.yaml").write_text("version: 1\nescalation: {shadow: 1.0}\n")
    (project / "hybrid_cli.py").write_text("raise SystemExit('a project is no place for modules')")
    none = profile(cloud.section() + "escalation: {target: {threshold: 0.01}}\n", "none.yaml")
    assert hybrid("run", "-p", none, *HELLO, cwd=project, HYBRID_CONSENT=cloud.origin).returncode == 0
    assert_nothing_sent(home)
    # Where the user's own word stands, the same project's code is not met on the way out.
    assert hybrid("run", "-p", path, *HELLO, cwd=project, HYBRID_CONSENT=cloud.origin).returncode == 0
    settled(hybrid, 1)


def test_handed_off_prompts_are_observed_too(hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile) -> None:
    cloud.replies = [Reply(pieces=("Nothing of the kind.",))]
    path = profile(cloud.section() + "escalation: {target: {threshold: 1.0}, shadow: 1.0}\n")
    done = hybrid("run", "-p", path, *HELLO, HYBRID_CONSENT=cloud.origin)
    assert done.stdout == b"Nothing of the kind.\n"
    (row,) = json.loads(hybrid("usage", "--export").stdout)["requests"]
    assert (row["reason"], row["observed"]["agreement"]) == ("unsure", 0)
    assert len(cloud.received) == 1


def test_pipe_sends_kept_records_after_writing_them(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    path = profile(cloud.section() + KEEPS % 1.0)
    flags = ("pipe", "-p", path, "--max-tokens", "24", "--system", "Brief.", "Say it.")
    done = hybrid(*flags, stdin=b"Hello\nfour\nParis\n", HYBRID_CONSENT=cloud.origin)
    kept = int(done.stderr.split(b" kept")[0].split()[-1])
    assert kept >= 1
    rows = settled(hybrid, kept)
    assert len({row["run"] for row in rows}) == 1


def record_traffic(home: Path, weights: str, count: int) -> None:
    """Write `count` observed prompts to the ledger; confident answers agree with the cloud more often."""
    generator, ledger = random.Random(3), Ledger(home / "state")
    for _ in range(count):
        sure = generator.random()
        result = LocalResult("4", "stop", tokens_in=20, tokens_out=9)
        for number in range(9):
            kind: Any = "content" if number else "first"
            result.add(TokenSignal(-1.0 + sure + generator.gauss(0, 0.05), 0.9, 0.1, kind))
        world = Environment(None, None, None, {"HYBRID_HOME": str(home)}, chance=lambda: 0.0)
        policy = merge_policy(Flags(), world)
        escalation = msgspec.structs.replace(policy.escalation, shadow=1.0)
        found = shadow.observe(result, weights, replace(policy, escalation=escalation), world)
        assert found is not None
        row = ledger.reserve(
            LedgerEntry("r", "p", "d", "shadow", "https://a", "scripted", "", 1, "", "{}", None), []
        )
        ledger.settle(row, Settlement("answered", cost=0.0))
        ledger.observe(row, found, float(generator.random() < sure))


def test_calibrate_from_the_ledger(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, home: Path, weights_home: Path
) -> None:
    (blob,) = (weights_home / "data" / "blobs").glob("*.gguf")
    cloud.replies = [Reply(pieces=("4",))]
    target = "escalation: {target: {escalate_at_most: 0.2}%s}\n"
    plain = profile(cloud.section() + KEEPS % 1.0)
    hybrid("run", "-p", plain, *HELLO, HYBRID_CONSENT=cloud.origin)
    settled(hybrid, 1)
    fit = ("calibrate", "--from-ledger", "-p", plain, "--target", "escalate_at_most=0.2", "--json")
    few = hybrid(*fit)
    assert (few.returncode, few.stdout) == (2, b"")
    assert b"only 1 of 1 answers of smollm2-135m in the ledger can be compared with scripted's" in few.stderr
    assert b"at least 100" in few.stderr
    record_traffic(home, "0" * 64, 50)
    record_traffic(home, blob.stem, 199)
    done = hybrid(*fit)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["rows"] == 200
    assert told["handed_off"] <= 0.25
    used = hybrid("run", "-p", profile(cloud.section() + target % "", "used.yaml"), "--json", *HELLO)
    assert json.loads(used.stdout)["handoff"]["threshold"] is not None
    refused = hybrid(*fit, "data.jsonl")
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert b"use DATA.jsonl or --from-ledger, not both" in refused.stderr
