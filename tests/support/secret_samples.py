"""Secrets of each family, and texts around them, drawn anew for each case."""

from __future__ import annotations

import base64
import html
import json
import random
import string
from collections.abc import Callable

ALNUM = string.ascii_letters + string.digits


def some(chance: random.Random, length: int, letters: str = ALNUM) -> str:
    """Made here, so that no file of the project holds what looks like a real key."""
    return "".join(chance.choice(letters) for _ in range(length))


def mixed(chance: random.Random, length: int, signs: str = "") -> str:
    """Letters and digits in turn, so that it cannot be taken for a word, with `signs` strewn in."""
    letters = [chance.choice(string.ascii_letters if n % 3 else string.digits) for n in range(length)]
    for sign in signs:
        letters.insert(chance.randrange(8, len(letters)), sign)
    return "".join(letters)


def pem(chance: random.Random, kind: str, lines: int) -> str:
    body = "\n".join(some(chance, 64, ALNUM + "+/") for _ in range(lines))
    return f"-----BEGIN {kind}-----\n{body}\n{some(chance, 30)}==\n-----END {kind}-----"


SECRETS: dict[str, Callable[[random.Random], str]] = {
    "token": lambda chance: "ghp_" + some(chance, 36),
    "AWS": lambda chance: "AKIA" + some(chance, 16, string.ascii_uppercase + "234567"),
    "Slack": lambda chance: f"xoxb-{some(chance, 12, string.digits)}-{some(chance, 24)}",
    "OpenAI": lambda chance: "sk-proj-" + some(chance, 120),
    "JWT": lambda chance: (
        f"eyJ{some(chance, 40)}.eyJ{some(chance, chance.choice([60, 20_000]))}.{some(chance, 43)}"
    ),
    "key in Base64": lambda chance: base64.b64encode(pem(chance, "RSA PRIVATE KEY", 25).encode()).decode(),
    "PEM": lambda chance: pem(chance, "RSA PRIVATE KEY", chance.choice([12, 500])),
    "PGP": lambda chance: pem(chance, "PGP PRIVATE KEY BLOCK", 60),
    "password": lambda chance: mixed(chance, 16),
    "password with signs": lambda chance: mixed(
        chance, 18, chance.choice([',;"', "\\<,", ';\\"', "<;,!", '"\\'])
    ),
    "password with blanks": lambda chance: mixed(chance, 24, "  ;"),
    "long value": lambda chance: mixed(chance, chance.choice([420, 3_000]), "+/="),
}
NAMELESS = ("password", "password with signs", "password with blanks", "long value")


_KEYS_ONLY = ("kubeconfig", "Python", "JavaScript", "JSON in JSON", "JSON, minified", "PHP's JSON")
UNUSUAL = {"password with blanks": _KEYS_ONLY, "password with signs": ("kubeconfig",)}
"""Contexts whose names stand for keys, which contain no blanks, or for Base64, which contains no signs."""


def _shell(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"


def _double(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


CONTEXTS: dict[str, tuple[str, Callable[[str], str]]] = {
    "JSON": ('{"user": "ann", "password": %s, "port": 80}', json.dumps),
    "JSON in JSON": ('{"log": "{\\"api_key\\": %s}"}', lambda value: json.dumps(json.dumps(value))[1:-1]),
    "JSON, minified": ('{"a":1,"client_secret":%s,"b":2}', json.dumps),
    "PHP's JSON": ('{"secret":%s}', lambda value: json.dumps(value).replace("/", "\\/")),
    "JSON with escapes": (
        '{"password":%s}', lambda value: json.dumps(value).replace("+", "\\u002B").replace("=", "\\u003d")
    ),
    "YAML, double": ("db:\n  password: %s\n  port: 1\n", json.dumps),
    "YAML, single": ("db:\n  password: '%s'\n  port: 1\n", lambda value: value.replace("'", "''").replace("\n", "\n    ")),
    "YAML, block": ("db:\n  password: |\n    %s\n  port: 1\n", lambda value: value.replace("\n", "\n    ")),
    "kubeconfig": ("users:\n- name: a\n  user:\n    client-key-data: %s\n", lambda value: value.replace("\n", "\\n")),
    "Python": ("API_SECRET_KEY = %s\n", repr),
    "shell": ("export DB_PASSWORD=%s\necho done\n", _shell),
    "shell, double": ("export DB_PASSWORD=%s\necho done\n", _double),
    "TOML": ('[db]\npassword = %s\nport = 1\n', json.dumps),
    "XML": ("<db><password>%s</password><port>1</port></db>", html.escape),
    "XML attribute": ('<db password="%s" port="1"/>', html.escape),
    "HTML": ("<td>password</td>: <code>x</code> <input password=&quot;%s&quot;>", lambda value: html.escape(html.escape(value))),
    "C": ('static const char *password = %s;\n', _double),
    "JavaScript": ("const config = {apiKey: `%s`, port: 1};", str),
    "Go": ("\tpassword := %s\n", _double),
    "SQL": ("ALTER USER ann WITH PASSWORD '%s' VALID UNTIL 'x';", lambda value: value.replace("'", "''")),
    "Markdown": ("Set `password` to: password = `%s` and start.", str),
    "diff": ('-password = "old"\n+password = %s\n', json.dumps),
    "mail": ("> > password: %s\n> Ann\n", json.dumps),
    "log": ('2026-01-02 10:11:12 INFO login user=ann password=%s ok', json.dumps),
    "CSV": ('ann,"password=%s",1\n', lambda value: value.replace('"', '""')),
    "Dockerfile": ("FROM x\nENV DB_PASSWORD=%s\nRUN y\n", _double),
    "Japanese": ('パスワードは"%s"です。', lambda value: json.dumps(value)[1:-1]),
    "Russian": ("пароль: %s", json.dumps),
    "CRLF": ('a=1\r\npassword = %s\r\nb=2\r\n', json.dumps),
    "wrapped": ('config = "password=%s"', lambda value: value.replace('"', '\\"')),
}  # fmt: skip
"""A name for each context, its text, and how it writes a value."""
BARE: dict[str, str] = {
    "sentence": "Why does %s not work?",
    "line": "see\n%s\nthere",
    "Japanese": "トークンは%sです",
    "Markdown": "use **%s** or `x`",
    "header": "Authorization: Bearer %s\r\nHost: x\r\n",
    "query": "https://x.example/?a=1&t=%s",
    "list": "- %s\n- other\n",
    "bracket": "f(%s)",
}
"""Contexts without a name, where only the format of a credential tells."""
