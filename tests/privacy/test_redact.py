"""Placeholders on the way out and values on the way back, and what the scan refuses."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.privacy import screen as screen_module
from hybrid_cli.privacy.redact import Restorer, Vault
from hybrid_cli.privacy.screen import screen
from hybrid_cli.privacy.sensitive_span import SensitiveSpan
from hybrid_cli.profile.schema import Privacy
from hybrid_cli.prompt import Question, Request
from hybrid_process import Hybrid
from scripted_cloud import Reply, ScriptedCloud

Profile = Callable[..., Path]
TOKEN = "ghp_" + "a1B2" * 9
FORCE = "escalation: {mode: force}\n"


@st.composite
def texts_with_findings(draw: st.DrawFn) -> tuple[str, list[SensitiveSpan]]:
    """A text of plain pieces, of values that are found, and of what looks like a placeholder."""
    text, findings = "", []
    for _ in range(draw(st.integers(0, 6))):
        text += draw(
            st.text("ab [_]1\n", max_size=8) | st.sampled_from(["[[EMAIL_1_", "[[", "[[IP_2_abcdef]]"])
        )
        value = draw(st.text("xyz[]@", min_size=1, max_size=6))
        kind = draw(st.sampled_from(["email", "ip"]))
        findings.append(SensitiveSpan(kind, kind, len(text), len(text) + len(value)))
        text += value
    return text + draw(st.text("a[", max_size=4)), findings


@given(texts_with_findings(), st.lists(st.integers(0, 400), max_size=30))
def test_values_are_restored_however_the_answer_is_split(
    drawn: tuple[str, list[SensitiveSpan]], cuts: list[int]
) -> None:
    text, findings = drawn
    vault = Vault([text])
    answer = vault.redact(text, findings)
    places = [0, *sorted(cut % (len(answer) + 1) for cut in cuts), len(answer)]
    restorer = Restorer(vault)
    pieces = [restorer.feed(answer[a:b]) for a, b in pairwise(places)]
    assert "".join([*pieces, restorer.finish()]) == text
    assert (restorer.lost, restorer.invented) == (0, 0)


def test_equal_values_share_a_placeholder_which_differs_between_runs() -> None:
    text = "a@b.c d@e.f a@b.c"
    findings = [SensitiveSpan("email", "", at, at + 5) for at in (0, 6, 12)]
    vault = Vault([text])
    first, second, third = vault.redact(text, findings).split(" ")
    assert first == third != second
    assert Vault([text]).redact(text, findings) != vault.redact(text, findings)
    assert vault.counts["email"] == 6


AWKWARD = '-----BEGIN "KEY"-----\na\\b\tc\n-----END-----'


@pytest.mark.parametrize(
    ("before", "after", "is_escaped"),
    [
        ('{"a": "', '"}', True),
        ('{"a": "b\\\\", "c": "say \\"', '"}', True),
        ('\n [ {"a": 1, "b": ["', '"]}]', True),
        ('[["', '"]]', True),
        ('{"a": 1}\n{"a": "', '"}\n', True),
        ('```json\n{\n  "a": "', '"\n}\n```\n', True),
        ('Here it is:\n```\n{"a": "', '"}\n```', True),
        ("The key is ", ".", False),
        ("", " is the key", False),
        ('The "key" is "', '".', False),
        ('[1] The "key" is "', '".', False),
        ('{"a": 1}\nThe key is ', "", False),
        ('```json\n{"a": "b"}\n```\nThe key is "', '".', False),
        ('```python\nkey = """', '"""\n```', False),
    ],
)
def test_a_value_is_escaped_for_the_json_string_it_stands_in(
    before: str, after: str, is_escaped: bool
) -> None:
    vault = Vault([AWKWARD])
    placeholder = vault.redact(AWKWARD, [SensitiveSpan("secret", "", 0, len(AWKWARD))])
    value = json.dumps(AWKWARD)[1:-1] if is_escaped else AWKWARD
    answer = before + placeholder + after
    for size in (1, 7, len(answer)):
        restorer = Restorer(vault)
        pieces = [restorer.feed(answer[at : at + size]) for at in range(0, len(answer), size)]
        assert "".join([*pieces, restorer.finish()]) == before + value + after


PEM = """-----BEGIN RSA PRIVATE KEY-----
MIIEowIBAAKCAQEAuPw7Jx5W8vQ0d1Zr4sT9yKbN2mLhGfEaCcXiVoPqRtUwYzAb
k3JdLm8NpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz012345678A
-----END RSA PRIVATE KEY-----"""


@pytest.mark.parametrize(
    "schema", ["{}", '{"type": "object", "properties": {"a": {"type": "string"}}}', '{"type": "string"}']
)
def test_a_redacted_value_keeps_the_json_of_an_answer_whole(
    hybrid: Hybrid, profile: Profile, cloud: ScriptedCloud, schema: str
) -> None:
    def repeat(body: dict[str, Any]) -> Reply:
        sent = json.dumps(body)
        assert "MIIEow" not in sent
        (placeholder,) = set(re.findall(r"\[\[SECRET_\d+_\w+\]\]", sent))
        is_string = json.loads(schema).get("type") == "string"
        return Reply(pieces=(json.dumps(placeholder if is_string else {"a": placeholder}),))

    cloud.respond = repeat
    path = profile(cloud.section() + FORCE + "privacy: {on_secret: redact, redact: [secret]}\n")
    done = hybrid("run", "-p", path, "--schema", schema, f"Repeat:\n{PEM}", HYBRID_CONSENT=cloud.origin)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer if isinstance(answer, str) else answer["a"]) == PEM


def test_lost_and_invented_placeholders_are_counted() -> None:
    vault = Vault(["ab"])
    vault.redact("ab", [SensitiveSpan("ip", "", 0, 1), SensitiveSpan("ip", "", 1, 2)])
    restorer = Restorer(vault)
    shown = (
        restorer.feed(f"[[IP_1_{vault.suffix}]] [[IP_9_{vault.suffix}]] [[IP_1_other0]]") + restorer.finish()
    )
    assert shown == f"a [[IP_9_{vault.suffix}]] [[IP_1_other0]]"
    assert (restorer.lost, restorer.invented) == (1, 1)


def test_nothing_is_sent_if_the_scan_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> list[SensitiveSpan]:  # no text is known that breaks the real one
        raise RecursionError(TOKEN)

    monkeypatch.setattr(screen_module, "find", broken)
    with pytest.raises(
        Failure, match=r"^the privacy scan failed \(RecursionError\); nothing was sent$"
    ) as caught:
        screen([{"role": "user", "content": "hi"}], Privacy(), {})
    assert caught.value.status is ExitStatus.DENIED


def executable(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("exit 3", "exited with code 3"),
        ("echo no json", "printed no list"),
        ('echo \'{"findings": [{"kind": "email", "start": 0, "end": 99}]}\'', "printed no list"),
        ('echo \'{"findings": [{"kind": "email"}]}\'', "printed no list"),
        ('echo \'{"findings": [{"kind": "person", "start": 0, "end": 2}]}\'', "of the kinds secret, email"),
    ],
)
def test_nothing_is_sent_if_the_scanner_command_fails(tmp_path: Path, script: str, told: str) -> None:
    scanner = executable(tmp_path / "scanner", f"cat > /dev/null; {script}")
    with pytest.raises(Failure, match=told) as caught:
        screen([{"role": "user", "content": "hi"}], Privacy(scanner=[str(scanner)]), dict(os.environ))
    assert caught.value.status is ExitStatus.DENIED


def test_a_scanner_command_adds_findings_and_gets_no_key(tmp_path: Path) -> None:
    script = f'cat > {tmp_path}/stdin; env > {tmp_path}/env; echo \'{{"findings": [{{"kind": "email", "start": 0, "end": 3}}]}}\''
    scanner = executable(tmp_path / "scanner", script)
    variables = {"PATH": os.environ["PATH"], "OPENAI_API_KEY": TOKEN}
    privacy = Privacy(redact=["email"], scanner=[str(scanner)])
    screened = screen([{"role": "user", "content": "Ann a@example.com"}], privacy, variables)
    assert screened.vault.counts == {"email": 2}
    assert screened.messages[1]["content"] == (
        f"[[EMAIL_1_{screened.vault.suffix}]] [[EMAIL_2_{screened.vault.suffix}]]"
    )
    assert TOKEN not in (tmp_path / "env").read_text()
    assert '"kinds": ["secret", "email"]' in (tmp_path / "stdin").read_text()


def test_a_secret_blocks_the_handoff_and_is_not_printed(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    path = profile(cloud.section() + FORCE)
    text = f"first\nsecond {TOKEN}\n".encode()
    done = hybrid("run", "-p", path, "Explain.", stdin=text, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout, cloud.received) == (3, b"", [])
    assert b"blocked: line 2 of the piped text looks like a GitHub token; nothing was sent" in done.stderr
    assert TOKEN.encode() not in done.stderr
    done = hybrid("run", "-p", path, f"Explain.\n{TOKEN}", stdin=b"a\nb\nc", HYBRID_CONSENT=cloud.origin)
    assert b"blocked: line 2 of the prompt looks like a GitHub token; nothing was sent" in done.stderr
    done = hybrid("run", "-p", path, "-s", f"My key is {TOKEN}", "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, cloud.received) == (3, [])
    assert b"line 1 of the system message looks like a GitHub token" in done.stderr


@pytest.mark.parametrize(
    ("question", "place"),
    [
        (Question("Which?", f"a\nb\n{TOKEN}"), "line 3 of the context"),
        (Question(f"Is it\n{TOKEN}?", "a\nb\nc"), "line 2 of the prompt"),
        (Question("a", f"a\n{TOKEN}", "the text", context_follows=True), "line 2 of the text"),
        (Question(TOKEN, "a", "the text", context_follows=True), "line 1 of the instruction"),
        (Question(f"As\na\n{TOKEN}\nso", "x", given=f"a\n{TOKEN}"), "line 2 of the prompt"),
        (Question(f"a\n\n{TOKEN}", "", joined=(("one", "a"), ("two", TOKEN))), "line 1 of two"),
        (Question(f"x\n\nx\n{TOKEN}", "", joined=(("one", "x"), ("two", f"x\n{TOKEN}"))), "line 2 of two"),
    ],
)
def test_a_secret_is_named_by_the_text_that_holds_it(question: Question, place: str) -> None:
    request = Request(question, None, form="Answer with yes.")
    with pytest.raises(Failure, match=rf"^blocked: {place} looks like a GitHub token; nothing was sent"):
        screen(
            request.messages(),
            Privacy(),
            {},
            parts=request.message_parts(),
            names=request.message_names(),
        )


def test_redaction_from_end_to_end(hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile) -> None:
    path = profile(
        cloud.section() + FORCE + "privacy: {redact: [email, ip], on_secret: redact}\nlog: {prompts: true}\n"
    )
    prompt = f"Ann ann@example.com, {TOKEN}, 10.1.2.3, ann@example.com"

    def answer(content: str) -> tuple[str, ...]:
        placeholders = [word.rstrip(",") for word in content.split() if word.startswith("[[")]
        return ("To ", *"; ".join(placeholders[:2]), " and [[EMAIL_7_zzzzzz]].")  # a piece a character

    cloud.respond = lambda body: Reply(pieces=answer(body["messages"][1]["content"]))
    done = hybrid("run", "-p", path, prompt, HYBRID_CONSENT=cloud.origin)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == f"To ann@example.com; {TOKEN} and [[EMAIL_7_zzzzzz]].\n"
    (request,) = cloud.received
    for value in (b"ann@example.com", TOKEN.encode(), b"10.1.2.3"):
        assert value not in request.content
    assert b"redacted before sending: 2 email, 1 ip, 1 secret" in done.stderr
    assert b"the answer does not use 1 of 3 redacted values" in done.stderr
    usage = hybrid("usage", "-p", path, "--export").stdout
    assert b'"email": 2' in usage
    assert TOKEN.encode() not in usage
