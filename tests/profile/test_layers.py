"""Layers: no word loosens a stricter one, a project's file can only tighten, and trust is to the byte."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.layers import Layer, file_layers, project_files
from hybrid_cli.profile.merge import RULES, _last, as_profile, merge, needing_trust
from hybrid_cli.profile.modes import MODES
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.profile.schema import Profile
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.catalog import SMALL
from hybrid_process import HELLO, Hybrid
from scripted_cloud import ScriptedCloud

STRICTNESS = {"forbid": 3, "ask": 2, "auto": 1, "force": 1}
KINDS = ("secret", "email", "phone")
TOOLS = ("web_search", "image_generation")
CLOUD = st.sampled_from(["https://a.example", "https://b.example"]).map(
    lambda url: {"base_url": url, "model": "m", "key": {"env": url[8].upper()}}
)


def some(**fields: Any) -> Any:
    return st.fixed_dictionaries({}, optional=fields)


def choice(*values: Any) -> Any:
    return st.sampled_from(values)


RULE = st.fixed_dictionaries(
    {"when": st.just({"secret": True}), "then": choice("forbid", "local", "ask", "force")}
)
DATA = some(
    escalation=some(
        mode=choice(*MODES),
        on_denied=choice("answer", "fail"),
        on_cloud_failure=choice("answer", "fail"),
        require_enforcement=st.booleans(),
        shadow=st.floats(0, 1),
        rules=st.lists(RULE, max_size=2),
    ),
    privacy=some(
        redact=st.lists(st.sampled_from(KINDS), unique=True),
        on_secret=choice("forbid", "redact"),
        images=choice("forbid", "ask", "allow"),
    ),
    limits=some(
        seconds=st.floats(1, 100),
        usd_per_run=st.floats(0, 10),
        usd_per_day=st.floats(0, 10),
        calls_per_day=st.integers(0, 10),
        calls_per_month=st.integers(0, 10),
        of_profile=some(usd_per_day=st.floats(0, 10), calls_per_month=st.integers(0, 10)),
        tools=st.lists(st.sampled_from(TOOLS), unique=True),
    ),
    log=some(prompts=st.booleans()),
    cloud=CLOUD,
    local=some(model=choice("x", "y")),
)
LAYERS = st.lists(st.tuples(DATA, st.booleans()), max_size=5).map(
    lambda drawn: [
        Layer(f"layer {number}", data, is_project=project) for number, (data, project) in enumerate(drawn)
    ]
)


def lower(value: float | None) -> float:
    return -math.inf if value is None else -value


# How strict a value is, said here once more, apart from the code: more is stricter; of sets, the larger.
STRICT: dict[str, Callable[[Any], Any]] = {
    "escalation.mode": lambda mode: STRICTNESS[mode],
    "escalation.on_denied": lambda word: word == "fail",
    "escalation.on_cloud_failure": lambda word: word == "fail",
    "escalation.require_enforcement": bool,
    "escalation.shadow": lower,
    "privacy.redact": set,
    "privacy.on_secret": lambda word: word == "forbid",
    "privacy.images": ("allow", "ask", "forbid").index,
    "limits.seconds": lower,
    "limits.usd_per_run": lower,
    "limits.usd_per_day": lower,
    "limits.usd_per_month": lower,
    "limits.calls_per_run": lower,
    "limits.calls_per_day": lower,
    "limits.calls_per_month": lower,
    "limits.of_profile.usd_per_day": lower,
    "limits.of_profile.usd_per_month": lower,
    "limits.of_profile.calls_per_day": lower,
    "limits.of_profile.calls_per_month": lower,
    "limits.tools": lambda tools: set(TOOLS) - set(TOOLS if tools is None else tools),
    "log.prompts": lambda prompts: not prompts,
    "local.prefix_cache": (True, "templates", False).index,
    "escalation.sticky": lambda sticky: not sticky,
}


def said(layer: Layer, key: str) -> Any:
    data: Any = layer.data
    for part in key.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    return data


def merged(layers: list[Layer]) -> dict[str, Any] | None:
    """The effective values; None where force meets forbid."""
    try:
        values = merge(layers)
    except Failure as failure:
        assert failure.status is ExitStatus.DENIED
        return None
    return {key: value.value for key, value in values.items()}


def own(layers: list[Layer]) -> list[Layer]:
    return [layer for layer in layers if not layer.is_project]


def test_each_key_is_either_tightened_or_needs_trust() -> None:
    every = {"escalation.rules"} | {key for key, rule in RULES.items() if rule is _last}
    assert every | STRICT.keys() == RULES.keys()


@given(LAYERS)
def test_merged_layers_are_never_looser_than_the_strictest(layers: list[Layer]) -> None:
    modes = [said(layer, "escalation.mode") for layer in layers]
    forced = "force" in [said(layer, "escalation.mode") for layer in own(layers)]
    values = merged(layers)
    assert (values is None) == (forced and "forbid" in modes)
    if values is None:
        return
    for key, strictness in STRICT.items():
        for word in [said(layer, key) for layer in layers]:
            assert word is None or strictness(values[key]) >= strictness(word), key


@given(LAYERS)
def test_an_untrusted_project_only_tightens(layers: list[Layer]) -> None:
    without, values = merged(own(layers)), merged(layers)
    if without is None or values is None:
        assert values is None  # what the user contradicts himself in, no project can mend
        return
    for key, strictness in STRICT.items():
        assert strictness(values[key]) >= strictness(without[key]), key
    for key in RULES.keys() - STRICT.keys() - {"escalation.rules"}:
        assert values[key] == without[key], key
    projects = {layer.name for layer in layers if layer.is_project}
    assert not [r for r in values["escalation.rules"] if r["layer"] in projects and r["then"] == "force"]
    assert [r for r in values["escalation.rules"] if r["layer"] not in projects] == without[
        "escalation.rules"
    ]


@given(LAYERS)
def test_an_api_key_is_never_sent_to_another_layers_origin(layers: list[Layer]) -> None:
    values = merged(own(layers))
    if values is not None and values["cloud"] is not None:
        assert values["cloud"]["key"]["env"] == values["cloud"]["base_url"][8].upper()


@given(LAYERS, st.randoms())
def test_tightening_does_not_depend_on_the_order(layers: list[Layer], random: Any) -> None:
    shuffled = list(layers)
    random.shuffle(shuffled)
    values, others = merged(layers), merged(shuffled)
    assert (values is None) == (others is None)
    if values is not None and others is not None:
        for key, strictness in STRICT.items():
            assert strictness(values[key]) == strictness(others[key]), key


@given(LAYERS)
def test_each_value_names_a_layer_that_sets_it(layers: list[Layer]) -> None:
    try:
        values = merge([replace(layer, is_trusted=True) for layer in layers])
    except Failure:
        return
    data = {layer.name: layer.data for layer in layers}
    for key, value in values.items():
        if value.layer in data and key != "escalation.rules":
            found: Any = data[value.layer]
            for part in key.split("."):
                found = found[part]
            assert found == value.value


def test_every_rule_has_its_key_in_the_schema() -> None:
    values = merge([])
    assert values.keys() == RULES.keys()
    as_profile(values)


def schema_keys(section: msgspec.Struct, prefix: str = "") -> Iterator[str]:
    """Yield the section's keys; those of an inner section one by one, unless it merges as a whole."""
    for name in section.__struct_fields__:
        key, value = f"{prefix}{name}", getattr(section, name)
        if isinstance(value, msgspec.Struct) and key not in RULES:
            yield from schema_keys(value, f"{key}.")
        else:
            yield key


