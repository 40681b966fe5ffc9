"""Rules: what a prompt's own features decide before any model runs, and how far that can reach."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hybrid_cli.profile.rules import rule_on
from hybrid_cli.profile.schema import Rule, When
from hybrid_process import Hybrid
from scripted_cloud import ScriptedCloud

Profile = Callable[..., Path]
SUM = "What is 2+2?"


@dataclass
class Facts:
    text: str = ""
    tags: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()
    secret: bool = False

    def tokens(self) -> int:
        return len(self.text)

    def language(self) -> str:
        return "de"

    def has_secret(self) -> bool:
        return self.secret


@pytest.mark.parametrize(
    ("when", "facts", "holds"),
    [
        (When(matches=r"(?i)\bprove\b"), Facts("Please PROVE it"), True),
        (When(matches=r"(?i)\bprove\b"), Facts("approved"), False),
        (When(tokens_over=3), Facts("four"), True),
        (When(tokens_over=4), Facts("four"), False),
        (When(secret=True), Facts(secret=True), True),
        (When(secret=False), Facts(secret=True), False),
        (When(language=["fr", "de"]), Facts(), True),
        (When(language=["fr"]), Facts(), False),
        (When(tools=["web_search"]), Facts(tools=frozenset({"web_search"})), True),
        (When(tools=["web_search"]), Facts(), False),
        (When(tags=["legal"]), Facts(tags=frozenset({"legal", "draft"})), True),
        (When(tags=["legal"]), Facts(tags=frozenset({"draft"})), False),
        (When(tags=["legal"], secret=True), Facts(tags=frozenset({"legal"})), False),
    ],
)
def test_a_condition(when: When, facts: Facts, holds: bool) -> None:
    ruling = rule_on([("a", Rule(when, "force"))], facts)
    assert (ruling is not None) == holds


def test_the_first_match_of_a_layer_and_the_strictest_of_the_layers() -> None:
    yes, no = When(secret=False), When(secret=True)
    rules = [
        ("a", Rule(no, "forbid")),
        ("a", Rule(yes, "force")),
        ("a", Rule(yes, "forbid")),
        ("b", Rule(yes, "ask")),
    ]
    ruling = rule_on(rules, Facts())
    assert ruling is not None
    assert (ruling.then, ruling.rule) == ("ask", "rule 1 of b")
    alone = rule_on(rules[:3], Facts())
    assert alone is not None
    assert (alone.then, alone.rule) == ("force", "rule 2 of a")
    assert rule_on(rules[:1], Facts()) is None


def test_no_pattern_hangs_on_a_hostile_prompt() -> None:
    rules = [("a", Rule(When(matches="(a+)+$"), "forbid"))]
    started = time.monotonic()
    assert rule_on(rules, Facts("a" * 1_000_000 + "!")) is None
    assert time.monotonic() - started < 5  # a backtracking matcher would take longer than the universe


def escalation(then: str, mode: str = "auto", on_denied: str = "answer") -> str:
    rules = f"rules: [{{when: {{matches: '2\\+2'}}, then: {then}}}]"
    return f"escalation: {{mode: {mode}, on_denied: {on_denied}, target: {{threshold: 0.01}}, {rules}}}\n"


@pytest.mark.parametrize(
    ("then", "mode", "code", "sent", "decision", "reason"),
    [
        ("force", "auto", 0, 1, "escalated", "rule"),
        ("local", "auto", 0, 0, "kept", "rule"),
        ("forbid", "auto", 0, 0, "kept", "none"),
        ("ask", "auto", 0, 0, "kept", "none"),
        ("force", "forbid", 0, 0, "denied", "forbidden"),
        ("force", "ask", 0, 0, "denied", "rule"),
        ("forbid", "force", 3, 0, "", ""),
        ("local", "force", 3, 0, "", ""),
    ],
)
def test_a_rules_reach(
    hybrid: Hybrid,
    cloud: ScriptedCloud,
    profile: Profile,
    then: str,
    mode: str,
    code: int,
    sent: int,
    decision: str,
    reason: str,
) -> None:
    path = profile(cloud.section() + escalation(then, mode))
    done = hybrid("run", "-p", path, "--json", SUM, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, len(cloud.received)) == (code, sent)
    if code:
        assert done.stdout == b""
        assert b"rule 1 of profile `test`" in done.stderr
        return
    answer = json.loads(done.stdout)
    assert (answer["handoff"]["decision"], answer["handoff"]["reason"]) == (decision, reason)


def test_a_rule_that_forbids_is_kept_by_the_kernel_too(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    path = profile(cloud.section() + escalation("forbid"))
    answer = json.loads(hybrid("run", "-p", path, "--json", SUM, HYBRID_CONSENT=cloud.origin).stdout)
    assert answer["policy"]["mode"] == "forbid"
    assert answer["policy"]["decided_by"] == "rule 1 of profile `test`"
    assert answer["policy"]["enforcement"] == "seccomp"


def test_a_local_rule_keeps_an_unsure_answer(hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile) -> None:
    text = escalation("local", on_denied="fail").replace("0.01", "0.99")
    done = hybrid("run", "-p", profile(cloud.section() + text), SUM, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, cloud.received) == (0, [])
    assert b"4" in done.stdout


def test_tags_come_from_the_command_line(hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile) -> None:
    path = profile(
        cloud.section() + "escalation: {rules: [{when: {tags: [hard]}, then: force}]}\n",
    )
    plain = hybrid("run", "-p", path, "--tag", "easy", SUM, HYBRID_CONSENT=cloud.origin)
    assert (plain.returncode, cloud.received) == (0, [])
    hard = hybrid("run", "-p", path, "--tag", "easy", "--tag", "hard", SUM, HYBRID_CONSENT=cloud.origin)
    assert (hard.returncode, len(cloud.received)) == (0, 1)
    assert b"handed off to scripted: rule 1 of profile `test`" in hard.stderr


def test_a_rule_sees_the_piped_text_and_its_language(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    rules = "[{when: {language: [de]}, then: force}, {when: {tokens_over: 100}, then: forbid}]"
    path = profile(cloud.section() + f"escalation: {{mode: auto, rules: {rules}}}\n")
    german = "Der Zug nach München fährt heute leider eine halbe Stunde später ab.\n".encode()
    plan = hybrid("run", "-p", path, "--dry-run", "Wann?", stdin=german)
    assert b"rule: force (rule 1 of profile `test`)" in plan.stderr
    english = b"The train to Munich leaves half an hour later than planned today.\n" * 10
    plan = hybrid("run", "-p", path, "--dry-run", "When?", stdin=english)
    assert b"rule: forbid (rule 2 of profile `test`)" in plan.stderr


def test_a_projects_rules_can_only_keep_prompts_here(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    (repository / ".git").mkdir(parents=True)
    path = profile(cloud.section() + "escalation: {mode: auto, target: {threshold: 0.01}}\n")
    file = repository / ".hybrid.yaml"
    file.write_text("version: 1\n" + escalation("force").replace("target: {threshold: 0.01}, ", ""))
    done = hybrid("run", "-p", path, SUM, cwd=repository, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, cloud.received) == (3, [])
    assert b"is not trusted, and it sets escalation.rules" in done.stderr
    file.write_text("version: 1\n" + escalation("forbid").replace("target: {threshold: 0.01}, ", ""))
    done = hybrid("run", "-p", path, "--json", SUM, cwd=repository, HYBRID_CONSENT=cloud.origin)
    assert json.loads(done.stdout)["policy"]["decided_by"] == "rule 1 of the project's .hybrid.yaml"
