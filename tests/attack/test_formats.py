"""What the scanner finds of credentials in their published forms, in evasive ones, and what it leaves alone."""

from __future__ import annotations

import base64
import quopri
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits

import pytest

from developer_contexts import CONTEXTS, QUOTED
from format_samples import filled, samples
from hybrid_cli.privacy.scan import find

ROOT = Path(__file__).parents[2]
KINDS = ("secret", "card", "iban")


def test_most_published_forms_are_found() -> None:
    drawn = [one for seed in range(2) for one in samples(random.Random(seed))]
    missed = [form for form, text in drawn if not find(text, ["secret"])]
    assert len(drawn) > 400
    assert len(missed) <= 0.02 * len(drawn), missed


def mixed(chance: random.Random) -> str:
    return "".join(chance.choice(letters) for letters in (ascii_uppercase, digits, ascii_lowercase) * 5)


VALUES: dict[str, Callable[[random.Random], str]] = {
    "letters and digits": mixed,
    "hexadecimal": lambda chance: f"{chance.getrandbits(128):032x}",
    "letters and signs": lambda chance: "#".join(
        "".join(chance.choice(letters) for letters in ("QXZK", "wvyxk", "jhgkz", "QXZK")) for _ in range(4)
    ),
    "groups": lambda chance: " ".join(mixed(chance)[:3] for _ in range(4)),
}


@pytest.mark.parametrize("kind", VALUES)
def test_no_part_of_a_developers_secret_leaves(kind: str) -> None:
    names = QUOTED if kind == "groups" else CONTEXTS
    missed = []
    for name in names:
        for seed in range(3):
            value = VALUES[kind](random.Random(f"{name} {seed}"))
            text = left = f"Why does this fail?\n{CONTEXTS[name].replace('%s', value)}\nThanks"
            for one in reversed(find(text, ["secret"])):
                left = left[: one.start] + left[one.end :]
            if any(value[at : at + 6] in left for at in range(len(value) - 5)):
                missed.append(name)
                break
    assert len(missed) <= 0.05 * len(names), missed


@pytest.mark.parametrize(
    "text",
    [
        "name,token,count\nalpha,noun1,3\nbeta,verb2,4",
        "| option | password |\n|---|---|\n| required | min. 8 characters |\n| default | see docs/auth2.md |",
        '{"name": "password", "value": "required", "order": 1}',
        '[{"name": "API_KEY", "value": "${API_KEY_2024}"}]',
        "- name: DB_PASSWORD\n  valueFrom:\n    secretKeyRef: {name: db1, key: password2}",
        "- name: DB_PASSWORD\n  value: $(DB_PASSWORD_1)\n- name: VERSION\n  value: a1b2c3d4e5f6",
        '<input type="password" name="pw1" value="">',
        '<password type="plain">${db.password1}</password>',
        'variable "db_password" {\n  type = string\n}\nvariable "zone" {\n  default = "eu-west-1a2b"\n}',
        'assert_equal("password", "must be at least 12 characters")',
        '{"password": "The password must have at least 8 characters"}',
        "API_KEY ?= $(shell cat key2.txt)",
        "ConvertTo-SecureString $env:PASSWORD2 -AsPlainText -Force",
        "password = Field(min_length=8, max_length=64)",
        "token: @Component#render! and more",
    ],
)
def test_names_of_secrets_without_a_secret_raise_no_alarm(text: str) -> None:
    assert [text[one.start : one.end] for one in find(text, ["secret"])] == []


