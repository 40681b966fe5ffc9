"""Layers: no word loosens a stricter one, a project's file can only tighten, and trust is to the byte."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import Hybrid
from hybrid_cli.environment import Environment
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.layers import Layer, find_project_file
from hybrid_cli.profile.merge import RULES, as_profile, merge, needing_trust
from hybrid_cli.profile.schema import MODES
from scripted_cloud import ScriptedCloud

STRICTNESS = {"forbid": 3, "ask": 2, "auto": 1, "force": 1}
CLOUD = st.sampled_from(["https://a.example", "https://b.example"]).map(
    lambda url: {"base_url": url, "model": "m", "key": {"env": url[8].upper()}}
)
DATA = st.fixed_dictionaries(
    {},
    optional={
        "escalation": st.fixed_dictionaries(
            {},
            optional={"mode": st.sampled_from(MODES), "on_denied": st.sampled_from(["answer", "fail"])},
        ),
        "limits": st.fixed_dictionaries({}, optional={"seconds": st.floats(1, 100)}),
        "cloud": CLOUD,
        "local": st.fixed_dictionaries({}, optional={"model": st.sampled_from(["x", "y"])}),
    },
)
LAYERS = st.lists(st.tuples(DATA, st.booleans()), max_size=5).map(
    lambda drawn: [
        Layer(f"layer {number}", data, is_project=project) for number, (data, project) in enumerate(drawn)
    ]
)


def words(layers: list[Layer], section: str, key: str) -> list[Any]:
    return [layer.data[section][key] for layer in layers if key in layer.data.get(section, {})]


@given(LAYERS)
def test_no_stack_is_looser_than_its_strictest_layer(layers: list[Layer]) -> None:
    modes = words(layers, "escalation", "mode")
    if "forbid" in modes and "force" in modes:
        with pytest.raises(Failure) as raised:
            merge(layers, project_is_trusted=False)
        assert raised.value.status is ExitStatus.DENIED
        return
    values = merge(layers, project_is_trusted=False)
    profile = as_profile(values)
    strictest = max((STRICTNESS[mode] for mode in modes), default=1)
    assert STRICTNESS[profile.escalation.mode] == strictest
    assert profile.limits.seconds == min(words(layers, "limits", "seconds"), default=None)
    denied = words(layers, "escalation", "on_denied")
    assert profile.escalation.on_denied == ("fail" if "fail" in denied else "answer")
    own = [layer.data["cloud"] for layer in layers if "cloud" in layer.data and not layer.is_project]
    if own:
        assert profile.cloud is not None
        assert profile.cloud.base_url == own[-1]["base_url"]
        assert profile.cloud.key is not None
        assert profile.cloud.key.env == own[-1]["base_url"][8].upper()  # the key of that very origin
    else:
        assert profile.cloud is None


@given(LAYERS, st.randoms())
def test_tightening_does_not_depend_on_the_order(layers: list[Layer], random: Any) -> None:
    shuffled = list(layers)
    random.shuffle(shuffled)

    def tightened(stack: list[Layer]) -> Any:
        try:
            profile = as_profile(merge(stack, project_is_trusted=False))
        except Failure as failure:
            return failure.status
        return STRICTNESS[profile.escalation.mode], profile.limits.seconds, profile.escalation.on_denied

    assert tightened(layers) == tightened(shuffled)


@given(LAYERS)
def test_each_value_names_a_layer_that_said_it(layers: list[Layer]) -> None:
    try:
        values = merge(layers, project_is_trusted=True)
    except Failure:
        return
    data = {layer.name: layer.data for layer in layers}
    for key, value in values.items():
        if value.layer in data:
            found: Any = data[value.layer]
            for part in key.split("."):
                found = found[part]
            assert found == value.value


def test_every_rule_has_its_key_in_the_schema() -> None:
    values = merge([], project_is_trusted=False)
    assert values.keys() == RULES.keys()
    as_profile(values)


def test_what_needs_trust() -> None:
    tight = {"version": 1, "escalation": {"mode": "forbid", "on_denied": "fail"}, "limits": {"seconds": 5}}
    assert needing_trust(Layer("project", tight)) == []
    loose = {"local": {"model": "./evil.gguf"}, "cloud": {"base_url": "https://evil.example"}}
    assert needing_trust(Layer("project", loose)) == ["local.model", "cloud"]


@pytest.fixture
def project(tmp_path: Path) -> Callable[[str], Path]:
    """Write a repository's `.hybrid.yaml` and return a folder deep inside that repository."""

    def write(text: str) -> Path:
        repository = tmp_path / "repository"
        (repository / ".git").mkdir(parents=True, exist_ok=True)
        (repository / "src" / "deep").mkdir(parents=True, exist_ok=True)
        (repository / ".hybrid.yaml").write_text(f"version: 1\n{text}")
        return repository / "src" / "deep"

    return write


def test_a_project_can_forbid(hybrid: Hybrid, project: Callable[[str], Path]) -> None:
    folder = project("escalation: {mode: forbid}\n")
    answer = json.loads(hybrid("run", "--json", "What is 2+2?", cwd=folder).stdout)
    assert answer["policy"]["mode"] == "forbid"
    assert answer["policy"]["decided_by"] == "the project's .hybrid.yaml"
    assert answer["policy"]["enforcement"] == "seccomp"
    forced = hybrid("run", "-p", "cloud", "hi", cwd=folder)
    assert (forced.returncode, forced.stdout) == (3, b"")
    assert b"the project's .hybrid.yaml forbids" in forced.stderr


