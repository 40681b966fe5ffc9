"""Greedy texts and their signals with and without drafts, and the time of both.

Run by hand: python tests/benchmarks/lookup.py GGUF [--texts 200] [--tokens 60]. A third of the prompts asks for a
corrected copy of a text, which drafts help with, a third for free text, and a third for JSON of a schema, which forces a part
of it. Both ways answer each prompt in turn.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import time
from pathlib import Path
from random import Random

from hybrid_cli.local.inference import Inference
from hybrid_cli.local.loading import Loader
from hybrid_cli.local.protocol import LocalRequest, Task, Tokens

SUBJECTS = [
    "the baker",
    "a fox",
    "our teacher",
    "the old ship",
    "my neighbour",
    "a robot",
    "the river",
    "two sisters",
    "the mayor",
    "a cat",
]
VERBS = [
    "walks to",
    "looks for",
    "remembers",
    "paints",
    "forgets",
    "builds",
    "sells",
    "finds",
    "hides",
    "repairs",
]
OBJECTS = [
    "the market",
    "a red door",
    "the last train",
    "an empty house",
    "the garden",
    "a letter",
    "the bridge",
    "old books",
]
SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {
            "who": {"type": "string"},
            "action": {"type": "string"},
            "mood": {"enum": ["happy", "sad", "neutral"]},
            "animal": {"type": "boolean"},
        },
        "required": ["who", "action", "mood", "animal"],
        "additionalProperties": False,
    }
)
STYLES = ("a short story", "a poem", "a news report", "a letter", "a list of facts")


KINDS = ("copy", "free", "form")


def prompts(count: int) -> list[tuple[str, str]]:
    """Return prompts, each with its kind."""
    draw = Random(11)

    def sentence() -> str:
        return f"{draw.choice(SUBJECTS)} {draw.choice(VERBS)} {draw.choice(OBJECTS)}"

    def prompt(kind: str) -> str:
        if kind == "free":
            return f"Write {draw.choice(STYLES)}: {sentence()}."
        if kind == "form":
            return f"Who does what? {sentence()}.\nAnswer with JSON of this schema: {SCHEMA}"
        text = ". ".join(sentence() for _ in range(6))
        return f"Write this text again with capital letters where they belong:\n\n{text}."

    return [(kind, prompt(kind)) for kind in itertools.islice(itertools.cycle(KINDS), count)]


def answer(
    engine: Inference, path: Path, prompt: str, tokens: int, *, schema: str | None, drafts: bool
) -> tuple[str, list[float], float]:
    """Return the text, the tokens' log-probabilities and the seconds."""
    text, logprobs = "", list[float]()

    def collect(event: object) -> None:
        nonlocal text
        if isinstance(event, Tokens):
            text += event.text
            logprobs.extend(one.logprob or 0.0 for one in event.signals)

    begun = time.perf_counter()
    task = Task([{"role": "user", "content": prompt}], tokens, schema=schema, drafts=drafts)
    engine.answer(LocalRequest(str(path), [task]), collect)
    return text, logprobs, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=60)
    chosen = parser.parse_args()
    engine = Inference(Loader())
    same, furthest = 0, 0.0
    ratios: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for kind, prompt in prompts(chosen.texts):
        schema = SCHEMA if kind == "form" else None
        plain = answer(engine, chosen.gguf, prompt, chosen.tokens, schema=schema, drafts=False)
        drafted = answer(engine, chosen.gguf, prompt, chosen.tokens, schema=schema, drafts=True)
        ratios[kind].append(drafted[2] / plain[2])
        if plain[0] == drafted[0]:
            same += 1
            furthest = max(
                furthest, *(abs(one - other) for one, other in zip(plain[1], drafted[1], strict=True))
            )
    print(
        f"{same} of {chosen.texts} texts are the same; their log-probabilities differ by {furthest:.4f} at most"
    )
    for kind, found in ratios.items():
        print(f"{kind}: {statistics.median(found):.2f} of the time without drafts (median of {len(found)})")
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
