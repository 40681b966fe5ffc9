"""egress.send against servers that fail in every way, and the ledger's row for each failure."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fault_table import DOCUMENT, FAULTS, certified_cloud
from hybrid_cli.cloud.events import END
from hybrid_cli.cloud.payload import Call
from hybrid_cli.cloud.prices import cost as cost_of
from hybrid_cli.cloud.prices import is_guess as is_guess_of
from hybrid_cli.cloud.streams import Reply as Answered
from hybrid_cli.cloud.streams import gather
from hybrid_cli.egress.budget import used_by, worst_cost
from hybrid_cli.ledger.database import Ledger
from hybrid_cli.profile.cloud_section import Extra, Prices, Server
from hybrid_process import Hybrid
from raw_server import sending
from scripted_cloud import Reply, ScriptedCloud

Profile = Callable[..., Path]
FORCE = "escalation: {mode: force}\n"
SOON = {"Retry-After-Ms": "20"}


def outcomes(home: Path) -> list[str]:
    return [row["outcome"] for row in Ledger(home / "state").rows()]


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_has_its_documented_outcome(hybrid: Hybrid, tmp_path: Path, name: str) -> None:
    outcome = FAULTS[name](hybrid, tmp_path, name)
    assert outcome.line(name) in DOCUMENT.read_text(encoding="utf-8").splitlines()
    for row in Ledger(tmp_path / "state").rows():
        paid = row["cost"]
        assert {"refused": paid == 0, "unknown": paid is None, "answered": bool(paid)}[row["outcome"]]


def test_the_document_lists_all_faults() -> None:
    table = DOCUMENT.read_text(encoding="utf-8").partition("|---|---:|---|---|\n")[2].splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in table] == list(FAULTS)


def test_a_certificate_of_a_trusted_authority_is_accepted(
    hybrid: Hybrid, profile: Profile, tmp_path: Path
) -> None:
    with certified_cloud(tmp_path, "127.0.0.1", 30, True) as (cloud, known):
        path = profile(cloud.section(", retries: 0") + FORCE)
        done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin, SSL_CERT_FILE=str(known))
        assert (done.returncode, len(cloud.received)) == (0, 1), done.stderr


def test_the_ledger_records_the_sent_bytes(
    hybrid: Hybrid, home: Path, cloud: ScriptedCloud, profile: Profile
) -> None:
    extra = ", extra: {reasoning_effort: low, provider: {data_collection: deny, zdr: true}}"
    path = profile(cloud.section(extra) + FORCE)
    assert hybrid("run", "-p", path, "Grüße", HYBRID_CONSENT=cloud.origin).returncode == 0
    (row,), (request,) = Ledger(home / "state").rows(), cloud.received
    assert (row["bytes"], row["sha256"]) == (
        len(request.content),
        hashlib.sha256(request.content).hexdigest(),
    )
    assert request.body["reasoning_effort"] == "low"
    assert request.body["provider"] == {"data_collection": "deny", "zdr": True}
    plan = json.loads(hybrid("run", "-p", path, "--dry-run", "--json", "Grüße").stdout)
    assert plan["payload"].encode() == request.content
    assert plan["destination"] == f"{cloud.origin}/v1/chat/completions"


BROKEN = Reply(fault="reset")
PRICED = ", prices: {input: 1, output: 10}, max_tokens: 100"


@pytest.mark.parametrize(
    ("replies", "option", "limits", "code", "expected", "message"),
    [
        (
            [BROKEN, Reply()],
            "--json",
            "",
            0,
            ["unknown", "answered"],
            "(the server may charge both requests)",
        ),
        ([BROKEN], "--json", "", 5, ["unknown"] * 2, "closed the connection early"),
        (
            [BROKEN, Reply()],
            "--json",
            "{usd_per_run: 0.0015}",
            5,
            ["unknown"],
            "not sent again: limits.usd_per_run",
        ),
        (
            [BROKEN, Reply()],
            "--json",
            "{calls_per_run: 1}",
            5,
            ["unknown"],
            "not sent again: limits.calls_per_run",
        ),
        ([BROKEN, Reply()], "--stream", "", 5, ["unknown"], "closed the connection early"),
        ([Reply(fault="cut"), Reply()], "--json", "", 5, ["unknown"], "the stream was cut"),
    ],
)
def test_an_answer_that_broke_is_paid_for_and_asked_once_more(
    replies: list[Reply],
    option: str,
    limits: str,
    code: int,
    expected: list[str],
    message: str,
    hybrid: Hybrid,
    home: Path,
    cloud: ScriptedCloud,
    profile: Profile,
) -> None:
    cloud.replies = replies
    path = profile(cloud.section(PRICED) + FORCE + (f"limits: {limits}\n" if limits else ""))
    done = hybrid("run", "-v", "-p", path, option, "hi", HYBRID_CONSENT=cloud.origin)
    rows = Ledger(home / "state").rows()
    assert (done.returncode, [row["outcome"] for row in rows]) == (code, expected), done.stderr
    assert len(cloud.received) == len(rows)
    assert message in done.stderr.decode()
    assert b"hybrid:   The cloud\n" in done.stderr  # the text that was paid for
    if code == 0:
        answer = json.loads(done.stdout)
        assert answer["answer"] == "The cloud says hello."
        assert answer["cost_usd"] == pytest.approx(rows[0]["reserved"] + rows[1]["cost"])
        assert answer["cost_is_estimate"] is True


@pytest.mark.parametrize(("fault", "answered"), [(500, True), (429, True), (400, False), (401, False)])
@pytest.mark.parametrize("consent", [True, False])
def test_fallback_clouds(
    hybrid: Hybrid,
    home: Path,
    cloud: ScriptedCloud,
    profile: Profile,
    fault: int,
    answered: bool,
    consent: bool,
) -> None:
    cloud.replies = [Reply(status=fault)]
    with ScriptedCloud() as other:
        fallback = f'{{base_url: "{other.origin}/v1", model: second, key: {{env: OPENAI_SECOND_KEY}}}}'
        path = profile(cloud.section(f", retries: 0, fallbacks: [{fallback}]") + FORCE)
        origins = f"{cloud.origin},{other.origin}" if consent else cloud.origin
        done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=origins, OPENAI_SECOND_KEY="sk-second")
        went = answered and consent
        assert (done.returncode == 0, len(other.received)) == (went, int(went))
        assert len(cloud.received) == 1
        assert "authorization" not in cloud.received[0].headers
        plan = json.loads(
            hybrid("run", "-p", path, "--dry-run", "--json", "hi", HYBRID_CONSENT=origins).stdout
        )
        assert plan["fallbacks"] == f"second at {other.origin}" + ("" if consent else " (no consent)")
        if answered and not consent:
            assert f"not tried: second at {other.origin} (no consent)" in done.stderr.decode()
        if went:
            assert other.received[0].headers["authorization"] == "Bearer sk-second"
            assert outcomes(home)[1] == "answered"
            assert b"; trying second" in done.stderr


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"ALL_PROXY": "socks5://127.0.0.1:1"}, "the SOCKS proxy needs the package `socksio`"),
        ({"HTTPS_PROXY": "ftp://127.0.0.1"}, "HTTPS_PROXY, ALL_PROXY or NO_PROXY is not the URL of a proxy"),
        ({"HTTPS_PROXY": ":::"}, "HTTPS_PROXY, ALL_PROXY or NO_PROXY is not the URL of a proxy"),
        ({"SSL_CERT_FILE": "/no/such.pem"}, "SSL_CERT_FILE or SSL_CERT_DIR names no readable certificates"),
        ({"SSL_CERT_FILE": "/etc/passwd"}, "SSL_CERT_FILE or SSL_CERT_DIR names no readable certificates"),
    ],
)
def test_unusable_proxy_and_certificate_settings_are_errors(
    hybrid: Hybrid, home: Path, profile: Profile, variables: dict[str, str], told: str
) -> None:
    origin = "https://127.0.0.1:9"
    path = profile(f'cloud: {{base_url: "{origin}/v1", model: m}}\n{FORCE}')
    done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=origin, **variables)
    assert (done.returncode, done.stdout) == (5, b"")
    assert f"was not contacted: {told}" in done.stderr.decode() or told in done.stderr.decode()
    assert outcomes(home) == ["refused"]


def test_a_proxy_that_refuses_or_cannot_be_reached_is_named(hybrid: Hybrid, profile: Profile) -> None:
    origin = "https://api.example.test"
    path = profile(f'cloud: {{base_url: "{origin}/v1", model: m, retries: 0}}\n{FORCE}')
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with sending([refusal]) as proxy:
        for variables, told in (
            ({"HTTPS_PROXY": proxy.replace("//", "//user:hunter2@")}, "through the proxy in HTTPS_PROXY (407 Proxy Auth"),
            ({"all_proxy": "http://127.0.0.1:9"}, "through the proxy in all_proxy ([Errno 111]"),
            ({"HTTPS_PROXY": "http://no.such.host.test:1"}, "through the proxy in HTTPS_PROXY: the proxy's host name is"),
            ({"HTTPS_PROXY": proxy, "NO_PROXY": "::1,[::1],.test"}, "cannot be reached: its host name is unknown"),
        ):  # fmt: skip
            done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=origin, **variables)
            assert (done.returncode, done.stdout) == (5, b"")
            assert told in done.stderr.decode()
            assert b"hunter2" not in done.stderr


@pytest.mark.parametrize(
    ("asked", "served", "usd", "is_guess"),
    [
        ("flex", "flex", 0.0001375, False),
        ("flex", "default", 0.000275, False),
        ("priority", None, 0.000495, False),
        (None, "scale", 0.000275, True),
        (None, "default", 0.000275, False),
    ],
)
def test_a_service_tier_has_its_own_price(
    asked: str | None, served: str | None, usd: float, is_guess: bool
) -> None:
    server = Server(base_url="https://api.openai.com/v1", model="gpt-5-mini", extra=Extra(service_tier=asked))  # type: ignore[arg-type]
    call = Call(server, [{"role": "user", "content": "hi"}], 512)
    reply = Answered(text="hi", tokens_in=300, tokens_out=100, tier=served)
    used = used_by(call, reply)
    assert cost_of(server, used) == pytest.approx(usd)
    assert is_guess_of(server, used) is is_guess
    worst = worst_cost(call, len(call.content()))
    assert worst is not None
    assert worst >= 512 * 2e-6  # never by the cheap tier, which may not be had


ODD_COUNTS = [None, -1, 0, 1, 100, 10**7, 10**30, 1.5, math.nan, True, "7", [], {}]


def test_no_count_of_a_server_uses_up_the_budget() -> None:
    """Whatever it reports, a request costs at most a few times its reservation, and never less than nothing."""
    server = Server(base_url="https://host.example/v1", model="m", prices=Prices(input=1, output=1))
    call = Call(server, [{"role": "user", "content": "hi"}], 100)
    worst = worst_cost(call, len(call.readable()))
    assert worst is not None
    added = 50_000 / 1e6  # a system prompt of the server's own
    for given, answered, details in itertools.product(ODD_COUNTS, ODD_COUNTS, [None, -5, 10**9, math.nan]):
        usage = {
            "prompt_tokens": given,
            "completion_tokens": answered,
            "prompt_tokens_details": {"cached_tokens": details},
            "completion_tokens_details": {"reasoning_tokens": details},
        }
        choice = {"index": 0, "delta": {"content": "hello"}, "finish_reason": "stop"}
        events = [{"choices": [choice]}, {"choices": [], "usage": usage}, END]
        reply = gather(events, server, lambda _text: None, lambda: None)
        usd = cost_of(server, used_by(call, reply))
        assert usd is not None
        assert 0 <= usd <= 4 * worst + added, usage


def test_the_cost_of_an_unpriced_tier_is_an_estimate(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    path = profile(cloud.section(", prices: {input: 1, output: 2}, extra: {service_tier: flex}") + FORCE)
    done = hybrid("run", "-p", path, "--json", "hi", HYBRID_CONSENT=cloud.origin)
    assert json.loads(done.stdout)["cost_is_estimate"] is False
    cloud.tier = "default"
    done = hybrid("run", "-p", path, "--json", "hi", HYBRID_CONSENT=cloud.origin)
    assert json.loads(done.stdout)["cost_is_estimate"] is True
    assert cloud.received[0].body["service_tier"] == "flex"


@pytest.mark.parametrize("where", ["--stop", "--schema"])
def test_an_option_that_holds_the_cloud_key_is_blocked(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, where: str
) -> None:
    key = "plain-words"
    path = profile(cloud.section(", key: {env: CANARY}") + FORCE)
    given = key if where == "--stop" else json.dumps({"type": "object", "title": key})
    done = hybrid("run", "-p", path, where, given, "hi", HYBRID_CONSENT=cloud.origin, CANARY=key)
    assert (done.returncode, cloud.received) == (3, [])
    assert f"line 1 of {where} looks like the cloud's own key" in done.stderr.decode()


def test_the_handoff_notice_has_reason_and_maximum_cost(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    path = profile(cloud.section(", prices: {input: 1.0, output: 10.0}") + FORCE)
    done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin)
    assert re.match(rb"hybrid: handed off to scripted: forced, at most \$0\.02\d\d\n", done.stderr)


def _events(*more: dict[str, Any], text: str = "Rain.") -> tuple[dict[str, Any], ...]:
    usage = {"input_tokens": 50, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 0}}
    return (
        {"type": "response.created", "response": {}},
        *more,
        {"type": "response.output_text.delta", "delta": text},
        {"type": "response.completed", "response": {"model": "scripted-1", "usage": usage}},
    )


SEARCH = (
    {"type": "response.output_item.done", "item": {"type": "web_search_call"}},
    {
        "type": "response.output_text.annotation.added",
        "annotation": {"type": "url_citation", "title": "Weather", "url": "https://example.com/w"},
    },
)
TOOLS = ", api: responses, tools: [web_search, image_generation], prices: {input: 1.0, output: 10.0}"


def test_a_web_search_sends_only_its_argument(
    hybrid: Hybrid, home: Path, cloud: ScriptedCloud, profile: Profile
) -> None:
    cloud.replies = [Reply(events=_events(*SEARCH))]
    path = profile(cloud.section(TOOLS))
    arguments = ("--tool", "web_search", "-s", "The system.", "--json", "Weather in Oslo?")
    done = hybrid("run", "-p", path, *arguments, stdin=b"A private text.", HYBRID_CONSENT=cloud.origin)
    assert done.returncode == 0, done.stderr
    (request,) = cloud.received
    assert request.path == "/v1/responses"
    assert request.body["store"] is False
    assert request.body["tools"] == [{"type": "web_search"}]
    assert request.body["input"] == [{"role": "user", "content": "Weather in Oslo?"}]
    answer = json.loads(done.stdout)
    assert answer["answer"] == "Rain."
    assert answer["handoff"]["reason"] == "tool"
    assert answer["citations"] == [{"title": "Weather", "url": "https://example.com/w"}]
    assert answer["cost_usd"] == pytest.approx(50e-6 + 50e-6 + 0.01)
    assert b"source: Weather https://example.com/w" in done.stderr
    full = profile(cloud.section(TOOLS + ", tool_context: full"), "full.yaml")
    hybrid("run", "-p", full, *arguments, stdin=b"A private text.", HYBRID_CONSENT=cloud.origin)
    assert "A private text." in json.dumps(cloud.received[1].body)


def test_an_image_goes_to_a_file(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, tmp_path: Path
) -> None:
    image = b"\x89PNG\r\n\x1a\n\0\xff"
    item = {"type": "image_generation_call", "result": base64.b64encode(image).decode()}
    cloud.replies = [Reply(events=_events({"type": "response.output_item.done", "item": item}, text=""))]
    path = profile(cloud.section(TOOLS))
    arguments = ("run", "-p", path, "--tool", "image_generation", "A cat")
    done = hybrid(*arguments, "-o", tmp_path / "cat.png", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    assert (tmp_path / "cat.png").read_bytes() == image
    assert hybrid(*arguments, HYBRID_CONSENT=cloud.origin).stdout == image


def test_an_answer_without_the_requested_image_fails(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, tmp_path: Path
) -> None:
    cloud.replies = [Reply(events=_events(text="Here it is!"))]
    arguments = (
        "-p",
        profile(cloud.section(TOOLS)),
        "--tool",
        "image_generation",
        "-o",
        tmp_path / "cat.png",
    )
    done = hybrid("run", *arguments, "A cat", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout) == (7, b"")
    assert b"the cloud made no image, but said: Here it is!" in done.stderr
    assert not (tmp_path / "cat.png").exists()


def test_tool_calls_named_only_at_the_end_are_charged(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    *before, end = _events()
    search, message = {"type": "web_search_call"}, {"type": "message", "content": []}
    end["response"]["output"] = [search, search, message]
    cloud.replies = [Reply(events=(*before, end))]
    arguments = ("-p", profile(cloud.section(TOOLS)), "--tool", "web_search", "--json", "Weather?")
    done = hybrid("run", *arguments, HYBRID_CONSENT=cloud.origin)
    assert json.loads(done.stdout)["cost_usd"] == pytest.approx(50e-6 + 50e-6 + 0.02)
    end["response"]["output"] = [search, message]
    cloud.replies = [Reply(events=(*before, *SEARCH, end))]
    done = hybrid("run", *arguments, HYBRID_CONSENT=cloud.origin)
    assert json.loads(done.stdout)["cost_usd"] == pytest.approx(50e-6 + 50e-6 + 0.01)


@pytest.mark.parametrize(
    ("section", "rest", "told"),
    [
        ("", "", "does not offer web_search"),
        (TOOLS, "limits: {tools: [image_generation]}\n", "does not allow web_search"),
        (TOOLS, "escalation: {mode: forbid}\n", "forbids handoffs"),
        (
            TOOLS,
            "escalation: {rules: [{when: {tools: [web_search]}, then: local}]}\n",
            "keeps this prompt here",
        ),
    ],
)
def test_a_tool_that_is_not_allowed_is_an_error(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, section: str, rest: str, told: str
) -> None:
    path = profile(cloud.section(section) + rest)
    done = hybrid("run", "-p", path, "--tool", "web_search", "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout, cloud.received) == (3, b"", [])
    assert told in done.stderr.decode()


@pytest.mark.parametrize(
    ("event", "code", "told"),
    [
        ({"type": "response.failed", "response": {}}, 5, "reported an error in its stream"),
        (
            {
                "type": "response.incomplete",
                "response": {"incomplete_details": {"reason": "max_output_tokens"}},
            },
            7,
            "was cut",
        ),
        ({"type": "response.output_text.delta"}, 5, "cannot be read"),
        ({"no": "type"}, 5, "cannot be read"),
        ({"type": "response.in_progress"}, 5, "stream was cut"),
    ],
)
def test_responses_without_an_answer_fail(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, event: dict[str, Any], code: int, told: str
) -> None:
    cloud.replies = [Reply(events=(event,))]
    done = hybrid("run", "-p", profile(cloud.section(TOOLS) + FORCE), "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout) == (code, b"")
    assert told in done.stderr.decode()


def test_a_key_is_sent_only_to_its_origin(
    hybrid: Hybrid, home: Path, cloud: ScriptedCloud, profile: Profile, tmp_path: Path
) -> None:
    key = "sk-canary-" + "0a1b2c3d" * 4
    with ScriptedCloud() as other:
        fallback = f'{{base_url: "{other.origin}/v1", model: second}}'
        section = cloud.section(f", key: {{env: CANARY}}, retries: 1, fallbacks: [{fallback}]")
        path = profile(section + FORCE + "log: {prompts: true}\n")
        cloud.replies = [Reply(status=500, headers=SOON, body=key.encode())]
        consent = f"{cloud.origin},{other.origin}"
        done = hybrid("run", "-v", "-p", path, "hi", HYBRID_CONSENT=consent, CANARY=key, HYBRID_DEBUG="1")
        assert done.returncode == 0, done.stderr
        assert key not in str(other.received)
    assert [request.headers["authorization"] for request in cloud.received] == [f"Bearer {key}"] * 2
    assert key.encode() not in done.stdout + done.stderr
    kept = [path for path in home.rglob("*") if path.is_file() and "blobs" not in str(path)]
    assert any(path.name == "ledger.db" for path in kept)
    assert not any(key.encode() in path.read_bytes() for path in [*kept, *tmp_path.glob("*.yaml")])


def test_commands_never_see_a_key(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, tmp_path: Path
) -> None:
    """Scanner and verify command find no key in their variables, nor in those hybrid was started with."""
    seen, look = tmp_path / "seen", tmp_path / "look.sh"
    look.write_text(f"(env; cat /proc/$PPID/environ; echo looked) >> {seen}\necho '{{\"findings\": []}}'\n")
    other = '{base_url: "http://127.0.0.1:9/v1", model: f, key: {env: OTHERCLOUD}}'
    section = cloud.section(f", key: {{env: MYCLOUD}}, fallbacks: [{other}]")
    commands = f"checks: {{verify: [sh, {look}]}}\nprivacy: {{scanner: [sh, {look}]}}\n"
    path = profile(section + commands + FORCE)
    keys = {"MYCLOUD": "canary-key-1", "OTHERCLOUD": "canary-key-2"}
    done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin, **keys)
    assert done.returncode == 0, done.stderr
    assert seen.read_bytes().count(b"looked") == 2
    assert b"canary" not in seen.read_bytes()


CANARY = "ghp_" + "c4N4rY" * 6


@pytest.mark.parametrize("on_secret", ["forbid", "redact"])
@pytest.mark.parametrize("place", ["prompt", "stdin", "--system", "--schema", "--stop"])
def test_a_secret_appears_in_no_output_file_or_request(
    hybrid: Hybrid, home: Path, cloud: ScriptedCloud, profile: Profile, place: str, on_secret: str
) -> None:
    path = profile(cloud.section() + FORCE + f"privacy: {{on_secret: {on_secret}}}\nlog: {{prompts: true}}\n")
    text = json.dumps({"type": "object", "title": CANARY}) if place == "--schema" else f"see {CANARY} there"
    cloud.replies = [Reply(pieces=("{}",))]
    given = [] if place in ("prompt", "stdin") else [place, text]
    prompt = text if place == "prompt" else "hi"
    stdin = text.encode() if place == "stdin" else b""
    done = hybrid(
        "run", "-v", "-p", path, *given, prompt, stdin=stdin, HYBRID_CONSENT=cloud.origin, HYBRID_DEBUG="1"
    )
    expected = (0, 1) if on_secret == "redact" else (3, 0)  # noqa: S105  a word, no password
    assert (done.returncode, len(cloud.received)) == expected, done.stderr
    assert CANARY.encode() not in b"".join(request.content for request in cloud.received)
    assert CANARY.encode() not in done.stdout + done.stderr
    kept = [path for path in home.rglob("*") if path.is_file() and "blobs" not in str(path)]
    assert not any(CANARY.encode() in path.read_bytes() for path in kept)


def test_the_deadline_leaves_the_reservation(
    hybrid: Hybrid, home: Path, cloud: ScriptedCloud, profile: Profile
) -> None:
    cloud.replies = [Reply(fault="hang")]
    path = profile(cloud.section(", prices: {input: 1.0, output: 10.0}") + FORCE + "limits: {seconds: 5}\n")
    done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout) == (124, b"")
    assert [(row["outcome"], row["cost"]) for row in Ledger(home / "state").rows()] == [("unknown", None)]


def test_the_cloud_key_in_the_prompt_is_a_secret_in_any_form(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    path = profile(cloud.section(", key: {env: CANARY}") + FORCE)
    done = hybrid(
        "run", "-p", path, "is plain-words mine?", HYBRID_CONSENT=cloud.origin, CANARY="plain-words"
    )
    assert (done.returncode, done.stdout, cloud.received) == (3, b"", [])
    assert b"line 1 of the prompt looks like the cloud's own key" in done.stderr
    assert b"plain-words" not in done.stderr


def test_a_dry_run_exits_as_the_run_would(hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile) -> None:
    path = profile(cloud.section() + FORCE)
    text = "password=9f8a7b6c5d4e"
    done = hybrid("run", "-p", path, "--dry-run", text, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, cloud.received) == (3, [])
    assert b"blocked: line 1 of the prompt looks like a password or key; nothing was sent" in done.stderr


@pytest.mark.parametrize(
    ("prices", "mode", "code", "told"),
    [
        (", prices: {input: 1.0, output: 10.0}", "force", 8, "limits.usd_per_run is $0.001 (set by profile"),
        (", prices: {input: 1.0, output: 10.0}", "auto", 0, "limits.usd_per_run is $0.001 (set by profile"),
    ],
)
def test_a_dry_run_reports_an_exceeded_limit(
    hybrid: Hybrid, home: Path, cloud: ScriptedCloud, profile: Profile,
    prices: str, mode: str, code: int, told: str,
) -> None:  # fmt: skip
    rest = f"escalation: {{mode: {mode}}}\nlimits: {{usd_per_run: 0.001}}\n"
    arguments = ("-p", profile(cloud.section(prices) + rest), "--dry-run", "--json", "hi")
    done = hybrid("run", *arguments, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, cloud.received) == (code, [])
    assert json.loads(done.stdout)["over_limit"].startswith(told)
    assert not (home / "state" / "ledger.db").exists()


def test_a_key_file_that_is_a_pipe_is_refused(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "key", 0o600)
    path = profile(cloud.section(", key: {file: key}") + FORCE)
    done = hybrid("run", "-p", path, "hi", HYBRID_CONSENT=cloud.origin, timeout=20)
    assert (done.returncode, cloud.received) == (4, [])
    assert b"is not a regular file" in done.stderr


def test_since_is_a_date(hybrid: Hybrid) -> None:
    for words in ("yesterday", "2026-13", "2026-02-30", "2026-00"):
        assert hybrid("usage", "--since", words).returncode == 2, words
    assert hybrid("usage", "--since", "2026-02-28").returncode == 0
    assert hybrid("usage", "--since", "2026-11").returncode == 0
