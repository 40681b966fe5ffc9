"""The privacy scan of everything that leaves: what must not go stops it, what may not is redacted."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.privacy.redact import NOTICE, Vault
from hybrid_cli.privacy.scan import Finding, find, visible, without_overlaps
from hybrid_cli.profile.schema import Kind, Privacy

Message = dict[str, str]

_SCANNER_SECONDS = 20
_MOST_NAMED = 5
_SHORTEST_KEY = 8
_PLACES = {"system": "the system message", "user": "the prompt", "assistant": "an earlier answer"}
_KEYS = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)


@dataclass(frozen=True)
class Screened:
    """Messages as they may leave."""

    messages: list[Message]
    vault: Vault


def screen(
    messages: Sequence[Message], privacy: Privacy, variables: Mapping[str, str], key: str | None = None
) -> Screened:
    """`messages` with what `privacy` redacts replaced; `key`, the cloud's own, is a secret whatever its form.

    Raises Failure (DENIED) for a secret that may not be redacted, and where a scan fails: nothing leaves
    unscanned.
    """
    kinds: list[Kind] = [kind for kind in privacy.redact if kind != "secret"]
    texts = [message["content"] for message in messages]
    found = [
        without_overlaps([*_scan(text, ["secret", *kinds], privacy, variables), *_find_key(text, key)])
        for text in texts
    ]
    if privacy.on_secret == "forbid":  # noqa: S105  a word, no password
        _refuse_secrets(messages, found)
    vault = Vault(texts)
    redacted = [
        {**message, "content": vault.redact(message["content"], findings)}
        for message, findings in zip(messages, found, strict=True)
    ]
    return Screened(_with_notice(redacted, vault), vault)


def _find_key(text: str, key: str | None) -> list[Finding]:
    """Where the cloud's own key stands. A shorter one is no key, but a word for servers that ask for none."""
    if key is None or len(key) < _SHORTEST_KEY:
        return []
    seen, places = visible(text)
    return [
        Finding("secret", "the cloud's own key", places[match.start()], places[match.end() - 1] + 1)
        for match in re.finditer("|".join(_forms(key)), seen)
    ]


def _forms(key: str) -> Iterator[str]:
    """Patterns of a key as it is, with characters percent-encoded, in hexadecimal, and in Base64."""
    yield "".join(f"(?:{re.escape(one)}|%(?i:{ord(one):02x}))" for one in key)
    yield f"(?i:{key.encode().hex()})"
    for before in range(3):  # bytes in front, as of `user:key`; the characters that others share are left off
        whole = base64.b64encode(bytes(before) + key.encode()).decode().rstrip("=")
        shared = -1 if (before + len(key)) % 3 else None
        yield re.escape(whole[(0, 2, 3)[before] : shared]).replace(r"\+", "[+-]").replace("/", "[/_]")


def _refuse_secrets(messages: Sequence[Message], found: Sequence[Sequence[Finding]]) -> None:
    places = [
        f"{finding.name} in line {1 + message['content'].count(chr(10), 0, finding.start)}"
        f" of {_PLACES.get(message['role'], message['role'])}"
        for message, findings in zip(messages, found, strict=True)
        for finding in findings
        if finding.kind == "secret"
    ]
    if places:
        more = f" and {len(places) - _MOST_NAMED} more" if len(places) > _MOST_NAMED else ""
        raise Failure(
            ExitStatus.DENIED,
            f"a secret would leave: {', '.join(places[:_MOST_NAMED])}{more}; nothing was sent"
            " (privacy.on_secret: redact would send it without)",
        )


def _with_notice(messages: list[Message], vault: Vault) -> list[Message]:
    if not vault.counts:
        return messages
    notice = NOTICE.format(suffix=vault.suffix)
    if messages[0]["role"] == "system":
        first = {**messages[0], "content": f"{messages[0]['content']}\n\n{notice}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": notice}, *messages]


def _scan(text: str, kinds: list[Kind], privacy: Privacy, variables: Mapping[str, str]) -> list[Finding]:
    try:
        found = find(text, kinds, privacy.country)
    except Exception as error:  # noqa: BLE001  whatever is wrong, what was not scanned must not leave
        raise _blocked(f"failed ({type(error).__name__})") from None
    if privacy.scanner is None:
        return found
    return without_overlaps([*found, *_scan_outside(text, kinds, privacy.scanner, variables)])


def _scan_outside(
    text: str, kinds: list[Kind], command: list[str], variables: Mapping[str, str]
) -> list[Finding]:
    """What the user's own scanner finds. It is given no key: its variables are those that name none."""
    try:
        done = subprocess.run(
            command,
            input=json.dumps({"text": text, "kinds": kinds}).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # it may hold what must not be shown
            env={name: value for name, value in variables.items() if not _KEYS.search(name)},
            timeout=_SCANNER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _blocked(f"by {command[0]} took over {_SCANNER_SECONDS} s") from None
    except OSError as error:
        raise _blocked(f"by {command[0]} failed: {error.strerror}") from None
    if done.returncode != 0:
        raise _blocked(f"by {command[0]} ended with code {done.returncode}")
    try:
        found = [_as_finding(item, len(text)) for item in json.loads(done.stdout)["findings"]]
    except (ValueError, TypeError, KeyError):
        known = ", ".join(get_args(Kind))
        raise _blocked(f"by {command[0]} gave no list of findings of the kinds {known}") from None
    return [finding for finding in found if finding.kind in kinds]


def _as_finding(item: Mapping[str, object], length: int) -> Finding:
    """Raises ValueError, TypeError or KeyError for anything else than a span of the text, of a known kind.

    What is found must not leave, and a kind that is not known could be redacted under no word of a profile.
    """
    kind, start, end = item["kind"], item["start"], item["end"]
    if not (isinstance(kind, str) and isinstance(start, int) and isinstance(end, int)):
        raise TypeError
    if kind not in get_args(Kind) or not 0 <= start < end <= length:
        raise ValueError
    return Finding(kind, str(item.get("name") or kind), start, end)


def _blocked(what: str) -> Failure:
    return Failure(ExitStatus.DENIED, f"the privacy scan {what}; nothing was sent")
