"""What a JSON Schema costs per token: asking the grammar about few tokens, and about the whole vocabulary.

Run by hand: python tests/benchmarks/grammar.py GGUF [--tokens 60] [--rounds 5]. Both ways answer the same prompt, in turn;
the times are this process's CPU time, and medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import numpy as np

from hybrid_cli.local import grammar_filter
from hybrid_cli.local.grammar_filter import Grammar
from hybrid_cli.local.inference import Inference
from hybrid_cli.local.loading import Loader
from hybrid_cli.local.logits import Logits, Meter
from hybrid_cli.local.logits import Tokens as TokenIds
from hybrid_cli.local.protocol import Finished, LocalRequest, Task, Tokens

SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "age": {"type": "integer"},
            "city": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 3, "maxItems": 3},
            "summary": {"type": "string"},
        },
        "required": ["name", "age", "city", "tags", "summary"],
        "additionalProperties": False,
    }
)
PROMPT = (
    "Anna Berg, 34, lives in Oslo; she likes skiing, chess and tea. Give her data as JSON, with a summary."
)


def answer(engine: Inference, path: Path, tokens: int, *, whole: bool) -> tuple[float, float, str]:
    """Return the milliseconds of the grammar per token, those of everything per token, and the answer."""
    original, seconds = grammar_filter.Grammar.allowed, list[float]()
    text, count = "", 0

    def timed(grammar: Grammar, logits: Logits, meter: Meter, enough: int) -> TokenIds:
        begun = time.thread_time()
        if whole:
            found = grammar.permitted(np.arange(len(logits)), logits)
        else:
            found = original(grammar, logits, meter, enough)
        seconds.append(time.thread_time() - begun)
        return found

    def collect(event: object) -> None:
        nonlocal text, count
        if isinstance(event, Tokens):
            text += event.text
        elif isinstance(event, Finished):
            count = event.tokens_out

    task = Task([{"role": "user", "content": PROMPT}], tokens, schema=SCHEMA, drafts=False)
    grammar_filter.Grammar.allowed = timed  # type: ignore[method-assign]
    begun = time.process_time()
    try:
        engine.answer(LocalRequest(str(path), [task]), collect)
    finally:
        grammar_filter.Grammar.allowed = original  # type: ignore[method-assign]
    spent = time.process_time() - begun
    return 1000 * statistics.mean(seconds), 1000 * spent / count, text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    engine = Inference(Loader())
    found: dict[bool, list[tuple[float, float, str]]] = {False: [], True: []}
    for _ in range(chosen.rounds + 1):
        for whole, figures in found.items():
            figures.append(answer(engine, chosen.gguf, chosen.tokens, whole=whole))
    for whole, figures in found.items():
        grammar, everything = (statistics.median(one[place] for one in figures[1:]) for place in (0, 1))
        name = "the whole vocabulary" if whole else "few tokens"
        print(f"{name}: grammar {grammar:.2f} ms a token, everything {everything:.1f} ms CPU a token")
    same = len({one[2] for figures in found.values() for one in figures}) == 1
    print(f"answers {'the same' if same else 'DIFFERENT'}; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
