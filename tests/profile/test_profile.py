"""Profiles: the strict loader's mistakes, and where profiles are found."""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from test_layers import STRICT

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.privacy.scan import find
from hybrid_cli.profile.layers import Layer
from hybrid_cli.profile.loader import find_profile, read_checked, read_profile, shipped_folder
from hybrid_cli.profile.merge import merge
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.profile.published_schema import json_schema
from hybrid_cli.profile.strict_yaml import parse_strict
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.catalog import catalog
from hybrid_process import Hybrid


def environment(home: Path, **variables: str) -> Environment:
    return Environment(None, None, io.StringIO(), {"HYBRID_HOME": str(home), **variables})


@pytest.mark.parametrize("path", sorted(shipped_folder().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_profile_loads(path: Path) -> None:
    assert read_profile(path).mistakes == []


def test_the_shipped_profiles_have_their_documented_names() -> None:
    assert {path.stem for path in shipped_folder().glob("*.yaml")} == {
        *("default", "offline", "cloud", "ci", "private", "frugal", "quality", "gpt-oss", "r1", "research")
    }


@pytest.mark.parametrize("path", sorted(shipped_folder().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_profile_makes_a_policy_with_a_budget_where_it_can_spend(
    path: Path, tmp_path: Path
) -> None:
    policy = merge_policy(Flags(profile=path.stem), environment(tmp_path))
    assert policy.local.model in {"default", *catalog(environment(tmp_path))}
    assert len(path.read_text().splitlines()) < 40
    if policy.mode != "forbid":
        assert policy.limits.usd_per_run
        assert policy.limits.usd_per_day


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (
            "escalation: {mode: off}",
            2,
            'YAML readers disagree whether `off` is a boolean; write true, false or "off"',
        ),
        ("escalation: {mode: no}", 2, "whether `no` is a boolean"),
        (
            "escalation: {mode: never}",
            2,
            "escalation.mode: unknown value `never`; use ask, auto, forbid or force",
        ),
        ("escalation: {mode: frbid}", 2, "escalation.mode: unknown value `frbid`; did you mean `forbid`?"),
        ("escalation:\n  mood: auto", 3, "escalation.mood: unknown key; did you mean `mode`?"),
        ("escalatoin: {}", 2, "escalatoin: unknown key; did you mean `escalation`?"),
        ("zzz: 1", 2, "zzz: unknown key; use version, extends, local, cloud"),
        (
            "cloud: {base_url: 'https://x', model: m, keys: 1}",
            2,
            "cloud.keys: unknown key; did you mean `key`?",
        ),
        (
            "local:\n  sampling:\n    temperature: hot",
            4,
            "local.sampling.temperature: must be a number from 0 to 5, not `hot`",
        ),
        (
            "local: {sampling: {max_tokens: 0}}",
            2,
            "local.sampling.max_tokens: must be a whole number from 1 to 10000000, not `0`",
        ),
        ("local:\n  model: a\n  model: b", 4, "`model` is set twice"),
        ("version: 1", 2, "`version` is set twice"),
        ("local: &a {model: a}", 2, "anchors and aliases are not allowed"),
        ("local: !!python/object:os.system {}", 2, "tag"),
        ("local: [\n", 2, "a `[` without its `]`"),
        (
            "local: {\n  model: a\ncloud:\n  use: openai",
            2,
            "a `{` without its `}`, or a missing comma (noticed in line 4)",
        ),
        ("local: {model: [a}\nlog: {}", 2, "a `[` without its `]`, or a missing comma"),
        ("privacy:\n  redact: [email,\n    phone\n    , , ip]", 5, "a value is missing"),
        ('local: {model: "a}\nlog: {}', 2, "a quote that is not closed"),
        ("local:\n  lookup: true\n  model\n  threads: 2", 4, "a line without `key: value`"),
        ("---\nversion: 1", 2, "only one YAML document"),
        ("local:\n\tmodel: x", 3, "YAML is indented with spaces, not tabs"),
        ("limits: " + "[" * 3000, 2, "nest"),
        ("? [a]\n: 1", 2, "a key must be a plain word"),
        (
            "local: {keep_alive: 5 minutes}",
            2,
            "local.keep_alive: must be 0, forever, or a time such as 30s, 5m or 1h",
        ),
        (
            "local: {sampling: {max_tokens: '512'}}",
            2,
            "local.sampling.max_tokens: must be a whole number from 1 to 10000000, without quotes",
        ),
        ("local: {lookup: 'true'}", 2, "local.lookup: must be true or false, without quotes"),
        ("local: {lookup: 'maybe'}", 2, "local.lookup: must be true or false, not `maybe`"),
        ("cloud: {base_url: 'ftp://x', model: m}", 2, "cloud.base_url: `ftp://x` is not an origin"),
        (
            "cloud: {base_url: 'https://x/v1/chat/completions', model: m}",
            2,
            "cloud.base_url: hybrid adds /chat/completions itself; write https://x/v1",
        ),
        (
            "cloud: {base_url: 'https://x/v1/responses/', model: m}",
            2,
            "cloud.base_url: hybrid adds /responses itself; write https://x/v1",
        ),
        ("cloud: {model: m}", 2, "cloud: needs `use`, such as openai, or `base_url`"),
        (
            "cloud: {base_url: 'https://x', model: m, key: {env: A, file: b}}",
            2,
            "cloud.key: set exactly one of env, file, command",
        ),
        (
            "cloud: {base_url: 'https://x', model: m, key: sk-123}",
            2,
            "cloud.key: never the key itself; write {env: OPENAI_API_KEY}",
        ),
        ("limits: {seconds: .inf}", 2, "limits.seconds: must be a number over 0, at most 86400, not `.inf`"),
        ("#" + "x" * 256_000, 1, "over 256 kB"),
        ("local: {model: \x00}", 1, "characters that YAML does not allow"),
    ],
)
def test_a_mistake_is_reported_with_file_and_line(tmp_path: Path, text: str, line: int, told: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(f"version: 1\n{text}\n")
    with pytest.raises(Failure) as raised:
        read_checked(path)
    assert raised.value.status is ExitStatus.USAGE
    assert str(raised.value).startswith(f"{path}:{line}: ")
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"version: \xff", "not UTF-8"),
        (b"", "it starts with `version: 1`"),
        (b"version: 2", "version: must be 1, not `2`"),
        (b"version: '1'", "version: must be 1, without quotes$"),
        (b"version: '2'", "version: must be 1, not `2`"),
    ],
)
def test_a_file_without_a_known_version_is_refused(tmp_path: Path, data: bytes, told: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(data)
    with pytest.raises(Failure, match=told):
        read_checked(path)


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "version: 1\n"
        "local:\n"
        "  modle: x\n"
        "  sampling: {temperature: hot}\n"
        "escalation:\n"
        "  mode: off\n"
        "  mode: auto\n"
        "cloud: {base_url: 'ftp://x', model: m}\n"
        "limits: {seconds: -1}\n"
    )
    mistakes = read_profile(path).mistakes
    assert [mistake.removeprefix(f"{path}:").split(":")[0] for mistake in mistakes] == list("346789")