def test_a_table_of_secrets_is_read_in_linear_time() -> None:
    started = time.process_time()
    for unit in (
        "a,password\n",
        "| password |\n|---|\n",
        '("password", "',
        "copy a (password) from stdin;\n1\n",
        "insert into a (password) values ('",
        '"name": "password", "value": "a1b2", ',
    ):
        find(unit * (200_000 // len(unit)), ["secret"])
    assert time.process_time() - started < 20


_TOKEN = "ghp_" + "a1B2c3" * 6
EVASIONS: dict[str, Callable[[str], str]] = {
    "wrapped": lambda token: f"{token[:22]}\n    {token[22:]}",
    "wrapped, quoted mail": lambda token: f"> see {token[:30]}\n> {token[30:]} there",
    "tab": lambda token: f"{token[:20]}\t{token[20:]}",
    "tabs in a table": lambda token: f"1\t{token[:30]}\t \t{token[30:]}\tx",
    "strings in Python": lambda token: f'key = "{token[:10]}" + "{token[10:]}"',
    "strings in PHP": lambda token: f"$key = '{token[:10]}' . '{token[10:]}';",
    "strings in C": lambda token: f'"{token[:10]}"\n    "{token[10:]}"',
    "emphasis": lambda token: f"{token[:4]}**{token[4:12]}**{token[12:]}",
    "HTML tag": lambda token: f"{token[:6]}<wbr>{token[6:]}",
    "quoted-printable": lambda token: quopri.encodestring(f"x={token}".encode()).decode().replace("_", "=5F"),
    "entities": lambda token: token.replace("_", "&#95;"),
    "entities, hexadecimal": lambda token: token.replace("_", "&#x5f;"),
    "JSON escape": lambda token: token.replace("_", "\\u005f"),
    "JSON in JSON": lambda token: token.replace("_", "\\\\u005f"),
    "URL": lambda token: token.replace("_", "%5F"),
    "Cyrillic": lambda token: token.replace("p", "р").replace("c", "с"),
    "Greek": lambda token: token.replace("B", "Β"),
    "superscript": lambda token: token.replace("1", "¹").replace("2", "²"),
    "full width": lambda token: "".join(chr(ord(one) + 0xFEE0) for one in token),
    "Arabic digits": lambda token: token.replace("1", "١"),
    "soft hyphens": "\u00ad".join,
    "combining mark": lambda token: f"{token[:9]}\u0301{token[9:]}",
    "coloured": lambda token: f"\x1b[32m{token[:9]}\x1b[0m{token[9:]}",
}


@pytest.mark.parametrize("name", EVASIONS)
def test_cheap_evasions_hide_nothing(name: str) -> None:
    text = f"see\n{EVASIONS[name](_TOKEN)}\nend"
    assert any(one.name == "GitHub token" for one in find(text, ["secret"])), text


def _key_body() -> str:
    chance = random.Random(8)
    lines = "\n".join(filled("{b64}", chance) for _ in range(12))
    return f"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA{filled('{b20}', chance)}\n{lines}\n"


CLEAN = {
    "cache keys": "cache key = user:8f3a9b2c7d1e4f60:profile\nkey: uploads/2024/3f786850e387550fdab836ed7e6dc881de23001b\n",
    "ULIDs": "key 01ARZ3NDEKTSV4RRFFQ69G5FAV\nkey: 01BX5ZZKBKACTAV9WEVGEMMVRZ\n",
    "base32": "key JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP in the index\n",
    "gpg": "gpg: using RSA key 4AEE18F83AFDEB23\ngpg: key ID 0x4AEE18F83AFDEB23\nkey E1E5B1C9A7F04AEE18F83AFDEB231234ABCD5678\n",
    "public key": f"-----BEGIN PUBLIC KEY-----\n{_key_body()}-----END PUBLIC KEY-----\n",
    "certificate": f"-----BEGIN CERTIFICATE-----\n{_key_body()}-----END CERTIFICATE-----\n",
    "authorized_keys": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMb2x1Kq9v8s7Hq0w3y5u2t4r6e8w1q3 ann@key\nssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7 key\n",
    "examples": "AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY ghp_" + "X" * 36 + " sk-" + "x" * 48 + "\n",
    "templates": "password: ${DB_PASSWORD_1}\napi_key: {{ vault.key1 }}\nTOKEN=$GITHUB_TOKEN\nsecret: <your-secret-1>\npass: %(pw1)s\n",
    "image": f"![x](data:image/png;base64,{base64.b64encode(random.Random(2).randbytes(6000)).decode()})\n",
    "ids": "order_id=4111111111111111\ntimestamp: 4111111111111111\nid 5555555555554444\n0002 48146308100036\n",
    "lock file": "\n".join(f'"integrity": "sha512-{filled("{b86}", random.Random(n))}=="' for n in range(40)),
    "go.sum": "\n".join(f"example.org/keystore v1.2.{n} h1:{filled('{b43}', random.Random(n))}=" for n in range(40)),
    "checksums": "\n".join(f"{filled('{h64}', random.Random(n))}  src/api_token.py" for n in range(40)),
    "RECORD": "\n".join(f"pkg/_credential{n}.py,sha256={filled('{w43}', random.Random(n))},120" for n in range(40)),
    "RECORD whose checksums begin like escapes": "\n".join(f"pkg/a{n}.py,sha256={n:02X}k9td_{filled('{a36}', random.Random(n))},120" for n in range(256)),
    "RECORD in the Base64 of URLs": "\n".join(f"pkg/a{n}.py,sha256={filled('{w43}', random.Random(n))},120" for n in range(4_000)),
    "drawing": '<svg viewBox="0 0 24 24"><path d="M4111 1111 1111 1111 12.5 3z"/></svg> {"d": "m1,2 4111 1111 1111 1111"}\n',
    "rows of SQL": "INSERT INTO t (id, password) VALUES (1, NULL), (2, 'unknown'), (3, 'changeme1');\nCOPY t (id, token) FROM stdin;\n1\t\\N\n\\.\na\tx9k2m4q7w1z5b8n3\n",
    "docker": "\n".join(f"image: registry.example/key@sha256:{filled('{h64}', random.Random(n))}" for n in range(40)),
    "UUIDs": "\n".join(f"key {filled('{h8}-{h4}-{h4}-{h4}-{h12}', random.Random(n))}" for n in range(40)),
    "commands": "ssh -p 22 ann@h\nmysql -u root -p db\ndocker run -p 8080:80 x\ncp -p a b\nmkdir -p a/b1c2d3\npatch -p1 < x\n",
    "code": "password = get_password(user1)\ntoken = tokens[0x1f]\nif key == 'a1': pass\nself.secret = config['secret_2']\n",
    "prose": "The password must have at least 8 characters. The key is to read chapter 12 first. A token costs 3 EUR.\n",
    "SQL": "CREATE TABLE t (password varchar(64), token char(32) PRIMARY KEY);\nSELECT key1 FROM t WHERE id = 4;\n",
    "stack trace": 'File "/app/auth/token.py", line 42, in decode_token2\nat com.x.KeyStore2.load(KeyStore2.java:118)\n',
    "CSS and HTML": '<input type="password" id="pass1x" name="pw" maxlength="20">\n.key9 { color: #a1b2c3 }\n',
    "table": "\n".join("\t".join(filled(one, random.Random(n)) for one in ("{h16}", "{h12}", "gene{d4}", "fc-{d6}", "key{d3}")) for n in range(60)),
    "dump": "\n".join(f"{16 * n:08x}: " + " ".join(filled("{d4}", random.Random(9 * n + k)) for k in range(8)) for n in range(300)),
    "packages": '"ids": ["cpe:2.3:a:x:common_framework:-:*:*:*:*:*:*:*", "cpe:2.3:a:y:z:5432:*:*:*:*:*:*:*"]\n',
    "declarations": 'let token: Token = "first";\nconst key: string = "name";\nstd::string password = "";\nvar secret: bool = true\n',
    "log": "2026-01-02T03:04:05Z key_rotation done in 128ms span=8f3a9b2c7d1e4f60 trace=8f3a9b2c7d1e4f608f3a9b2c7d1e4f60\n",
    "hexdump": "\n".join(f"{n:08x}  " + " ".join(filled("{h2}", random.Random(n + k)) for k in range(16)) for n in range(60)),
    "versions": "Chrome/120.0.0.0 Safari/537.36\nversion 10.4.2.1\npkg==1.2.3.4\nv2.0.1.7\n",
}  # fmt: skip


@pytest.mark.parametrize("name", CLEAN)
def test_clean_texts_raise_no_alarm(name: str) -> None:
    kinds = (*KINDS, "ip") if name == "versions" else KINDS
    text = CLEAN[name]
    assert [(one.name, text[one.start : one.end][:60]) for one in find(text, kinds)] == []


def system_texts() -> dict[str, str]:
    """Files that developers have: of this project, of Python, and what common commands print."""
    import certifi

    site = Path(certifi.__file__).parents[1]
    texts = {"certificates": Path(certifi.where()).read_text(encoding="utf-8")[-120_000:]}
    for name, pattern in {
        "RECORD": "*/RECORD",
        "METADATA": "*/METADATA",
        "Python": "*/__init__.py",
        "types": "*/*.pyi",
    }.items():
        texts[name] = "\n".join(one.read_text("utf-8", "replace") for one in sorted(site.glob(pattern))[:40])[
            :120_000
        ]
    for name, folder in {
        "docs": "docs/*.md",
        "profiles": "profiles/*",
        "code": "cli/hybrid_cli/*/*.py",
        "man": "docs/man/*",
    }.items():
        texts[name] = "\n".join(one.read_text("utf-8") for one in sorted(ROOT.glob(folder)) if one.is_file())[
            :120_000
        ]
    for name, command in {
        "pip list": [sys.executable, "-m", "pip", "list", "--format=json"],
        "files": ["ls", "-lR", str(ROOT / "cli")],
        "checksums of files": ["sh", "-c", f"sha256sum {ROOT}/cli/hybrid_cli/*/*.py"],
    }.items():
        texts[name] = subprocess.run(command, capture_output=True, text=True, check=False).stdout[:120_000]
    return texts


def test_files_of_developers_raise_few_alarms() -> None:
    alarms = {
        name: [(one.name, text[max(0, one.start - 20) : one.end][:80]) for one in found]
        for name, text in system_texts().items()
        if (found := find(text, KINDS))
    }
    assert len(alarms) <= 1, alarms
