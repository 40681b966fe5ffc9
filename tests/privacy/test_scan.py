"""The scanner: what it finds, what it leaves alone, and that text of any kind cannot stop it."""

from __future__ import annotations

import base64
import random
import string
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_cli.privacy.scan import find
from hybrid_cli.privacy.screen import screen
from hybrid_cli.profile.schema import Privacy
from hybrid_process import Hybrid

REDACTS = Privacy(on_secret="redact", redact=[])  # noqa: S106  a word, no password
KINDS = ("secret", "email", "phone", "card", "iban", "ip")
_random = random.Random(6)


def some(length: int, letters: str = string.ascii_letters + string.digits) -> str:
    """Made here, so that no file of the project holds what looks like a real key."""
    return "".join(_random.choice(letters) for _ in range(length))


HEX = "0123456789abcdef"
CREDENTIALS = {
    "AWS access key id": "AKIA" + some(16, string.ascii_uppercase + "234567"),
    "GitHub token": "ghp_" + some(36),
    "GitHub fine-grained token": f"github_pat_{some(22)}_{some(59)}",
    "GitLab token": "glpat-" + some(20),
    "OpenAI key": f"sk-proj-{some(48)}",
    "Anthropic key": f"sk-ant-api03-{some(93)}AA",
    "Google API key": "AIza" + some(35),
    "Hugging Face token": "hf_" + some(34, string.ascii_letters),
    "Slack token": f"xoxb-{some(12, string.digits)}-{some(12, string.digits)}-{some(24)}",
    "Stripe key": "sk_live_" + some(24),
    "SendGrid key": f"SG.{some(22)}.{some(43)}",
    "npm token": "npm_" + some(36),
    "PyPI token": "pypi-AgEIcHlwaS5vcmc" + some(90),
    "DigitalOcean token": "dop_v1_" + some(64, HEX),
    "Telegram bot token": f"{some(9, '123456789')}:AA{some(33)}",
    "Twilio key": "SK" + some(32, HEX),
    "JSON web token": f"eyJ{some(20)}.eyJ{some(60)}.{some(43)}",
    "Databricks token": "dapi" + some(32, HEX),
}


@pytest.mark.parametrize("styled", [0xFEE0, 0x1D5BA - ord("a")])
def test_lookalike_letters_do_not_hide_a_credential(styled: int) -> None:
    token = CREDENTIALS["GitHub token"]
    other = "".join(chr(ord(one) + styled) if one.islower() else one for one in token)
    (found,) = find(f"is {other} mine?", ["secret"])
    assert (found.name, found.start, found.end) == ("GitHub token", 3, 3 + len(token))


@pytest.mark.parametrize("before", ["\\t", "\\r", "\\u0022", "\\x22", "%20", "token%3D", "\x1b[32m"])
def test_an_escape_sequence_does_not_hide_a_credential(before: str) -> None:
    (found,) = find(before + CREDENTIALS["GitHub token"], ["secret"])
    assert found.name == "GitHub token"


@pytest.mark.parametrize("around", ["{}", "key: {}\n", 'export K="{}"', "a\\n{}\\nb", "<{}>", "è{}"[1:]])
@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_credential_is_found_anywhere_in_a_text(name: str, around: str) -> None:
    text = around.replace("{}", CREDENTIALS[name])
    (found,) = find(text, KINDS)
    assert (found.kind, found.name) == ("secret", name)
    assert text[found.start : found.end] == CREDENTIALS[name]


PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{some(64)}\n{some(64)}\n-----END RSA PRIVATE KEY-----"
ENCRYPTED = PEM.replace("-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF\n\n", 1)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (f"see\n{PEM}\nthere", "secret", PEM),
        (f"see\n{ENCRYPTED}\nthere", "secret", ENCRYPTED),
        ('{"k": "' + PEM.replace("\n", "\\n") + '"}', "secret", PEM.replace("\n", "\\n")),
        ("postgres://app:s3cr3t-pw@db.internal/x", "secret", "s3cr3t-pw"),
        (f"DB_PASSWORD='{some(6)}9a7b1'", "secret", None),
        ('"client_secret": "9f8a7b6c5d4e3f2a1b0c"', "secret", "9f8a7b6c5d4e3f2a1b0c"),
        ('{\\"password\\": \\"9f8a7b6c5d4e\\"}', "secret", "9f8a7b6c5d4e"),
        ("//registry.example/:_authToken=9f8a7b6c-5d4e-4a1b-8c2d-0123456789ab", "secret", None),
        ('req.Header.Set("X-Some-Key", "f00a1b2c3d4e5f6a7b8c")', "secret", "f00a1b2c3d4e5f6a7b8c"),
        ("<account_key>q8Yz7m3Xp2Za9YAi5zvS</account_key>", "secret", "q8Yz7m3Xp2Za9YAi5zvS"),
        ("backup --storage-key q8Yz7m3Xp2Za9YAi5zvS --all", "secret", "q8Yz7m3Xp2Za9YAi5zvS"),
        ('{"auths": {"r.example": {"auth": "YmFtYm9vOmpoMkh6UnNR"}}}', "secret", "YmFtYm9vOmpoMkh6UnNR"),
        ("id:master pw:k3Yq81Zz!", "secret", "k3Yq81Zz!"),
        ("api_key\r\n=\r\n9f8a7b6c5d4e3f2a1b0c", "secret", "9f8a7b6c5d4e3f2a1b0c"),
        ("Cookie: theme=dark; sessionid=qwertyuiop", "secret", "qwertyuiop"),
        ("Authorization: Bearer " + "a1b2c3d4e5f6a7b8c9d0", "secret", "a1b2c3d4e5f6a7b8c9d0"),
        ("write to Jo.Doe+x@mail.example.co.uk.", "email", "Jo.Doe+x@mail.example.co.uk"),
        ("mail <an@bücher.example>", "email", "an@bücher.example"),
        ("card 4111 1111 1111 1111, thanks", "card", "4111 1111 1111 1111"),
        ("5555-5555-5555-4444", "card", "5555-5555-5555-4444"),
        ("4111.1111.1111.1111", "card", "4111.1111.1111.1111"),
        ("no_4111_1111_1111_1111"[3:], "card", "4111_1111_1111_1111"),
        ("\uff14" + "\uff11" * 15, "card", "\uff14" + "\uff11" * 15),
        (f"{PEM[40:]} it ends", "secret", PEM[40:]),
        ("to de89370400440532013000", "iban", "de89370400440532013000"),
        ("to DE89 3704 0044 0532 0130 00 AND more", "iban", "DE89 3704 0044 0532 0130 00"),
        ("to DE89-3704-0044-0532-0130-00.", "iban", "DE89-3704-0044-0532-0130-00"),
        ("to DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000", "iban", None),
        ("GB82WEST12345698765432", "iban", "GB82WEST12345698765432"),
        ("host 10.11.12.13:8080", "ip", "10.11.12.13"),
        ("via 2001:db8::ff00:42:8329.", "ip", "2001:db8::ff00:42:8329"),
        ("at 2001:0db8:85a3:0000:0000:8a2e:0370:7334", "ip", "2001:0db8:85a3:0000:0000:8a2e:0370:7334"),
        ("call +84 28 3823 4567 now", "phone", "+84 28 3823 4567"),
    ],
)
def test_each_kind_of_personal_data_and_secret_is_found(text: str, kind: str, value: str | None) -> None:
    (found,) = find(text, KINDS)
    assert found.kind == kind
    assert value is None or text[found.start : found.end] == value
    assert find(text, [other for other in KINDS if other != kind]) == []