@given(st.text(alphabet="version: 1\n{}[]&*!'\"-#|>%@~abc0.,\t", max_size=60))
@settings(max_examples=300)
def test_no_text_makes_the_reader_fail(text: str) -> None:
    document = parse_strict(text.encode())
    assert all(line >= 1 and message for line, message in document.mistakes.items())


def test_profiles_are_found_by_name_path_and_variable(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "profiles"
    folder.mkdir(parents=True)
    (folder / "offline.yaml").write_text("version: 1\nlocal: {model: mine}\n")
    # the user's own shadows the shipped one
    assert find_profile("offline", environment(tmp_path)) == folder / "offline.yaml"
    assert find_profile(str(folder / "x.yaml"), environment(tmp_path)) == folder / "x.yaml"
    policy = merge_policy(Flags(), environment(tmp_path, HYBRID_PROFILE="cloud"))
    assert (policy.profile, policy.mode) == ("cloud", "force")
    assert policy.decided_by == "profile `cloud`"
    policy = merge_policy(Flags(profile="default"), environment(tmp_path, HYBRID_ESCALATION="ask"))
    assert (policy.mode, policy.decided_by) == ("ask", "HYBRID_ESCALATION")


def test_flags_change_only_what_they_name(tmp_path: Path) -> None:
    plain = merge_policy(Flags(), environment(tmp_path))
    flagged = merge_policy(Flags(max_tokens=9, seconds=2.0, temperature=0.5), environment(tmp_path))
    assert flagged.local.sampling.max_tokens == 9
    assert flagged.local.sampling.repeat_penalty == plain.local.sampling.repeat_penalty
    assert (plain.limits.seconds, flagged.limits.seconds) == (600, 2.0)
    assert merge_policy(Flags(seconds=9000.0), environment(tmp_path)).limits.seconds == 600  # the lower limit
    assert (plain.cloud_temperature, flagged.cloud_temperature) == (None, 0.5)


SCHEMA = shipped_folder() / "profile.schema.json"


def test_the_schema_file_is_generated_from_the_code(hybrid: Hybrid) -> None:
    assert json.loads(hybrid("profile", "schema").stdout) == json_schema()
    assert json.loads(SCHEMA.read_text()) == json_schema(), "run: python docs/generator"


@pytest.mark.parametrize("path", sorted(shipped_folder().glob("*.yaml")), ids=lambda path: path.stem)
def test_jsonschema_accepts_every_shipped_profile(path: Path) -> None:
    first, *_ = path.read_text().splitlines()
    assert first == f"# yaml-language-server: $schema={SCHEMA.name}"
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.validate(yaml.safe_load(path.read_text()), json_schema())


@pytest.mark.parametrize(
    "text",
    [
        "version: 2",
        "version: 1\nzzz: 1",
        "version: 1\nescalation: {mode: never}",
        "version: 1\nescalation: {target: {threshold: 0.1, wrong_at_most: 0.2}}",
        "version: 1\nescalation: {rules: [{when: {}, then: forbid}]}",
        "version: 1\ncloud: {base_url: 'https://x.example', model: m, key: {env: A, file: b}}",
        "version: 1\nlimits: {seconds: 0}",
    ],
)
def test_jsonschema_and_the_loader_refuse_the_same(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    assert read_profile(path).mistakes
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), json_schema())