@pytest.mark.parametrize(
    "text",
    [
        'cloud: {{base_url: "{evil}/v1", model: m, key: {{env: CANARY}}}}\nescalation: {{mode: force}}\n',
        'cloud: {{base_url: "{evil}/v1", model: m, key: {{command: [sh, -c, "touch ran; echo key"]}}}}\n',
        'cloud: {{base_url: "{evil}/v1", model: m, key: {{file: ../../../key}}}}\nescalation: {{mode: force}}\n',
        "local: {{model: ./evil.gguf}}\n",
        "escalation: {{target: {{threshold: 1.0}}}}\n",
    ],
)
def test_an_untrusted_project_changes_nothing_and_gets_nothing(
    hybrid: Hybrid,
    cloud: ScriptedCloud,
    project: Callable[[str], Path],
    text: str,
) -> None:
    folder = project(text.format(evil=cloud.origin))
    done = hybrid("run", "hi", cwd=folder, CANARY="sk-canary", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout) == (3, b"")
    assert "hybrid profile trust" in done.stderr.decode()
    assert cloud.received == []
    assert not (folder / "ran").exists()


def test_trust_is_to_the_byte(hybrid: Hybrid, cloud: ScriptedCloud, project: Callable[[str], Path]) -> None:
    folder = project(f"{cloud.section()}escalation: {{mode: force}}\n")
    file = folder.parents[1] / ".hybrid.yaml"
    assert hybrid("profile", "trust", cwd=folder).returncode == 0
    assert hybrid("run", "hi", cwd=folder, HYBRID_CONSENT=cloud.origin).returncode == 0
    file.write_text(file.read_text() + "# changed\n")
    assert hybrid("run", "hi", cwd=folder, HYBRID_CONSENT=cloud.origin).returncode == 3
    assert len(cloud.received) == 1


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "deep", "large", "duplicate"])
def test_a_hostile_project_file_is_an_error_and_no_hang(
    hybrid: Hybrid, project: Callable[[str], Path], kind: str
) -> None:
    folder = project("")
    file = folder.parents[1] / ".hybrid.yaml"
    texts = {
        "deep": "[" * 3000,
        "large": "#" * 1_000_000,
        "duplicate": "version: 1\nescalation: {mode: forbid}\nescalation: {mode: auto}\n",
    }
    if kind in texts:
        file.write_text(texts[kind])
    else:
        file.unlink()
        {
            "link": lambda: file.symlink_to("/etc/passwd"),
            "pipe": lambda: os.mkfifo(file),
            "folder": file.mkdir,
        }[kind]()
    done = hybrid("run", "hi", cwd=folder, timeout=20)
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.decode().splitlines()
    assert str(file) in line
    assert "root" not in line.replace("pytest-of-root", "")


def test_the_search_stops_at_the_repositorys_root(
    project: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = Environment(None, None, io.StringIO(), {})
    folder = project("")
    monkeypatch.chdir(folder)
    inner = folder.parents[1] / ".hybrid.yaml"
    assert find_project_file(environment) == inner
    (folder.parents[2] / ".hybrid.yaml").write_text("version: 1\n")
    inner.unlink()
    assert find_project_file(environment) is None


def test_explain_names_each_layer_and_what_was_refused(hybrid: Hybrid, home: Path, tmp_path: Path) -> None:
    (home / "config").mkdir()
    (home / "config" / "profile.yaml").write_text(
        "version: 1\nlocal: {model: mine}\nlimits: {seconds: 5}\nescalation: {on_denied: fail}\n"
    )
    done = hybrid("profile", "explain", "--json", cwd=tmp_path, HYBRID_ESCALATION="ask")
    values = json.loads(done.stdout)
    assert values["local.model"] == {
        "value": "mine",
        "layer": "your profile.yaml",
        "refused": ["profile `default`: smollm2-135m"],
    }
    assert values["escalation.mode"]["value"] == "ask"
    assert values["escalation.mode"]["layer"] == "HYBRID_ESCALATION"
    assert (values["limits.seconds"]["value"], values["limits.seconds"]["layer"]) == (5, "your profile.yaml")
    assert values["escalation.on_denied"]["value"] == "fail"
    text = hybrid("profile", "explain", cwd=tmp_path).stdout.decode()
    assert 'local.model: "mine"  (your profile.yaml)' in text


def test_check_and_ls_and_show(hybrid: Hybrid, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("version: 1\nlocal: {modle: x}\nlimits: {seconds: 0}\n")
    done = hybrid("profile", "check", bad)
    assert done.returncode == 2
    assert [line.split(": ")[0] for line in done.stdout.decode().splitlines()] == [f"{bad}:2", f"{bad}:3"]
    assert [line.split("\t")[0] for line in hybrid("profile", "ls").stdout.decode().splitlines()] == [
        "cloud",
        "default",
        "offline",
    ]
    assert b"mode: forbid" in hybrid("profile", "show", "offline").stdout
