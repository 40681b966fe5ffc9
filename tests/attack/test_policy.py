"""Nothing leaves that some layer forbade: any set of layers, project files, rules and prompts."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_cli.egress.permission import permission_for
from hybrid_cli.egress.prompt_rules import RequestFacts, under_rules
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.privacy.screen import screen
from hybrid_cli.profile.modes import MODES
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.prompt import Question, Request
from hybrid_cli.ui.environment import Environment
from hybrid_process import Hybrid
from scripted_cloud import Reply, ScriptedCloud

MODE = st.none() | st.sampled_from(MODES)
RULES = st.lists(
    st.fixed_dictionaries(
        {
            "when": st.sampled_from([{"matches": "secret project"}, {"secret": True}, {"tokens_over": 5}]),
            "then": st.sampled_from(["forbid", "local", "ask", "force"]),
        }
    ),
    max_size=2,
)
LAYER = st.fixed_dictionaries(
    {"mode": MODE, "rules": RULES, "on_secret": st.sampled_from([None, "forbid", "redact"])}
)
PROMPTS = [
    "hi",
    "about the secret project",
    "my key is ghp_" + "a1B2c3" * 6,
    "one two three four five six seven eight",
]


def written(path: Path, layer: dict[str, Any], *, cloud: bool) -> None:
    data: dict[str, Any] = {"version": 1, "escalation": {"rules": layer["rules"]}}
    if layer["mode"]:
        data["escalation"]["mode"] = layer["mode"]
    if layer["on_secret"]:
        data["privacy"] = {"on_secret": layer["on_secret"]}
    if cloud:
        data["cloud"] = {
            "base_url": "http://127.0.0.1:9/v1",
            "model": "m",
            "prices": {"input": 0, "output": 0},
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))


def fires(rule: dict[str, Any], prompt: str) -> bool:
    when = rule["when"]
    if "matches" in when:
        return "secret project" in prompt
    return "ghp_" in prompt if "secret" in when else len(prompt.encode()) > 20


def forbids(layer: dict[str, Any], prompt: str) -> bool:
    """Whether this layer alone keeps `prompt` here, said once more apart from the code."""
    first = next((rule for rule in layer["rules"] if fires(rule, prompt)), None)
    return layer["mode"] == "forbid" or (first is not None and first["then"] in ("forbid", "local"))


@settings(max_examples=30)
@given(st.lists(LAYER, min_size=4, max_size=4), MODE, MODE, st.sampled_from(PROMPTS))
def test_no_layer_is_overruled(
    layers: list[dict[str, Any]], variable: str | None, flag: Any, prompt: str
) -> None:
    user, profile, root, inner = layers
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name).resolve()
        written(folder / "home/config/profile.yaml", user, cloud=True)
        written(folder / "chosen.yaml", profile, cloud=True)
        written(folder / "repo/.hybrid.yaml", root, cloud=False)
        written(folder / "repo/vendor/.hybrid.yaml", inner, cloud=False)
        (folder / "repo/.git").mkdir()
        (folder / "repo/vendor/.git").mkdir()
        patch.chdir(folder / "repo/vendor")
        variables = {"HYBRID_HOME": str(folder / "home"), "HYBRID_CONSENT": "http://127.0.0.1:9"}
        world = Environment(
            None, None, io.StringIO(), variables | ({"HYBRID_ESCALATION": variable} if variable else {})
        )
        request = Request(Question(prompt, ""), None)
        try:
            policy = merge_policy(Flags(profile=str(folder / "chosen.yaml"), escalation=flag), world)
            policy, ruling = under_rules(policy, RequestFacts(request, frozenset()))
            permission = permission_for(request, policy, world)
            if ruling is not None and ruling.then == "local":
                return
            if permission.denied is None and policy.mode != "forbid":
                screen(request.messages(), policy.privacy, {})
                leaves = True
            else:
                leaves = False
        except Failure as failure:
            assert failure.status is ExitStatus.DENIED, failure
            leaves = False
        forbidden = "forbid" in (variable, flag) or any(forbids(layer, prompt) for layer in layers)
        is_secret = "ghp_" in prompt and any(layer["on_secret"] == "forbid" for layer in layers)  # noqa: S105
        assert not (leaves and (forbidden or is_secret))


def test_no_cloud_sees_the_key_of_another(hybrid: Hybrid, tmp_path: Path) -> None:
    with ScriptedCloud() as first, ScriptedCloud() as second:
        second.replies = [Reply()]
        other = f'{{base_url: "{second.origin}/v1", model: b, key: {{env: OTHER}}, prices: {{input: 0, output: 0}}}}'
        path = tmp_path / "p.yaml"
        section = first.section(
            f", key: {{env: FIRST}}, prices: {{input: 0, output: 0}}, fallbacks: [{other}]"
        )
        path.write_text(f"version: 1\nescalation: {{mode: force}}\n{section}")
        keys = {"FIRST": "plain-words-one", "OTHER": "plain-words-two"}
        for key in keys.values():
            consent = f"{first.origin},{second.origin}"
            done = hybrid("run", "-p", path, f"is {key} mine?", HYBRID_CONSENT=consent, **keys)
            assert (done.returncode, first.received, second.received) == (3, [], []), done.stderr
            assert key.encode() not in done.stderr
