"""The cloud's own token limit: a model that thinks first still delivers its answer, and what it cost is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hybrid_cli.egress.answer_limit import answer_limit, reasons
from hybrid_cli.profile.cloud_section import Server
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.serve.asked import RequestFlags
from hybrid_cli.ui.environment import Environment
from hybrid_process import Hybrid
from scripted_cloud import Reply, ScriptedCloud

THINKING = 3000
PRICES = ", prices: {input: 1, output: 2}"
FORCE = "escalation: {mode: force}\n"
Profile = Callable[..., Path]


def thinks_first(body: dict[str, Any]) -> Reply:
    """A reply that spends 3,000 tokens on thinking before the first word; cut if the limit is lower."""
    limit = body.get("max_tokens") or body["max_completion_tokens"]
    used = min(limit, THINKING + 10)
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": used,
        "completion_tokens_details": {"reasoning_tokens": min(limit, THINKING)},
    }
    if limit < THINKING + 10:
        return Reply(pieces=(), finish_reason="length", usage=usage)
    return Reply(pieces=("Forty", "-two."), usage=usage)


def limits(cloud: ScriptedCloud) -> list[int]:
    return [request.body["max_tokens"] for request in cloud.received]


def test_a_reasoning_model_answers_whole_and_its_whole_cost_is_told(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    """The first reply shows that the model reasons; from then on it gets the larger limit at once."""
    cloud.respond = thinks_first
    path = profile(cloud.section(PRICES) + FORCE)
    done = hybrid("run", "-p", path, "--json", "6 times 7?", HYBRID_CONSENT=cloud.origin)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["answer"], limits(cloud)) == ("Forty-two.", [2048, 8192])
    assert b"again, because its answer was cut at 2048 tokens, at most $0.0165" in done.stderr
    paid = (10 + 2048 * 2 + 10 + (THINKING + 10) * 2) / 1e6
    assert answer["cost_usd"] == pytest.approx(paid)
    rows = json.loads(hybrid("usage", "--export").stdout)["requests"]
    assert sum(row["cost"] for row in rows) == pytest.approx(paid)
    again = hybrid("run", "-p", path, "--max-tokens", "50", "And 6 times 8?", HYBRID_CONSENT=cloud.origin)
    assert (again.stdout, limits(cloud)[2:]) == (b"Forty-two.\n", [8192])


@pytest.mark.parametrize(
    ("options", "section", "rest", "expected", "message"),
    [
        ([], ", max_tokens: 4000", "", [4000], ""),
        (["--max-tokens", "50"], "", "", [50], "was cut; raise cloud.max_tokens or --max-tokens"),
        (
            [],
            "",
            "limits: {usd_per_run: 0.01}\n",
            [2048],
            "asking for more failed: limits.usd_per_run is $0.01",
        ),
        ([], "", "limits: {calls_per_run: 1}\n", [2048], "asking for more failed: limits.calls_per_run is 1"),
        ([], ", max_tokens: 700", "", [700, 2800], "was cut; raise cloud.max_tokens or --max-tokens"),
    ],
)
def test_the_limit_that_is_sent(
    options: list[str],
    section: str,
    rest: str,
    expected: list[int],
    message: str,
    hybrid: Hybrid,
    cloud: ScriptedCloud,
    profile: Profile,
) -> None:
    cloud.respond = thinks_first
    path = profile(cloud.section(PRICES + section) + FORCE + rest)
    done = hybrid("run", "-p", path, *options, "6 times 7?", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, limits(cloud)) == (7 if message else 0, expected), done.stderr
    assert message in done.stderr.decode()
    assert done.stdout == (b"" if message else b"Forty-two.\n")


def test_what_was_shown_is_not_asked_for_again(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    cloud.replies = [Reply(finish_reason="length")]
    path = profile(cloud.section() + FORCE)
    done = hybrid("run", "-p", path, "--stream", "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, len(cloud.received)) == (7, 1)


def test_a_streamed_answer_has_no_tag_of_thinking_that_began_without_one(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, tmp_path: Path
) -> None:
    cloud.replies = [Reply(pieces=("It rains", ".\n</th", "ink>\n\nTake an", " umbrella."))]
    given = ("run", "-p", profile(cloud.section() + FORCE), "--conversation", "./c.jsonl", "hi")
    done = hybrid(*given, "--stream", cwd=tmp_path, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout) == (0, b"It rains.\n\nTake an umbrella.\n")
    note = b"the text before the answer is thinking, which came without its opening tag"
    assert done.stderr.count(note) == 1
    cut = Reply(pieces=("It rains.\n</think>\n\nTake an", " umbrella\n"), finish_reason="length")
    for options, message in (
        ((), b"the cloud's answer was cut"),
        (("--allow-truncated",), b"cut off at its"),
    ):
        cloud.replies = [cut]
        done = hybrid(*given[:3], "--stream", *options, "hi", HYBRID_CONSENT=cloud.origin)
        assert done.stdout == b"It rains.\n\nTake an umbrella\n"
        assert (done.stderr.count(note), done.stderr.count(message)) == (1, 1)
    kept = json.loads((tmp_path / "c.jsonl").read_text().splitlines()[-1])
    assert kept["content"] == "Take an umbrella."
    cloud.replies = [Reply(pieces=("It rains.\n</think>\n\nTake an umbrella.",))]
    done = hybrid(*given, cwd=tmp_path, HYBRID_CONSENT=cloud.origin)
    assert (done.stdout, note in done.stderr) == (b"Take an umbrella.\n", False)


def test_a_fault_of_the_second_request_keeps_the_first_ones_outcome(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    cloud.replies = [Reply(finish_reason="length"), Reply(400)]
    done = hybrid("run", "-p", profile(cloud.section() + FORCE), "hi", HYBRID_CONSENT=cloud.origin)
    assert done.returncode == 7
    assert b"asking for more failed: the cloud at " in done.stderr


def test_the_effort_is_sent_in_the_form_of_each_api(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    for section, expected in (
        (", reasoning_effort: low", "low"),
        (", reasoning_effort: low, extra: {reasoning_effort: high}", "high"),
        ("", None),
    ):
        hybrid("run", "-p", profile(cloud.section(section) + FORCE), "hi", HYBRID_CONSENT=cloud.origin)
        assert cloud.received[-1].body.get("reasoning_effort") == expected
    responses = profile(cloud.section(", api: responses, reasoning_effort: low") + FORCE)
    hybrid("run", "-p", responses, "hi", HYBRID_CONSENT=cloud.origin)
    assert cloud.received[-1].body["reasoning"] == {"effort": "low"}


def test_models_that_reason_are_known_by_name(tmp_path: Path) -> None:
    world = Environment(None, None, None, {"HYBRID_HOME": str(tmp_path)})

    def known(name: str) -> bool:
        return reasons(Server("https://example.com/v1", name), world)

    thinking = [
        "gpt-5-mini",
        "openai/gpt-5",
        "o3",
        "o4-mini",
        "openai/gpt-oss-120b",
        "deepseek-reasoner",
        "qwen/qwen3-32b",
    ]
    plain = [
        "gpt-4o-mini",
        "gpt-5-chat-latest",
        "deepseek-chat",
        "mistral-small",
        "llama-3.3-70b",
        "qwen3-4b-instruct",
    ]
    assert [name for name in thinking + plain if known(name)] == thinking


@pytest.mark.parametrize(
    ("flags", "model", "limit"),
    [
        (RequestFlags(max_tokens=1_000_000), "m", 100),
        (RequestFlags(max_tokens=7), "m", 7),
        (RequestFlags(max_tokens=1_000_000), "gpt-5-mini", 100),
        (RequestFlags(), "m", 100),
        (Flags(max_tokens=1_000_000), "m", 1_000_000),  # the user's own word
    ],
)
def test_a_client_of_the_server_cannot_raise_the_profiles_limit(
    home: Path, profile: Profile, flags: Flags, model: str, limit: int
) -> None:
    cloud = f'{{base_url: "http://127.0.0.1:9/v1", model: {model}, max_tokens: 100}}'
    environment = Environment(None, None, None, {"HYBRID_HOME": str(home)})
    policy = merge_policy(replace(flags, profile=str(profile(f"cloud: {cloud}\n"))), environment)
    assert policy.cloud is not None
    assert answer_limit(policy.cloud, policy, environment) == limit
