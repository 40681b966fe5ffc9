"""Whether a handoff would be sent, before anything is spent on the question whether it should be."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hybrid_cli.egress.permission import permission_for
from hybrid_cli.egress.prospects import may_be_sent
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.prompt import Question, Request
from hybrid_cli.ui.environment import Environment

ORIGIN = "http://127.0.0.1:9"
CLOUD = f'base_url: "{ORIGIN}/v1", model: m, key: {{env: SOME_KEY}}, prices: {{input: 1, output: 1}}'
AGREED = {"HYBRID_CONSENT": ORIGIN, "SOME_KEY": "sk-1"}
FALLBACK = f'{CLOUD}, fallbacks: [{{base_url: "{ORIGIN}/v1", model: other}}]'
SECRET = "My key is ghp_" + "A7b9C1d3E5f7G9h1J3k5L7m9N1p3Q5r7S9t1."


@pytest.mark.parametrize(
    ("cloud", "text", "prompt", "variables", "expected"),
    [
        pytest.param(CLOUD, "", "Hi", AGREED, True, id="nothing is against it"),
        pytest.param(CLOUD, "", "Hi", {"SOME_KEY": "sk-1"}, False, id="no consent"),
        pytest.param(CLOUD, "escalation: {mode: forbid}", "Hi", AGREED, False, id="it is forbidden"),
        pytest.param(CLOUD, "escalation: {mode: ask}", "Hi", AGREED, False, id="nobody can be asked"),
        pytest.param(CLOUD, "", "Hi", {"HYBRID_CONSENT": ORIGIN}, False, id="no key"),
        pytest.param(FALLBACK, "", "Hi", {"HYBRID_CONSENT": ORIGIN}, True, id="a fallback needs no key"),
        pytest.param(CLOUD, "", SECRET, AGREED, False, id="a secret"),
        pytest.param(CLOUD, "limits: {calls_per_day: 0}", "Hi", AGREED, False, id="no call is left"),
        pytest.param(CLOUD, "limits: {usd_per_run: 0.0000001}", "Hi", AGREED, False, id="it costs too much"),
    ],
)
def test_what_speaks_against_a_handoff(
    tmp_path: Path,
    profile: Callable[..., Path],
    cloud: str,
    text: str,
    prompt: str,
    variables: dict[str, str],
    expected: bool,
) -> None:
    world = Environment(None, None, io.StringIO(), {"HYBRID_HOME": str(tmp_path), **variables})
    policy = merge_policy(Flags(profile=str(profile(f"cloud: {{{cloud}}}\n{text}\n"))), world)
    request = Request(Question(prompt, ""), None)
    permission = permission_for(request, policy, world)
    assert may_be_sent(request, policy, permission, world) == expected
    assert not may_be_sent(request, replace(policy, cloud=None), permission, world)
