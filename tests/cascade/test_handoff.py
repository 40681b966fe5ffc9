"""Keep or hand off, with the real local model and two clouds on loopback: a real model and a scripted one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pexpect
import pytest

from hybrid_cli.gate.calibration import Promise
from hybrid_process import HELLO, Hybrid, environment
from made_rows import made_calibration
from scripted_cloud import Reply, ScriptedCloud

Profile = Callable[..., Path]
UNSURE = "escalation: {target: {threshold: 0.99}}\n"
SURE = "escalation: {target: {threshold: 0.01}}\n"
KEY = "sk-canary-0123456789abcdef"
SOON = {"Retry-After-Ms": "20"}  # else the SDK waits by its own, random measure


def test_handoff_to_a_real_model(hybrid: Hybrid, model_server: str, profile: Profile) -> None:
    path = profile(f'cloud: {{base_url: "{model_server}/v1", model: smollm2}}\n{UNSURE}')
    done = hybrid("run", "-p", path, "--json", *HELLO, HYBRID_CONSENT=model_server)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["answered_by"] == "cloud"
    assert answer["answer"]
    assert answer["model"] == "smollm2"
    assert answer["handoff"]["decision"] == "escalated"
    assert answer["handoff"]["reason"] == "unsure"
    assert answer["handoff"]["confidence"] < answer["handoff"]["threshold"] == 0.99
    assert answer["usage"]["local"]["out"] > 0
    assert answer["finish_reason"] == "stop"
    (told,) = [
        line for line in done.stderr.decode().splitlines() if "handed off" in line
    ]  # waits are told, too
    assert told.startswith("hybrid: handed off to smollm2: unsure (0.")
    assert told.endswith(" < 0.99)")


def test_a_confident_answer_is_kept_and_nothing_is_sent(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    done = hybrid("run", "-p", profile(cloud.section() + SURE), *HELLO, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stderr, cloud.received) == (0, b"", [])
    assert b"Hello" in done.stdout


def test_only_the_prompt_is_sent(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    (tmp_path / "key").chmod(0o600)
    path = profile(cloud.section(", key: {file: key}") + "escalation: {mode: force}\n")
    done = hybrid(
        *("run", "-p", path, "-s", "Be brief.", "--max-tokens", "50", "Sum it up."),
        stdin=b"A long text.\n",
        HYBRID_CONSENT=f"https://api.example.com, {cloud.origin}",
        OPENAI_CUSTOM_HEADERS="x-smuggled: yes",
        OPENAI_ORG_ID="org-smuggled",
        OPENAI_API_KEY="sk-smuggled",
        OPENAI_BASE_URL="http://127.0.0.1:9/v1",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"The cloud says hello.\n"
    (request,) = cloud.received
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert not any("smuggled" in value for value in request.headers.values())
    assert not any("smuggled" in name for name in request.headers)
    assert request.body == {
        "model": "scripted",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "A long text.\n\nSum it up."},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 50,
    }


def test_without_a_key_no_authorization_is_sent(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    path = profile(cloud.section() + "escalation: {mode: force}\n")
    done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin, OPENAI_API_KEY=KEY)
    assert done.returncode == 0
    assert "authorization" not in cloud.received[0].headers


def test_a_forced_handoff_as_json(hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile) -> None:
    section = cloud.section(", prices: {input: 1.0, output: 10.0}")
    path = profile(section + "escalation: {mode: force}\n")
    answer = json.loads(hybrid("run", "-p", path, "--json", "hi", HYBRID_CONSENT=cloud.origin).stdout)
    assert answer["answer"] == "The cloud says hello."
    assert answer["handoff"]["reason"] == "forced"
    assert answer["usage"] == {"local": {"in": 0, "out": 0}, "cloud": {"in": 7, "out": 3}}
    assert answer["cost_usd"] == pytest.approx(0.000037)
    assert answer["timings"]["load"] is None


def test_force_never_touches_the_weights(
    hybrid: Hybrid, home: Path, cloud: ScriptedCloud, profile: Profile
) -> None:
    (home / "data").unlink()
    path = profile(cloud.section() + "escalation: {mode: force}\n")
    done = hybrid("run", "-p", path, "-m", "no-such-model", "hi", HYBRID_CONSENT=cloud.origin)
    assert done.returncode == 0
    assert not (home / "data").exists()


@pytest.mark.parametrize(
    ("mode", "reason", "prompt", "stdin"),
    [
        ("auto", "context", "Sum it up.", b"word " * 9000),
        ("auto", "check_failed", "Write a long story about a fox.", None),
        ("auto", "unavailable", "hi", None),
    ],
)
def test_each_reason_to_hand_off(
    hybrid: Hybrid,
    home: Path,
    cloud: ScriptedCloud,
    profile: Profile,
    mode: str,
    reason: str,
    prompt: str,
    stdin: bytes | None,
) -> None:
    if reason == "unavailable":
        (home / "data").unlink()
    path = profile(cloud.section() + SURE)
    arguments = ("run", "-p", path, "--escalation", mode, "--max-tokens", "8", "--json", prompt)
    done = hybrid(*arguments, stdin=stdin, HYBRID_CONSENT=cloud.origin)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["answered_by"] == "cloud"
    assert answer["handoff"]["reason"] == reason
    assert done.stderr.startswith(b"hybrid: handed off to scripted: ")


@pytest.mark.parametrize(("on_denied", "code"), [("answer", 0), ("fail", 3)])
@pytest.mark.parametrize(("has_cloud", "why"), [(False, "sets no cloud"), (True, "no consent")])
def test_a_denied_handoff(
    hybrid: Hybrid,
    cloud: ScriptedCloud,
    profile: Profile,
    on_denied: str,
    code: int,
    has_cloud: bool,
    why: str,
) -> None:
    escalation = f"escalation: {{on_denied: {on_denied}, target: {{threshold: 0.99}}}}\n"
    path = profile((cloud.section() if has_cloud else "") + escalation)
    done = hybrid("run", "-p", path, "--json", *HELLO)
    assert (done.returncode, cloud.received) == (code, [])
    assert why in done.stderr.decode()
    if code == 0:
        answer = json.loads(done.stdout)
        assert (answer["answered_by"], answer["handoff"]["decision"]) == ("local", "denied")
        assert answer["handoff"]["reason"] == "unsure"
    else:
        assert done.stdout == b""


@pytest.mark.parametrize("mode", ["force", "auto"])
def test_forbid_overrides_every_other_layer(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, mode: str
) -> None:
    path = profile(cloud.section() + f"escalation: {{mode: {mode}, target: {{threshold: 0.99}}}}\n")
    for arguments, variables in (
        (("--escalation", "forbid"), {}),
        ((), {"HYBRID_ESCALATION": "forbid"}),
    ):
        done = hybrid("run", "-p", path, *arguments, *HELLO, HYBRID_CONSENT=cloud.origin, **variables)
        assert cloud.received == []
        if mode == "force":
            assert (done.returncode, done.stdout) == (3, b"")
        else:
            assert done.returncode == 0
            assert b"forbids handoffs" in done.stderr
    done = hybrid("run", "-p", "offline", "--escalation", "force", "hi")
    assert done.returncode == 3
    assert b"profile `offline` forbids escalation" in done.stderr


def test_force_without_consent_is_denied(hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile) -> None:
    path = profile(cloud.section() + "escalation: {mode: force}\n")
    done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT="http://127.0.0.1:1")
    assert (done.returncode, done.stdout, cloud.received) == (3, b"", [])
    assert f"hybrid consent grant {cloud.origin}" in done.stderr.decode()
    assert hybrid("consent", "grant", f"{cloud.origin}/v1").returncode == 0
    assert hybrid("consent", "ls").stdout.decode() == f"{cloud.origin}\t*\n"
    assert hybrid("run", "-p", path, "hi").returncode == 0
    assert hybrid("consent", "revoke", cloud.origin).returncode == 0
    assert hybrid("run", "-p", path, "hi").returncode == 3
    assert hybrid("consent", "revoke", cloud.origin).returncode == 2


@pytest.mark.parametrize(
    ("replies", "code", "told", "requests"),
    [
        ([Reply(status=401)], 4, "refused the key: 401 (scripted)", 1),
        ([Reply(status=403)], 4, "refused the key: 403", 1),
        ([Reply(status=400)], 1, "refused the request: 400", 1),
        ([Reply(status=404)], 1, "is `scripted` one of its models?", 1),
        ([Reply(status=429, headers=SOON)], 5, "limits the rate: 429", 3),
        ([Reply(status=500, headers=SOON)], 5, "is failing: 500", 3),
        ([Reply(status=503, headers=SOON), Reply()], 0, "handed off", 2),
        ([Reply(status=307, headers={"Location": "/elsewhere"})], 5, "redirect (307)", 1),
        ([Reply(fault="cut")], 5, "stream was cut", 1),
        ([Reply(fault="corrupt")], 5, "cannot be read", 1),
        ([Reply(finish_reason=None, usage=None)], 5, "stream was cut", 1),
        ([Reply(finish_reason=None)], 0, "it looks complete", 1),
        ([Reply(finish_reason="length")], 7, "was cut; raise cloud.max_tokens or --max-tokens", 2),
        ([Reply(finish_reason="content_filter")], 7, "withheld", 1),
        ([Reply(pieces=(" ", "\n"))], 7, "is empty", 1),
    ],
)
def test_cloud_faults(
    hybrid: Hybrid,
    cloud: ScriptedCloud,
    profile: Profile,
    replies: list[Reply],
    code: int,
    told: str,
    requests: int,
) -> None:
    cloud.replies = replies
    path = profile(cloud.section(", key: {env: CANARY}") + "escalation: {mode: force}\n")
    done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin, CANARY=KEY)
    assert done.returncode == code
    assert told in done.stderr.decode()
    assert len(cloud.received) == requests
    assert (done.stdout == b"") == (code != 0)
    assert KEY.encode() not in done.stderr
    lines = [line for line in done.stderr.splitlines() if b"waiting for" not in line]  # said after 2 s
    says_more = told.startswith(("was cut", "it looks"))  # asked for once more; or accepted with a note
    assert len(lines) == (1 if code == 0 else 2) + says_more


def test_a_stalled_cloud_ends_at_the_deadline(hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile) -> None:
    cloud.replies = [Reply(fault="stall")]
    path = profile(cloud.section() + "escalation: {mode: force}\nlimits: {seconds: 4}\n")
    started = time.monotonic()
    done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout) == (124, b"")
    assert time.monotonic() - started < 20
    assert b"deadline" in done.stderr


def test_an_unreachable_cloud(hybrid: Hybrid, profile: Profile) -> None:
    path = profile('cloud: {base_url: "http://127.0.0.1:9/v1", model: m}\nescalation: {mode: force}\n')
    done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT="http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (5, b"")
    assert b"cannot be reached" in done.stderr


@pytest.mark.parametrize(("on_failure", "code"), [("answer", 0), ("fail", 5)])
def test_on_cloud_failure_after_a_local_answer(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, on_failure: str, code: int
) -> None:
    cloud.replies = [Reply(fault="cut")]
    escalation = f"escalation: {{on_cloud_failure: {on_failure}, target: {{threshold: 0.99}}}}\n"
    path = profile(cloud.section() + escalation)
    done = hybrid("run", "-v", "-p", path, *HELLO, HYBRID_CONSENT=cloud.origin)
    assert done.returncode == code
    assert (b"Hello" in done.stdout) == (code == 0)
    used = b"used the local answer, because the handoff failed (confidence 0."
    assert (used in done.stderr) == (code == 0)
    assert b"stream was cut" in done.stderr


@pytest.mark.parametrize(
    "reply", [Reply(fault="cut"), Reply(finish_reason="length"), Reply(pieces=("No JSON.",))], ids=str
)
def test_a_local_answer_after_a_charged_failure_names_the_cost(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, reply: Reply
) -> None:
    cloud.replies = [reply]
    path = profile(
        cloud.section(", prices: {input: 1, output: 10}, retries: 0")
        + "escalation: {on_cloud_failure: answer, target: {threshold: 0.999999}}\n"
    )
    schema = ("--schema", '{"enum": ["yes", "no"]}')
    done = hybrid("run", "-p", path, "--json", *schema, *HELLO, HYBRID_CONSENT=cloud.origin)
    answer = json.loads(done.stdout)
    assert (answer["answered_by"], answer["cost_is_estimate"]) == ("local", True)
    spent = json.loads(hybrid("usage", "--json").stdout)["total"]["usd"]
    assert answer["cost_usd"] == pytest.approx(spent)
    assert spent > 0


WHATEVER_FAILS = {
    "no key": (
        "",
        [Reply()],
        4,
        "not handed off: no API key: CANARY is not set; export it, or set cloud.key",
    ),
    "key refused": (
        KEY,
        [Reply(401)],
        4,
        "the handoff failed: the cloud at {} refused the key: 401 (scripted); check",
    ),
    "no budget": (KEY, [Reply()], 8, "not handed off: limits.calls_per_run is 0"),
    "no cloud": (KEY, [Reply(status=400)], 1, "the handoff failed: the cloud at {} refused the request: 400"),
    "cut": (KEY, [Reply(finish_reason="length")], 7, "the handoff failed: the cloud's answer was cut"),
}


@pytest.mark.parametrize("name", WHATEVER_FAILS)
def test_the_default_profile_keeps_the_local_answer_whatever_fails(
    name: str, hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    """And `ci` ends with the code of the failure, which the message names just the same."""
    key, cloud.replies, code, told = WHATEVER_FAILS[name]
    section = cloud.section(", key: {env: CANARY}, prices: {input: 0, output: 0}")
    limits = "limits: {calls_per_run: 0}\n" if name == "no budget" else ""
    for base, expected in (("default", 0), ("ci", code)):
        path = profile(f"extends: {base}\n{section}escalation: {{target: {{threshold: 0.99}}}}\n{limits}")
        done = hybrid("run", "-p", path, *HELLO, HYBRID_CONSENT=cloud.origin, CANARY=key)
        assert (done.returncode, b"Hello" in done.stdout) == (expected, expected == 0), done.stderr
        message = told.format(f"{cloud.origin}/v1")
        last = done.stderr.decode().splitlines()[-1]
        if base == "default":
            assert last.startswith("hybrid: the local answer is unsure (0.")
            assert message in last
        else:
            assert message.partition(": ")[2] in last


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("{env: NO_SUCH_KEY}", "no API key: NO_SUCH_KEY is not set"),
        ("{file: missing}", "cannot be read"),
        ("{file: open}", "chmod 600"),
        ("{file: odd}", "contains spaces or line breaks"),
        ("{file: quotes}", "contains characters that no key has; look for typographic quotes"),
        ("{file: bearer}", "begins with `Bearer`, which hybrid adds itself"),
        ("{file: utf16}", "is not UTF-8"),
        ("{command: ['false']}", "the key command false exited with code 1"),
        ("{command: [no-such-command]}", "No such file"),
        ("{command: ['true']}", "no API key: the command true printed nothing"),
    ],
)
def test_a_key_that_cannot_be_read(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, tmp_path: Path, key: str, told: str
) -> None:
    (tmp_path / "open").write_text(KEY)
    for name, content in (
        ("odd", f"{KEY}\nsecond line\n".encode()),
        ("quotes", f"“{KEY}”".encode()),
        ("bearer", f"Bearer {KEY}".encode()),
        ("utf16", f"{KEY}\r\n".encode("utf-16")),
    ):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    path = profile(cloud.section(f", key: {key}") + "escalation: {mode: force}\n")
    done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout, cloud.received) == (4, b"", [])
    (line,) = done.stderr.decode().splitlines()
    assert told in line
    assert KEY not in line


def test_a_key_command(hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile) -> None:
    path = profile(cloud.section(f", key: {{command: [echo, {KEY}]}}") + "escalation: {mode: force}\n")
    assert hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin).returncode == 0
    assert cloud.received[0].headers["authorization"] == f"Bearer {KEY}"


def test_dry_run_sends_nothing_and_loads_nothing(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    path = profile(cloud.section(", key: {env: CANARY}") + UNSURE)
    done = hybrid("run", "-p", path, "--dry-run", "hi", HYBRID_CONSENT=cloud.origin, CANARY=KEY)
    assert (done.returncode, done.stdout, cloud.received) == (0, b"", [])
    told = done.stderr.decode()
    assert "scripted at http://127.0.0.1" in told
    assert "the variable CANARY" in told
    assert "below confidence 0.99" in told
    assert KEY not in told


def test_a_cloud_answer_streams_and_keeps_stdout_clean(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    cloud.replies = [Reply(pieces=("\n one\x1b[31m", " two\x07"), fault="cut")]
    path = profile(cloud.section() + "escalation: {mode: force}\n")
    done = hybrid("run", "-p", path, "--stream", "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout) == (5, b"one\n")
    cloud.replies = [Reply(pieces=("\n one\x1b[31m", " two\x07"))]
    done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout) == (0, b"one two\n")


def test_runner_commands_in_answers_are_escaped(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    path = profile(cloud.section() + "escalation: {mode: force}\n")
    said = "a\n ::error::x\nb ##vso[task]y\n##[group]z"
    cloud.replies = [Reply(pieces=(said[:4], said[4:]))]
    broken = b"a\n \\::error::x\nb #\\#vso[task]y\n#\\#[group]z\n"
    for variables, options, shown in (
        ({"CI": "true"}, ("--stream",), broken),
        ({"TF_BUILD": "True"}, (), broken),
        ({"CI": "true"}, ("--raw",), f"{said}\n".encode()),
        ({}, (), f"{said}\n".encode()),
    ):
        done = hybrid("run", "-p", path, *options, "hi", HYBRID_CONSENT=cloud.origin, **variables)
        assert done.stdout == shown, done.stderr


def test_an_answer_is_whole_if_the_user_may_still_say_no(
    command: str, home: Path, model_file: Path, cloud: ScriptedCloud, profile: Profile
) -> None:
    """A calibration would give every answer up after 8 tokens; without consent a question comes first."""
    calibration = made_calibration(
        model_file.stem, Promise("escalate_at_most", 0.3, 0.0, early=[0.0, 0.0, 0.0])
    )
    folder = home / "config" / "calibrations"
    folder.mkdir(parents=True)
    (folder / "all.json").write_bytes(msgspec.json.encode(calibration))
    path = profile(cloud.section() + "escalation: {target: {escalate_at_most: 0.3}}\n")
    child = pexpect.spawn(
        command,
        ["run", "-p", str(path), "--max-tokens", "24", "What is 2+2?"],
        env=environment(home, TERM="xterm"),
        timeout=60,
        encoding="utf-8",
    )
    child.expect(r"\[y/N\] ")
    child.sendline("n")
    child.expect("you declined")
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, cloud.received) == (0, [])