def test_every_key_in_the_schema_has_its_rule() -> None:
    assert set(schema_keys(Profile(version=1))) == {"version", "extends"} | RULES.keys()


def test_keys_that_loosen_need_trust() -> None:
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


def test_a_project_can_forbid_handoffs(hybrid: Hybrid, project: Callable[[str], Path]) -> None:
    folder = project("escalation: {mode: forbid}\n")
    answer = json.loads(hybrid("run", "--json", *HELLO, cwd=folder).stdout)
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
def test_an_untrusted_project_cannot_choose_cloud_model_or_threshold(
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


def test_a_changed_project_file_must_be_trusted_again(
    hybrid: Hybrid, cloud: ScriptedCloud, project: Callable[[str], Path]
) -> None:
    priced = cloud.section(", prices: {input: 0, output: 0}")  # the default profile has a budget
    folder = project(f"{priced}escalation: {{mode: force}}\n")
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
    assert project_files(environment) == [inner]
    (folder.parents[2] / ".hybrid.yaml").write_text("version: 1\n")
    inner.unlink()
    assert project_files(environment) == []


def test_a_profile_that_cannot_be_read_is_not_replaced_by_the_shipped_one(tmp_path: Path) -> None:
    """It may be stricter than the shipped profile of its name."""
    environment = Environment(
        None, None, io.StringIO(), {"HYBRID_HOME": str(tmp_path), "HOME": str(tmp_path)}
    )
    folder = tmp_path / "config/profiles"
    folder.mkdir(parents=True)
    (folder / "default.yaml").symlink_to("moved-away.yaml")
    os.mkfifo(folder / "ci.yaml")
    for name, why in ((None, "is a link to a file that does not exist"), ("ci", "is not a regular file")):
        with pytest.raises(Failure, match=why) as raised:
            file_layers(name, environment)
        assert str(folder / f"{name or 'default'}.yaml") in str(raised.value)


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
        "refused": ["profile `default`: default"],
    }
    assert values["escalation.mode"]["value"] == "ask"
    assert values["escalation.mode"]["layer"] == "HYBRID_ESCALATION"
    assert (values["limits.seconds"]["value"], values["limits.seconds"]["layer"]) == (5, "your profile.yaml")
    assert values["escalation.on_denied"]["value"] == "fail"
    text = hybrid("profile", "explain", cwd=tmp_path).stdout.decode()
    assert 'local.model: "mine"  (your profile.yaml)' in text


