"""Hostile files, folders, servers and shell habits do no harm."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from hybrid_cli.cloud.streams import gather
from hybrid_cli.exit_status import Failure
from hybrid_cli.profile.cloud_section import Server
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.ui.sanitize import one_line, shorten
from hybrid_cli.weights.catalog import SMALL
from hybrid_process import HELLO, Hybrid, environment
from scripted_cloud import Reply, ScriptedCloud

Profile = Callable[..., Path]
FORCE = "escalation: {mode: force}\n"


def test_pull_imports_nothing_from_the_working_folder(installed: Hybrid, tmp_path: Path) -> None:
    for name in ("re", "pip", "json", "subprocess"):
        (tmp_path / f"{name}.py").write_text("open('PWNED', 'w').write('x')\nraise SystemExit(3)\n")
    home = tmp_path / "fresh"
    done = installed("pull", SMALL, cwd=tmp_path, HYBRID_HOME=str(home))
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "PWNED").exists()


@pytest.mark.parametrize(
    "limits", ["calls_per_day: 0", "usd_per_run: 0", "usd_per_day: 0", "calls_per_run: 0"]
)
def test_a_limit_of_zero_sends_nothing(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, limits: str
) -> None:
    section = cloud.section(", prices: {input: 1, output: 1}")
    path = profile(f"{section}{FORCE}limits: {{{limits}}}\n")
    done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout, cloud.received) == (8, b"", [])


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_no_proxy_sees_requests_to_loopback(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, name: str
) -> None:
    with ScriptedCloud() as proxy:
        path = profile(cloud.section() + FORCE)
        done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin, **{name: proxy.origin})
        assert (done.returncode, len(cloud.received), proxy.received) == (0, 1, [])


@pytest.mark.parametrize("model", ['"*"', '"m1\\n*"', '"m\\u0007"'])
def test_no_model_name_is_a_wildcard(hybrid: Hybrid, profile: Profile, model: str) -> None:
    path = profile(f"cloud: {{base_url: 'https://x.example', model: {model}}}\n{FORCE}")
    done = hybrid("run", "-p", path, "hi")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"cloud.model" in done.stderr


@pytest.mark.parametrize("kind", ["dangling link", "folder", "named pipe"])
def test_an_unreadable_layer_is_an_error(hybrid: Hybrid, home: Path, kind: str) -> None:
    path = home / "config" / "profile.yaml"
    path.parent.mkdir()
    {
        "dangling link": lambda: path.symlink_to("/nonexistent"),
        "folder": path.mkdir,
        "named pipe": lambda: os.mkfifo(path),
    }[kind]()
    done = hybrid("run", "--dry-run", "hi", timeout=20)
    assert done.returncode == 2
    assert str(path).encode() in done.stderr


def test_a_question_is_one_line_with_the_origin_first(
    command: str, home: Path, profile: Profile, cloud: ScriptedCloud
) -> None:
    model = "gpt-5 at https://api.openai.com? [y/N]" + " " * 120 + "\\u202e\\u200bx"
    path = profile(cloud.section().replace("scripted", f'"{model}"') + FORCE)
    child = pexpect.spawn(
        command,
        ["run", "-p", str(path), "hi"],
        env=environment(home),
        timeout=30,
        encoding="utf-8",
        dimensions=(24, 400),
    )
    child.expect(r"Send this prompt \(2 characters\) to (\S+), ")
    assert child.match is not None
    assert child.match[1] == cloud.origin
    child.expect(r"\[y/N\] $")
    assert "\u202e" not in child.before
    assert "\n" not in child.before.strip()
    child.sendline("n")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3


def test_trust_shows_the_settings_that_need_it(hybrid: Hybrid, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    (project / ".hybrid.yaml").write_text(
        "version: 1\n"
        "cloud: {base_url: 'https://evil.example', model: m, key: {command: [sh, -c, 'touch pwned']}}\n"
        "checks: {verify: [rm, -rf, x]}\n"
    )
    refused = hybrid("run", "hi", cwd=project).stderr.decode()
    trusted = hybrid("profile", "trust", cwd=project).stderr.decode()
    for told in (refused, trusted):
        assert "https://evil.example" in told
        assert "touch pwned" in told
        assert '["rm", "-rf", "x"]' in told


def test_force_under_ask_asks_and_never_answers_locally(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    path = profile(cloud.section() + "escalation: {mode: ask}\n")
    done = hybrid("run", "-p", path, "--escalation", "force", "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout, cloud.received) == (3, b"", [])
    assert b"requires confirmation for each handoff" in done.stderr


@pytest.mark.parametrize("reason", ["tool_calls", "function_call", "banana", 7])
def test_only_stop_is_the_end_of_an_answer(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, reason: object
) -> None:
    cloud.replies = [Reply(finish_reason=reason)]  # type: ignore[arg-type]  what a server may send
    done = hybrid("run", "-p", profile(cloud.section() + FORCE), "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout) == (7, b"")
    assert f"it ended with `{reason}`" in done.stderr.decode()


def test_a_file_full_of_mistakes_is_refused_quickly(hybrid: Hybrid, tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text("version: 1\n" + "".join(f"k{number}: 1\n" for number in range(15_000)))
    started = time.monotonic()
    done = hybrid("profile", "check", path)
    assert (done.returncode, len(done.stdout.splitlines())) == (2, 50)
    assert time.monotonic() - started < 30  # a second where nothing else runs; unbounded it took minutes


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        (101 * "{when: {secret: true}, then: forbid}, ", "must be a list of at most 100 entries"),
        ("{when: {matches: '\\pL{900}'}, then: forbid}", "RE2 cannot read this pattern"),
    ],
)
def test_rules_are_bounded(hybrid: Hybrid, profile: Profile, rules: str, told: str) -> None:
    done = hybrid("run", "-p", profile(f"escalation: {{rules: [{rules}]}}\n"), "hi")
    assert done.returncode == 2
    assert told in done.stderr.decode()


def test_a_profile_that_is_a_named_pipe_is_refused_at_once(hybrid: Hybrid, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.yaml")
    assert hybrid("run", "-p", tmp_path / "p.yaml", "hi", timeout=20).returncode == 2
    done = hybrid("profile", "check", tmp_path / "p.yaml", tmp_path / "none.yaml", timeout=20)
    assert (done.returncode, len(done.stdout.splitlines())) == (2, 2)


def test_output_to_dev_stdout_appends(command: str, home: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f'(echo first; "{command}" run -o /dev/stdout {shlex.join(HELLO)}; echo last) >> {log}'
    subprocess.run(["sh", "-c", script], stdin=subprocess.DEVNULL, env=environment(home), check=True)
    lines = log.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("first", "last")
    assert "Hello" in "".join(lines[1:-1])


def test_output_to_a_dash_is_stdout(hybrid: Hybrid, tmp_path: Path) -> None:
    done = hybrid("run", "-o", "-", *HELLO, cwd=tmp_path)
    assert b"Hello" in done.stdout
    assert list(tmp_path.glob("-")) == []


@pytest.mark.parametrize("tag", ["Private", " private ", "work,private"])
def test_tags_ignore_case_and_spaces(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, tag: str
) -> None:
    rules = "rules: [{when: {tags: [private]}, then: forbid}]"
    path = profile(cloud.section() + f"escalation: {{mode: force, {rules}}}\n")
    done = hybrid("run", "-p", path, "--tag", tag, "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, cloud.received) == (3, [])
    told = hybrid("run", "-p", path, "--dry-run", "--tag", "zebra", "hi").stderr
    assert b"no rule of the profile uses the tag `zebra`" in told


def test_version_on_a_full_disk(command: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"{command}" --version > /dev/full'], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, b"")


def test_an_empty_model(hybrid: Hybrid) -> None:
    done = hybrid("run", "-m", "", "hi")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"internal" not in done.stderr


def test_a_key_instead_of_its_variable_is_not_printed(hybrid: Hybrid, profile: Profile) -> None:
    path = profile("cloud: {base_url: 'https://x.example', model: m, key: {env: sk-LITERAL-KEY}}\n")
    done = hybrid("run", "-p", path, "hi")
    assert done.returncode == 2
    assert b"LITERAL" not in done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "https://\u0430pi.openai.com",
        "https://a b",
        "https://x.example/\r\nX-Evil: 1",
        "https://x.example/v1?x=1",
        "https://x.example/v1#f",
        "https://a\\x1b",
        "",
        "https://a..example",
        f"https://{'a' * 64}.example",
        f"https://{'a.' * 127}example",
    ],
)
def test_no_origin_looks_like_another(url: str) -> None:
    with pytest.raises(Failure):
        origin_of(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example.",
        "https://10.0.0.1",
        "https://[2001:db8::1]:8443",
        "http://localhost:1",
        "https://a_b",
    ],
)
def test_valid_origins(url: str) -> None:
    assert origin_of(f"{url}/v1/") == url


@pytest.mark.parametrize("words", ["*", "yes please", "api.openai.com"])
def test_an_invalid_origin_in_the_consent_variable_names_the_variable(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, words: str
) -> None:
    done = hybrid("run", "-p", profile(cloud.section() + FORCE), "hi", HYBRID_CONSENT=words)
    assert (done.returncode, cloud.received) == (2, [])
    assert done.stderr.startswith(b"hybrid: HYBRID_CONSENT: ")


def test_one_line_reveals_invisible_characters() -> None:
    assert one_line("a\nb\u202ec\u200bd\x1b[31m") == "a b\\u202ec\\u200bd [31m"
    assert one_line("Xin chào, 世界 😀") == "Xin chào, 世界 😀"
    assert shorten("x" * 100, 10) == "x" * 9 + "…"


def test_a_deleted_working_folder(command: str, home: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    script = f'mkdir {gone}; cd {gone}; rmdir {gone}; "{command}" run --json {shlex.join(HELLO)}'
    done = subprocess.run(
        ["sh", "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(home),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Hello" in json.loads(done.stdout)["answer"]


@pytest.mark.parametrize(
    ("sent", "made", "expected"),
    [
        (5, 3, (5, 3)),
        (-500_000, 3, (None, 3)),
        (5, -3, (5, None)),
        (5 * 10**21, 3, (None, 3)),
        (1e308, 3, (None, 3)),
        (True, None, (None, None)),
        ("5", [3], (5, None)),
    ],
)
def test_implausible_token_usage_of_a_server_is_ignored(
    sent: object, made: object, expected: tuple[object, object]
) -> None:
    usage = {
        "prompt_tokens": sent,
        "completion_tokens": made,
        "prompt_tokens_details": {"cached_tokens": 500_000},
        "completion_tokens_details": {"reasoning_tokens": -7},
    }
    end = {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}], "usage": usage}
    server = Server(base_url="http://127.0.0.1:1", model="m")
    reply = gather([end], server, lambda _text: None, lambda: None)
    assert (reply.tokens_in, reply.tokens_out) == expected
    assert 0 <= reply.cached <= (reply.tokens_in or 0)
    assert reply.reasoning == 0
    end["usage"] = {**usage, "prompt_tokens_details": "x", "completion_tokens_details": [1]}
    assert gather([end], server, lambda _text: None, lambda: None).cached == 0


def test_implausible_token_usage_does_not_change_the_budget(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    section = cloud.section(", prices: {input: 1, output: 2}")
    path = profile(
        f"{section}{FORCE}limits: {{usd_per_day: 1.0}}\nlocal: {{sampling: {{max_tokens: 100}}}}\n"
    )
    for claim in (
        {"prompt_tokens": -500_000, "completion_tokens": 3},
        {"prompt_tokens": 5, "completion_tokens": 9_000_000},
    ):
        cloud.replies = [Reply(usage=claim)]
        done = hybrid("run", "-p", path, "--json", "hi", HYBRID_CONSENT=cloud.origin)
        answer = json.loads(done.stdout)
        assert 0 < answer["cost_usd"] < 0.01
        assert answer["cost_is_estimate"]


def test_the_ledger_becomes_private_again(
    hybrid: Hybrid, home: Path, cloud: ScriptedCloud, profile: Profile
) -> None:
    path = profile(cloud.section() + FORCE)
    hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin)
    (ledger,) = (home / "state").glob("*.db")
    ledger.chmod(0o644)
    assert hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin).returncode == 0
    assert ledger.stat().st_mode & 0o777 == 0o600


def test_a_link_never_replaces_a_copy(hybrid: Hybrid, tmp_path: Path, model_file: Path) -> None:
    home, mine = tmp_path / "fresh", tmp_path / "mine.gguf"
    mine.write_bytes(model_file.read_bytes())

    def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        return hybrid(*arguments, HYBRID_HOME=str(home))

    assert run("pull", str(mine), "--name", "copied").returncode == 0
    assert run("models", "import", "--link", str(mine), "--name", "linked").returncode == 0
    mine.rename(tmp_path / "moved.gguf")
    assert run("models", "verify").returncode == 0
    (home / "data" / "models" / "copied.json").write_text("{")
    done = run("models", "verify")
    assert done.returncode == 6
    assert b"linked: verified" in done.stdout
    assert b"the record of copied is damaged" in done.stderr