@pytest.mark.parametrize(
    "text",
    [
        "The quick brown fox: a token of appreciation, the key=value form, password: required",
        "api_key = os.environ['API_KEY_2024']; token = get_token(request1)",
        'password: "${DB_PASSWORD_1}", secret: <your-secret-1>, token=xxxxxxxx1',
        "url https://user:password@example.com/ and https://example.com:8443/a@b",
        "std::vector<int> a::b 12:34:56 ratio 3:2, version 1.2.3, at 127.0.0.1 and ::1",
        "card 4111 1111 1111 1112, order 1234567890123456, 0.4111111111111111, 4111.111111111111",
        "DE88 3704 0044 0532 0130 00, @decorator, a@b, x@localhost, sk-learn, task-list-of-many",
        "cache_key=users:2024:v2, primary key: 550e8400-e29b-41d4-a716-446655440000, Ed25519PublicKey",
        "def f(key, ed25519.Ed25519PublicKey): the token is org.apache.commons.lang3.StringUtils2",
        '"integrity": "sha512-' + some(86) + '=="',
        "commit b58d3f102cf3a2c84cb7f923d05c25c9b1aed84b, 550e8400-e29b-41d4-a716-446655440000",
    ],
)
def test_harmless_text_is_not_flagged(text: str) -> None:
    assert [(found.name, text[found.start : found.end]) for found in find(text, KINDS)] == []


@pytest.mark.parametrize("before", ["", "u:", "user:"])
@pytest.mark.parametrize("key", ["plain-words", "sk-other/words+1"])
def test_the_clouds_own_key_is_found_in_any_form(before: str, key: str) -> None:
    encoded = base64.b64encode(f"{before}{key}".encode()).decode()
    for form in (
        key,
        "".join(f"%{ord(one):02X}" for one in key),
        quote(key, safe=""),
        key.encode().hex(),
        encoded,
        encoded.replace("+", "-").replace("/", "_"),
        "\u200b".join(key),
    ):
        screened = screen([{"role": "user", "content": f"is {form} mine?"}], REDACTS, {}, [key])
        assert screened.vault.counts == {"secret": 1}, form


def test_the_longest_of_overlapping_findings_is_kept() -> None:
    text = "https://bot:ghp_" + some(36) + "@host.example.com/"
    found = find(text, KINDS)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert [one.kind for one in found] == ["secret"]


@given(st.text(alphabet=st.sampled_from("aA1:=@.+-/ \"'\nsk_eyJ4BEGIN"), max_size=300))
def test_no_text_makes_the_scan_fail(text: str) -> None:
    found = find(text, KINDS)
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    assert [one.start for one in found] == sorted(one.start for one in found)


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "-----BEGIN PRIVATE KEY-----",
        "eyJ",
        "1 ",
        ":",
        "a.",
        "password=",
        "://a:",
        "key=",
        "password='",
        "&#95;",
        "\\u005f",
        "sk-ant-" + "x" * 23,
    ],
)
def test_hostile_repetition_is_read_in_linear_time(unit: str) -> None:
    find(unit * (200_000 // len(unit)), KINDS)  # a quadratic pattern would outlast the suite's time limit


def test_a_rule_can_match_prompts_with_secrets(hybrid: Hybrid, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("version: 1\nescalation: {rules: [{when: {secret: true}, then: forbid}]}\n")
    plan = hybrid("run", "-p", path, "--dry-run", "Explain.", stdin=CREDENTIALS["GitHub token"].encode())
    assert b"rule: forbid (rule 1 of profile `p`)" in plan.stderr
    plan = hybrid("run", "-p", path, "--dry-run", "Explain.")
    assert b"rule: none" in plan.stderr


@pytest.mark.parametrize(
    "hidden",
    [
        "\u200b", "\u00ad", "\ufeff", "\u202e", "\u2060", "\ufe0f", "\U000e0041", "\u3164", "\0", "\x1b[01;31m", "\x9b1m",
        "x\b", "\ufffc", "\x1b]8;;http://a.example\x07", "\x1b]0;a\x1b\\", "\x9dnote\x9c",
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", [1, 4, 20])
def test_invisible_characters_do_not_hide_a_credential(hidden: str, place: int) -> None:
    token = "ghp_" + some(36)
    split = token[:place] + hidden + token[place:]
    text = f"Gr\u00fc\u00dfe{hidden}: {split} ok"
    (found,) = find(text, ["secret"])
    assert text[found.start : found.end] == split


def test_characters_that_only_a_model_reads_do_not_hide_a_credential() -> None:
    token = "".join(chr(0xE0000 + ord(one)) for one in "ghp_" + some(36))
    text = f"Hello {token} there"
    (found,) = find(text, ["secret"])
    assert text[found.start : found.end] == token