def test_explain_names_the_profile_that_sets_an_inherited_value(tmp_path: Path) -> None:
    """So do the messages of limits, rules and denials, which name the same layer."""
    environment = Environment(
        None, None, io.StringIO(), {"HYBRID_HOME": str(tmp_path), "HOME": str(tmp_path)}
    )
    folder = tmp_path / "config/profiles"
    folder.mkdir(parents=True)
    (folder / "base.yaml").write_text(
        "version: 1\nlocal: {threads: 2, template: {variables: {a: 1}}}\nlimits: {calls_per_day: 3, seconds: 9}\n"
        "escalation: {mode: forbid, target: {threshold: 0.5}, rules: [{when: {secret: true}, then: forbid}]}\n"
        "cloud: {use: openai, model: gpt-5}\nprivacy: {redact: [email]}\n"
    )
    (folder / "middle.yaml").write_text(
        "version: 1\nextends: base\nlocal: {threads: 1, template: {variables: {b: 2}}}\ncloud: {model: gpt-5-mini}\n"
    )
    (folder / "top.yaml").write_text(
        "version: 1\nextends: middle\nlimits: {seconds: 5}\nlocal: {lookup: false}\n"
    )
    (folder / "default.yaml").write_text("version: 1\nextends: default\nlimits: {calls_per_run: 1}\n")
    (tmp_path / "config/profile.yaml").write_text("version: 1\nextends: middle\nlog: {prompts: false}\n")
    base, middle, top = ("profile `base` via %s", "profile `middle` via %s", "%s")
    expected = {
        "escalation.mode": base,
        "escalation.target": base,
        "local.threads": middle,
        "local.template.variables": f"{base}, {middle}",
        "cloud": f"{middle}; server and key: {base}",
    }
    policy = merge_policy(Flags(profile="top"), environment)
    by = {key: value.layer for key, value in policy.values.items()}
    for key, layer in {**expected, "limits.seconds": top, "local.lookup": top}.items():
        name = "your profile.yaml" if key == "escalation.mode" else "profile `top`"  # the first to forbid
        assert by[key] == layer.replace("%s", name), key
    assert by["privacy.redact"] == ", ".join(base % one for one in ("your profile.yaml", "profile `top`"))
    assert policy.decided_by == base % "your profile.yaml"
    assert [layer for layer, _rule in policy.rules] == [base % "your profile.yaml", base % "profile `top`"]
    assert by["log.prompts"] == "your profile.yaml"
    (tmp_path / "config/profile.yaml").unlink()
    policy = merge_policy(Flags(), environment)
    assert policy.decided_by == "the shipped profile `default` via profile `default`"
    assert policy.values["limits.calls_per_run"].layer == "profile `default`"


def test_profile_check_ls_and_show(hybrid: Hybrid, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("version: 1\nlocal: {modle: x}\nlimits: {seconds: 0}\n")
    done = hybrid("profile", "check", bad)
    assert done.returncode == 2
    assert [line.split(": ")[0] for line in done.stdout.decode().splitlines()] == [f"{bad}:2", f"{bad}:3"]
    bad.write_text("version: 1\n\nextends: nowhere\n")
    done = hybrid("profile", "check", bad)
    assert done.returncode == 2
    assert done.stdout.decode().startswith(f"{bad}:3: extends: no profile `nowhere`")
    listed = [line.split("\t")[0] for line in hybrid("profile", "ls").stdout.decode().splitlines()]
    assert {"cloud", "default", "offline"} < set(listed)
    assert listed == sorted(listed)
    rows = {
        row[0]: row[1:]
        for row in (
            line.split("\t")
            for line in hybrid("profile", "ls", HYBRID_PROFILE="ci").stdout.decode().splitlines()
        )
    }
    assert rows["ci"] == ["*", "auto", SMALL, "gpt-5-mini", "For scripts and CI: no questions, tight limits"]
    assert rows["offline"] == ["", "forbid", SMALL, "", "Nothing leaves this machine"]
    assert rows["cloud"][:4] == ["", "force", "", "gpt-5-mini"]
    assert rows["gpt-oss"][2] == "gpt-oss-20b"
    assert all(
        row[0] == ("*" if name == "ci" else "") and 10 < len(row[4]) < 65 for name, row in rows.items()
    )
    assert b"mode: forbid" in hybrid("profile", "show", "offline").stdout
