"""The privacy scan of everything that leaves: it blocks secrets and redacts what the profile names."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.privacy.known_values import KnownValue, known_spans, values_in
from hybrid_cli.privacy.redact import NOTICE, Vault
from hybrid_cli.privacy.scan import find
from hybrid_cli.privacy.sensitive_span import SensitiveSpan, merged
from hybrid_cli.profile.schema import Kind, Privacy
from hybrid_cli.system.child_environment import for_command

Message = dict[str, str]

_SCANNER_SECONDS = 20
_MAX_NAMED = 5
_MOST_KNOWN = 10_000
_MIN_KEY_LENGTH = 8
"""Characters. Shorter keys are dummies for servers that check none, and may be ordinary words."""
_SOUND_LIKE_VOWELS = (*"AEIOaeio", "NVIDIA", "npm", "xAI")


@dataclass(frozen=True)
class Screened:
    """Messages that may leave, and the values redacted in them."""

    messages: list[Message]
    vault: Vault


def screen(
    messages: Sequence[Message],
    privacy: Privacy,
    variables: Mapping[str, str],
    keys: Collection[str] = (),
    parts: Sequence[Sequence[tuple[str, str]]] = (),
    kept: Sequence[str] = (),
    known: set[KnownValue] | None = None,
    names: Sequence[str] = (),
) -> Screened:
    """`messages`, redacted as `privacy` says. `keys`, the clouds' own, are secrets in any encoding.

    `parts` are, for each message, names and texts that it contains in this order: a refusal names a part and its line.
    `kept` are texts of the request that do not leave: a secret that is found in them is one in `messages`, too.
    So are those in `known`, to which this adds what it finds. `names` are those of the messages in a refusal; without
    them it numbers the messages.

    Raises Failure (DENIED) for a secret under `on_secret: forbid`, and if a scan fails: nothing leaves
    unscanned.
    """
    kinds: list[Kind] = [kind for kind in privacy.redact if kind != "secret"]
    texts = [message["content"] for message in messages]
    values = {KnownValue(key, "secret", "the cloud's own key") for key in keys if len(key) >= _MIN_KEY_LENGTH}
    found = _found(texts, kept, kinds, privacy, variables, values, set() if known is None else known)
    if privacy.on_secret == "forbid":  # noqa: S105  no password
        names = names or [f"message {number}" for number, _message in enumerate(messages, 1)]
        _refuse_secrets(messages, names, found, parts or [()] * len(messages))
    vault = Vault(texts)
    redacted = [
        {**message, "content": vault.redact(message["content"], spans)}
        for message, spans in zip(messages, found, strict=True)
    ]
    return Screened(_with_notice(redacted, vault), vault)


def _found(
    texts: Sequence[str],
    kept: Sequence[str],
    kinds: list[Kind],
    privacy: Privacy,
    variables: Mapping[str, str],
    values: set[KnownValue],
    known: set[KnownValue],
) -> list[list[SensitiveSpan]]:
    """The spans in each of `texts`: what the scan finds, and the same values, `values` and `known` elsewhere."""
    all_texts = [*texts, *kept]
    found = [_scan(text, ["secret", *kinds], privacy, variables) for text in all_texts]
    new = {value for text, spans in zip(all_texts, found, strict=True) for value in values_in(text, spans)}
    values |= new | set(known)
    if len(known) < _MOST_KNOWN:
        known.update(value for value in new if value.kind == "secret")
    return [
        merged([*spans, *known_spans(text, values)])
        for text, spans in zip(texts, found, strict=False)  # without those of `kept`
    ]


def _refuse_secrets(
    messages: Sequence[Message],
    names: Sequence[str],
    found: Sequence[Sequence[SensitiveSpan]],
    parts: Sequence[Sequence[tuple[str, str]]],
) -> None:
    places = [
        f"{_place(span.start, message['content'], name, named)} looks like {_with_article(span.name)}"
        for message, name, named, spans in zip(messages, names, parts, found, strict=True)
        for span in spans
        if span.kind == "secret"
    ]
    places = list(dict.fromkeys(places))  # a schema is scanned in several forms
    if places:
        more = f", and {len(places) - _MAX_NAMED} more" if len(places) > _MAX_NAMED else ""
        raise Failure(
            ExitStatus.DENIED,
            f"blocked: {', '.join(places[:_MAX_NAMED])}{more}; nothing was sent;"
            " to send the prompt without it, set privacy.on_secret: redact",
        )


def _place(start: int, content: str, name: str, parts: Sequence[tuple[str, str]]) -> str:
    """Return the line at `start` of `content`, and the name of the part or message that it is in."""
    end = 0
    for part, text in parts:
        first = content.find(text.rstrip(), end)
        if first < 0:
            continue
        end = first + len(text.rstrip())
        if first <= start < end:
            return f"line {1 + content.count(chr(10), first, start)} of {part}"
    return f"line {1 + content.count(chr(10), 0, start)} of {name}"


def _with_article(name: str) -> str:
    if name.startswith("the "):
        return name
    return f"an {name}" if name.startswith(_SOUND_LIKE_VOWELS) else f"a {name}"


def _with_notice(messages: list[Message], vault: Vault) -> list[Message]:
    if not vault.counts:
        return messages
    notice = NOTICE.format(suffix=vault.suffix)
    if messages[0]["role"] == "system":
        first = {**messages[0], "content": f"{messages[0]['content']}\n\n{notice}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": notice}, *messages]


def _scan(
    text: str, kinds: list[Kind], privacy: Privacy, variables: Mapping[str, str]
) -> list[SensitiveSpan]:
    try:
        found = find(text, kinds, privacy.country)
    except Exception as error:  # noqa: BLE001  whatever failed, unscanned text must not leave
        raise _failed_scan(f"the privacy scan failed ({type(error).__name__})") from None
    if privacy.scanner is None:
        return found
    return merged([*found, *_scan_outside(text, kinds, privacy.scanner, variables)])


def _scan_outside(
    text: str, kinds: list[Kind], command: list[str], variables: Mapping[str, str]
) -> list[SensitiveSpan]:
    """The spans that the user's own scanner finds. It sees only variables that hold no secret."""
    try:
        done = subprocess.run(
            command,
            input=json.dumps({"text": text, "kinds": kinds}).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # it may contain secrets
            env=for_command(variables),
            timeout=_SCANNER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _failed_scan(f"the scanner {command[0]} took over {_SCANNER_SECONDS} s") from None
    except OSError as error:
        raise _failed_scan(f"the scanner {command[0]} cannot be started: {error.strerror}") from None
    if done.returncode != 0:
        raise _failed_scan(f"the scanner {command[0]} exited with code {done.returncode}")
    try:
        found = [_as_span(item, len(text)) for item in json.loads(done.stdout)["findings"]]
    except (ValueError, TypeError, KeyError):
        known = ", ".join(get_args(Kind))
        raise _failed_scan(
            f"the scanner {command[0]} printed no list of findings of the kinds {known}"
        ) from None
    return [span for span in found if span.kind in kinds]


def _as_span(item: Mapping[str, object], length: int) -> SensitiveSpan:
    """The span that the scanner's `item` describes, in a text of this `length`.

    Raises ValueError, TypeError or KeyError if it is not a span of the text and of a known kind: no profile
    could redact another kind, so the prompt must not leave.
    """
    kind, start, end = item["kind"], item["start"], item["end"]
    if not (isinstance(kind, str) and isinstance(start, int) and isinstance(end, int)):
        raise TypeError
    if kind not in get_args(Kind) or not 0 <= start < end <= length:
        raise ValueError
    return SensitiveSpan(kind, str(item.get("name") or kind), start, end)


def _failed_scan(what: str) -> Failure:
    return Failure(ExitStatus.DENIED, f"{what}; nothing was sent")