def test_mistakes_in_lists_keep_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "version: 1\n"
        "escalation:\n"
        "  rules:\n"
        "    - {when: {matches: '(?=x)'}, then: force}\n"
        "    - {when: {secret: true}, then: forbid}\n"
        "    - {when: {tokens_ovr: 5}, then: force}\n"
        "    - {when: {tags: [a]}, then: maybe}\n"
        "    - {when: {}, then: force}\n"
        "  target: {threshold: 0.1, wrong_at_most: 0.1}\n"
    )
    mistakes = [mistake.removeprefix(f"{path}:") for mistake in read_profile(path).mistakes]
    assert [mistake.split(":")[0] for mistake in mistakes] == list("46789")
    assert "escalation.rules.0.when.matches: RE2 cannot read this pattern" in mistakes[0]
    assert "escalation.rules.2.when.tokens_ovr: unknown key; did you mean `tokens_over`?" in mistakes[1]
    assert "escalation.rules.3.then: unknown value `maybe`; use " in mistakes[2]


def test_a_profile_overrides_values_of_the_one_it_extends(tmp_path: Path) -> None:
    (tmp_path / "config" / "profiles").mkdir(parents=True)
    (tmp_path / "config" / "profiles" / "house.yaml").write_text(
        "version: 1\n"
        "local: {model: ./house.gguf, sampling: {seed: 7, temperature: 0.5}}\n"
        "cloud: {base_url: 'https://a.example', model: a, key: {file: a.key}}\n"
        "limits: {seconds: 10}\n"
    )
    own = tmp_path / "own.yaml"
    own.write_text(
        "version: 1\nextends: house\nlocal: {sampling: {temperature: 1.0}}\nlimits: {seconds: 99}\n"
    )
    policy = merge_policy(Flags(profile=str(own)), environment(tmp_path))
    house = tmp_path / "config" / "profiles"
    assert policy.local.model == str(house / "house.gguf")  # relative to the file that says it
    assert (policy.local.sampling.seed, policy.local.sampling.temperature) == (7, 1.0)
    assert policy.limits.seconds == 99
    assert policy.cloud is not None
    assert policy.cloud.key is not None
    assert policy.cloud.key.file == str(house / "a.key")
    own.write_text("version: 1\nextends: house\ncloud: {base_url: 'https://b.example', model: b}\n")
    other = merge_policy(Flags(profile=str(own)), environment(tmp_path)).cloud
    assert other is not None
    assert other.key is None  # a key never meets another origin


def test_a_profile_of_ones_own_extends_the_shipped_one_of_its_name(tmp_path: Path) -> None:
    own = tmp_path / "config" / "profiles" / "offline.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("version: 1\nextends: offline\nlocal: {sampling: {seed: 5}}\n")
    policy = merge_policy(Flags(profile="offline"), environment(tmp_path))
    assert (policy.mode, policy.local.sampling.seed) == ("forbid", 5)


