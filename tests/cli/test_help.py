"""The style of help: short sentences that start with a capital and end with a full stop."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from jsonschema import Draft202012Validator

from hybrid_cli.app import COMMANDS, command_tree
from hybrid_cli.exit_status import EXIT_CODES
from hybrid_cli.help.command_tree import read_tree
from hybrid_cli.help.topics import TOPICS
from hybrid_process import HELLO, Hybrid

SENTENCE_WORDS = 25
SOURCES = re.compile(r"Sources: .*")
"""The list of sources in `hybrid pull --help` is no prose."""


def descriptions() -> Iterator[tuple[str, str]]:
    """Each text of help with the place where it appears."""
    yield from COMMANDS.items()
    for command in read_tree(command_tree()).walk():
        name = " ".join(("hybrid", *command.path))
        yield name, command.description
        for parameter in (*command.options, *command.arguments):
            yield f"{name} {parameter.long}", parameter.help


def sentences(text: str) -> list[str]:
    """The sentences of `text`, without the list of sources."""
    paragraphs = [SOURCES.sub("", " ".join(part.split())) for part in text.split("\n\n")]
    return [
        sentence
        for paragraph in paragraphs
        for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z`h])", paragraph)
        if sentence
    ]


def test_help_starts_with_a_capital_and_ends_with_a_full_stop() -> None:
    lists = ("exit-codes, profiles", "bash, zsh")  # of values
    wrong = [
        place
        for place, text in descriptions()
        if not (text[0].isupper() or text.startswith(lists)) or not re.search(r"[.\]]$", text.strip())
    ]
    assert wrong == []


def test_help_and_topics_are_short_sentences() -> None:
    parts = [(name, part) for name, topic in TOPICS.items() for part in topic]
    texts = [*descriptions(), *((name, part) for name, part in parts if isinstance(part, str))]
    texts += [(name, meaning) for name, part in parts if isinstance(part, dict) for meaning in part.values()]
    long = [
        (place, one) for place, text in texts for one in sentences(text) if len(one.split()) > SENTENCE_WORDS
    ]
    assert long == []


def test_help_as_json_describes_what_run_prints(hybrid: Hybrid) -> None:
    whole = json.loads(hybrid("help", "--json").stdout)
    assert [one["path"] for one in whole["command"]["commands"]] == [[name] for name in COMMANDS]
    assert whole["exit_codes"] == EXIT_CODES
    answer = json.loads(hybrid("run", "-p", "offline", "--json", *HELLO).stdout)
    schema = {**whole["answer_schema"], "unevaluatedProperties": False}
    Draft202012Validator(schema).validate(answer)
    assert not Draft202012Validator(schema).is_valid({**answer, "answered_by": "nobody"})
    run = json.loads(hybrid("help", "--json", "models", "rm").stdout)["command"]
    assert run["path"] == ["models", "rm"]
    assert hybrid("help", "--json", "modls").returncode == 2
