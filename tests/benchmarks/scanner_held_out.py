"""Recall of the scanner on the examples of scanners that were not used to write it.

    git clone https://github.com/praetorian-inc/noseyparker
    git clone https://github.com/mongodb/kingfisher
    git clone https://github.com/Samsung/CredSweeper
    python tests/benchmarks/scanner_held_out.py --rules noseyparker kingfisher --samples CredSweeper [--show]

The first two keep their rules in YAML with examples, the third the lines of its samples with what is to be
found in them. A rule is claimed where its name speaks of a vendor or a kind
that the catalogue names (privacy/credentials.py), but for the names in NO_CREDENTIAL: identifiers, public
halves and hashes, which open nothing. Names decide, never the examples. A kind is found if the scanner finds
a secret in every one of its examples, and of the samples the very value.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from hybrid_cli.privacy.credentials import CREDENTIALS
from hybrid_cli.privacy.scan import find

NO_CREDENTIAL = re.compile(
    r"(client|account|user|subscription|team|key|consumer|application|app|tenant|project|org\w*|access key)[ -]?id\b"
    r"|\bpublic\b|publishable|recipient|bucket|domain|resource name|\bhash\b|username|\bhost\b|\burl\b|endpoint"
    r"|\bslug|workspace|cluster",
    re.IGNORECASE,
)
ALIASES = {
    "amazon": "aws",
    "basic": "authorization",
    "bearer": "authorization",
    "curl": "password",
    "digital": "digitalocean",
    "newrelic": "new",
    "pem": "private",
    "url": "password",
    "artifactory": "jfrog",
    "gcp": "google",
    "hashicorp": "vault",
    "huggingface": "hugging",
    "jira": "atlassian",
    "pem-encoded": "private",
    "sendinblue": "brevo",
    "sonarcloud": "sonar",
    "sonarqube": "sonar",
    "squareup": "square",
}


def claimed(name: str) -> bool:
    """Whether a rule of this name is for secrets of a vendor, or of a kind, that the catalogue names."""
    vendors = {known.split()[0].lower() for known, _, _ in CREDENTIALS}
    first = name.split(maxsplit=1)[0].lower()
    is_one = NO_CREDENTIAL.search(name) is None or "Access Key ID" in name
    return is_one and ALIASES.get(first, first) in vendors


def rule_examples(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Each rule's name with each of its examples; which part of it is the secret is not said."""
    for path in sorted(folder.rglob("rules/*.yml")):
        for rule in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("rules", []):
            for example in rule.get("examples") or ():
                yield rule["name"], example, ""


def samples(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Each rule's name with the lines that it should alarm at, and the value in them."""
    for found in json.loads((folder / "tests/data/output.json").read_text(encoding="utf-8")):
        lines = found["line_data_list"]
        values = [line["value"] for line in lines]
        yield found["rule"], "\n".join(dict.fromkeys(line["line"] for line in lines)), max(values, key=len)


def is_found(text: str, value: str) -> bool:
    spans = [text[one.start : one.end] for one in find(text, ["secret"])]
    return any(not value or span in value or value in span for span in spans)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rules", type=Path, nargs="*", default=[], metavar="CHECKOUT")
    parser.add_argument("--samples", type=Path, nargs="*", default=[], metavar="CHECKOUT")
    parser.add_argument("--show", action="store_true", help="print the examples that are missed")
    arguments = parser.parse_args()
    for folder in arguments.rules:
        measure(folder.name, rule_examples(folder), show=arguments.show)
    for folder in arguments.samples:
        measure(folder.name, samples(folder), show=arguments.show)


def measure(title: str, examples: Iterable[tuple[str, str, str]], *, show: bool) -> None:
    kinds: dict[str, list[bool]] = {}
    for name, text, value in examples:
        if claimed(name):
            hit = is_found(text, value)
            kinds.setdefault(name, []).append(hit)
            if show and not hit:
                print(f"{name}: {text!r}")
    hits = [hit for found in kinds.values() for hit in found]
    whole = sum(map(all, kinds.values()))
    print(
        f"{title}: {whole} of {len(kinds)} kinds claimed ({whole / len(kinds):.1%}) in every example,"
        f" {sum(map(any, kinds.values()))} in one or more; {sum(hits)} of {len(hits)} examples"
        f" ({sum(hits) / len(hits):.1%})"
    )
    missed = {name: found for name, found in kinds.items() if not all(found)}
    print(
        "  missed:", ", ".join(f"{name} {found.count(False)}/{len(found)}" for name, found in missed.items())
    )


if __name__ == "__main__":
    main()
