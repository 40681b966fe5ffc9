"""Greedy texts and their signals with and without drafts of repeated text, and the time of both.

Run by hand: python tests/benchmarks/lookup.py GGUF [--texts 200] [--tokens 60]. Half of the prompts ask for a corrected
copy of a text, which drafts help with; the others ask for free text. Both ways answer each prompt in turn.
"""

from __future__ import annotations

import argparse
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
STYLES = ("a short story", "a poem", "a news report", "a letter", "a list of facts")


def prompts(count: int) -> list[tuple[str, str]]:
    """Return prompts, each with its kind."""
    draw = Random(11)

    def sentence() -> str:
        return f"{draw.choice(SUBJECTS)} {draw.choice(VERBS)} {draw.choice(OBJECTS)}"

    found = []
    for number in range(count):
        if number % 2:
            found.append(("free", f"Write {draw.choice(STYLES)}: {sentence()}."))
        else:
            text = ". ".join(sentence() for _ in range(6))
            found.append(
                ("copy", f"Write this text again with capital letters where they belong:\n\n{text}.")
            )
    return found


def answer(
    engine: Inference, path: Path, prompt: str, tokens: int, *, drafts: bool
) -> tuple[str, list[float], float]:
    """Return the text, the tokens' log-probabilities and the seconds."""
    text, logprobs = "", list[float]()

    def collect(event: object) -> None:
        nonlocal text
        if isinstance(event, Tokens):
            text += event.text
            logprobs.extend(one.logprob or 0.0 for one in event.signals)

    begun = time.perf_counter()
    task = Task([{"role": "user", "content": prompt}], tokens, drafts=drafts)
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
    ratios: dict[str, list[float]] = {"copy": [], "free": []}
    for kind, prompt in prompts(chosen.texts):
        plain = answer(engine, chosen.gguf, prompt, chosen.tokens, drafts=False)
        drafted = answer(engine, chosen.gguf, prompt, chosen.tokens, drafts=True)
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