@pytest.mark.parametrize(
    ("name", "mode", "is_refused"),
    [
        ("offline", "auto", True),
        ("offline", "ask", True),
        ("offline", "forbid", False),
        ("private", "force", True),
        ("private", "forbid", False),
        ("default", "force", False),
        ("work", "force", False),
    ],
)
def test_no_file_loosens_what_a_shipped_profiles_name_promises(
    tmp_path: Path, name: str, mode: str, is_refused: bool
) -> None:
    own = tmp_path / "config" / "profiles" / f"{name}.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(f"version: 1\ncloud: {{use: ollama, model: m}}\nescalation: {{mode: {mode}}}\n")
    if not is_refused:
        assert merge_policy(Flags(profile=name), environment(tmp_path)).mode == mode
        return
    with pytest.raises(Failure, match=f"takes the place of the shipped profile `{name}`, whose mode is"):
        merge_policy(Flags(profile=name), environment(tmp_path))


def test_circular_extends_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("version: 1\nextends: ./b.yaml\n")
    (tmp_path / "b.yaml").write_text("version: 1\nextends: ./a.yaml\n")
    with pytest.raises(Failure, match="extends itself"):
        merge_policy(Flags(profile=str(tmp_path / "a.yaml")), environment(tmp_path))
    (tmp_path / "c.yaml").write_text("version: 1\nextends: nothing-here\n")
    with pytest.raises(Failure, match="no profile `nothing-here`"):
        merge_policy(Flags(profile=str(tmp_path / "c.yaml")), environment(tmp_path))


WORDS = st.sampled_from(
    [
        "version",
        "escalation",
        "mode",
        "forbid",
        "auto",
        "force",
        "ask",
        "limits",
        "seconds",
        "cloud",
        "base_url",
        "https://x.example",
        "model",
        "key",
        "rules",
        "when",
        "then",
        "secret",
        "true",
        "off",
        "null",
        "1",
        "0",
        "-1",
        ".5",
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        "-",
        "&",
        "*",
        "!",
        "?",
        "|",
        ">",
        "#",
        "'",
        '"',
        "\n",
        "\t",
        "~",
        "%",
        "@",
    ]
)


@given(st.one_of(st.binary(max_size=200), st.lists(WORDS, max_size=40).map(lambda w: " ".join(w).encode())))
@settings(max_examples=400)
def test_no_file_hangs_the_loader_or_loosens_the_policy(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ".hybrid.yaml"
        for text in (data, b"version: 1\n" + data):
            path.write_bytes(text)
            started = time.monotonic()
            checked = read_profile(path)
            assert time.monotonic() - started < 5  # said as 1 s for a machine with nothing else to do
            if checked.mistakes:
                continue
            project = Layer("project", checked.data, path, is_project=True)
            try:
                values = merge([project])
            except Failure as failure:
                assert failure.status is ExitStatus.DENIED
                continue
            empty = merge([])
            for key, strictness in STRICT.items():
                assert strictness(values[key].value) >= strictness(empty[key].value)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 250_000,
        b"{a: " * 60_000,
        b"a: &a [" + b"*a, " * 60_000 + b"]",
        b"- " * 120_000,
        b"? " * 120_000,
        b"a: |\n" + b" x\n" * 80_000,
        b"'" * 255_000,
        b"\xef\xbb\xbf" * 80_000,
        b"version: " + b"9" * 250_000,
    ],
)
def test_a_large_hostile_file_is_refused_at_once(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(text)
    started = time.monotonic()
    assert read_profile(path).mistakes
    assert time.monotonic() - started < 5


PHONES = "privacy:\n  redact: [phone]\n  country: {}\n"


def test_a_country_without_the_extra_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phonenumbers", None)  # as if it was not installed
    path = tmp_path / "p.yaml"
    path.write_text("version: 1\n" + PHONES.format("DE"))
    assert read_profile(path).mistakes == [
        f"{path}:4: privacy.country: needs the pii extra; run: pip install 'hybrid-cli[pii]'"
    ]
    with pytest.raises(Failure) as failure:
        merge_policy(Flags(profile=str(path)), environment(tmp_path))
    assert failure.value.status is ExitStatus.USAGE
    with pytest.raises(ImportError):  # and if it disappears later, the scan fails, and nothing leaves
        find("Ruf 030 901820 an", ["phone"], "DE")


@pytest.mark.parametrize(
    ("country", "told"), [("UK", "; did you mean `GB`?"), ("XX", ""), ("GB", None), ("DE", None)]
)
def test_a_country_that_no_telephone_number_has_is_refused(
    tmp_path: Path, country: str, told: str | None
) -> None:
    pytest.importorskip("phonenumbers")
    path = tmp_path / "p.yaml"
    path.write_text("version: 1\n" + PHONES.format(country))
    message = f"{path}:4: privacy.country: `{country}` is no country code of ISO 3166{told}"
    assert read_profile(path).mistakes == ([] if told is None else [message])
