"""Recall, false alarms and speed of the scanner on text that was not used to write it.

    git clone https://github.com/gitleaks/gitleaks
    python tests/benchmarks/scanner.py --gitleaks gitleaks --text FILE.jsonl ...

Recall: the example secrets in the sources of gitleaks' public rules (cmd/generate/config/rules), those
written out and those its generator draws by a pattern. A rule counts as claimed where one of the scanner's
names speaks of the same vendor. False alarms: sentences of the strings in JSONL files; each alarm is
printed with its kind, to be judged by a reader. Speed: the best of five over 130 kB of that text.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drawn_text import drawn
from hybrid_cli.privacy.credentials import CREDENTIALS
from hybrid_cli.privacy.scan import find

KINDS = ("secret", "email", "phone", "card", "iban", "ip")
_random = random.Random(1)

_STRING = r'"(?:[^"\\]|\\.)*"|`[^`]*`'
_UTIL = {
    "AlphaNumericExtendedShort": r"[a-z0-9_-]",
    "AlphaNumericExtendedLong": r"[a-z0-9/=_+-]",
    "AlphaNumericExtended": r"[a-z0-9=_-]",
    "AlphaNumeric": r"[a-z0-9]",
    "Hex8_4_4_4_12": r"[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}",
    "Hex": r"[a-f0-9]",
    "Numeric": r"[0-9]",
}
_DRAWN = re.compile(
    rf"secrets\.NewSecret(?:WithEntropy)?\((?:utils\.(?P<name>\w+)\((?P<count>{_STRING})?\)|(?P<pattern>{_STRING}))"
    r"(?:,\s*[\d.]+)?\)"
)
_TERM = rf"(?:{_STRING}|{_DRAWN.pattern.replace('(?P<name>', '(?:').replace('(?P<count>', '(?:').replace('(?P<pattern>', '(?:')})"
_EXPRESSION = re.compile(rf"{_TERM}(?:\s*\+\s*{_TERM})*")


def unquoted(literal: str) -> str:
    return literal[1:-1] if literal[0] == "`" else str(json.loads(literal.replace("\\x1b", "")))


def evaluated(expression: str) -> str:
    """The text of a Go expression of strings and drawn secrets."""
    text = ""
    for term in re.finditer(_TERM, expression):
        found = _DRAWN.fullmatch(term[0])
        if found is None:
            text += unquoted(term[0])
        elif found["pattern"] is not None:
            text += drawn(unquoted(found["pattern"]), _random)
        elif found["name"].startswith("Hex8"):
            text += drawn(_UTIL["Hex8_4_4_4_12"], _random)
        else:
            text += drawn(f"{_UTIL[found['name']]}{{{unquoted(found['count'])}}}", _random)
    return text


def examples(folder: Path) -> Iterator[tuple[str, str]]:
    """Each rule's name with each text that it must find."""
    for path in sorted((folder / "cmd/generate/config/rules").glob("*.go")):
        for function in path.read_text(encoding="utf-8").split("\nfunc ")[1:]:
            rule = re.search(r'RuleID:\s*"([^"]+)"', function)
            shown = re.search(r"\btps\b(.*?)(?:\bfps\b\s*:?=|\breturn\b)", function, re.DOTALL)
            if rule is None or shown is None:
                continue
            body = re.sub(rf"({_STRING})|//[^\n]*", lambda match: match[1] or "", shown[1])
            named = re.compile(rf'utils\.GenerateSampleSecrets?\("([^"]+)",\s*({_EXPRESSION.pattern})\)')
            for match in named.finditer(body):
                yield rule[1], f'{match[1]}_api_token = "{evaluated(match[2])}"'
            rest = named.sub("", body)
            for match in _EXPRESSION.finditer(rest):
                alone = not rest[: match.start()].rstrip().endswith("+") and not rest[
                    match.end() :
                ].lstrip().startswith("+")
                if "Sprintf" not in body and len(match[0]) > 14 and alone:
                    yield rule[1], evaluated(match[0])


def claimed(rule: str) -> bool:
    """Whether a name of the scanner speaks of the rule's vendor."""
    vendors = {name.lower().replace(" ", "").replace(".", "") for name, _, _ in CREDENTIALS}
    aliases = {
        "gcp": "google",
        "hashicorp": "vault",
        "sendinblue": "brevo",
        "jwt": "json",
        "curl": "authorization",
    }
    first = aliases.get(rule.split("-", maxsplit=1)[0], rule.split("-", maxsplit=1)[0].lower())
    return any(vendor.startswith(first[:6]) for vendor in vendors)


def measure_recall(folder: Path) -> None:
    found: dict[str, list[bool]] = {}
    for rule, text in examples(folder):
        hit = any(finding.kind == "secret" for finding in find(text, ["secret"]))
        found.setdefault(rule, []).append(hit)
    for title, rules in (
        ("of vendors that are claimed", {rule: hits for rule, hits in found.items() if claimed(rule)}),
        ("of all vendors", found),
    ):
        hits = [hit for rule in rules.values() for hit in rule]
        whole = sum(all(rule) for rule in rules.values())
        some = sum(any(rule) for rule in rules.values())
        print(
            f"{title}: {sum(hits)} of {len(hits)} examples ({sum(hits) / len(hits):.1%});"
            f" of {len(rules)} rules {some} are found, {whole} in every example"
        )
        print(
            "  missed:",
            ", ".join(
                sorted(
                    f"{rule} {rules[rule].count(False)}/{len(rules[rule])}"
                    for rule in rules
                    if not all(rules[rule])
                )
            ),
        )


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


def measure_false_alarms(files: list[Path]) -> str:
    lines = [line for path in files for line in path.read_text(encoding="utf-8").split("\n") if line]
    texts = [text for line in lines for text in strings(json.loads(line))]
    sentences = [one for text in texts for one in re.split(r"(?<=[.!?])\s+|\n", text) if one.strip()]
    alarms = [(finding, one) for one in sentences for finding in find(one, KINDS)]
    print(
        f"{len(sentences)} sentences, {len(alarms)} findings, {1e4 * len(alarms) / len(sentences):.2f} in 10,000:"
    )
    for finding, one in alarms:
        print(f"  {finding.kind}: {one[max(0, finding.start - 20) : finding.end + 10]!r}")
    _random.shuffle(texts)
    return "\n".join(texts)[:130_000]


def measure_speed(text: str) -> None:
    times = []
    for _ in range(5):
        started = time.perf_counter()
        find(text, KINDS)
        times.append(time.perf_counter() - started)
    print(f"{len(text)} characters: {min(times) * 1000:.1f} ms (load {os.getloadavg()[0]:.1f})")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gitleaks", type=Path, metavar="CHECKOUT")
    parser.add_argument("--text", type=Path, nargs="*", default=[], metavar="JSONL")
    arguments = parser.parse_args()
    if arguments.gitleaks is not None:
        measure_recall(arguments.gitleaks)
    if arguments.text:
        measure_speed(measure_false_alarms(arguments.text))


if __name__ == "__main__":
    main()
