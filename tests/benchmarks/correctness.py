"""The engine's numbers and words against independent ones.

    python tests/benchmarks/correctness.py --native DIR [--model GGUF]

1. Log-probabilities, margins and entropies of 500 tokens against a softmax in double precision over
   logits that llama-cpp-python's own model class computed.
2. Sequences side by side against each alone.
3. Greedy text against `llama-completion`'s for 20 prompts. DIR is as in tests/benchmarks/engine.py.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path
from typing import Any

from hybrid_cli.local.inference import Inference
from hybrid_cli.local.loading import Loader
from hybrid_cli.local.model import Model
from hybrid_cli.local.protocol import Event, LocalRequest, Task, Tokens, TokenSignal

QUESTIONS = [
    "What is 2+2?",
    "Name three colours.",
    "What is the capital of France?",
    "Write a haiku about rain.",
    "Explain gravity to a child.",
    "Translate 'good morning' into French.",
    "What is a prime number?",
    "List the planets.",
    "Who wrote Hamlet?",
    "Give me a recipe for pancakes.",
    "What does HTTP stand for?",
    "Write a Python function that adds two numbers.",
    "Why is the sky blue?",
    "Summarise the story of Cinderella.",
    "What is the boiling point of water?",
    "Say hello in Spanish.",
    "How many days are in a leap year?",
    "Describe a fox.",
    "What is photosynthesis?",
    "Tell me a joke.",
]


def task(question: str, length: int, **settings: Any) -> Task:
    return Task([{"role": "user", "content": question}], length, **settings)


def run(engine: Inference, model: str, tasks: list[Task]) -> list[tuple[str, list[TokenSignal]]]:
    """Text and signals of each task."""
    made: dict[int, tuple[list[str], list[TokenSignal]]] = {n: ([], []) for n in range(len(tasks))}

    def take(event: Event) -> None:
        if isinstance(event, Tokens):
            made[event.sequence][0].append(event.text)
            made[event.sequence][1].extend(event.signals)

    engine.answer(LocalRequest(model, tasks, threads=2), take)
    return [("".join(texts), signals) for texts, signals in made.values()]


def compare_signals(engine: Inference, loader: Loader, path: str) -> None:
    import llama_cpp
    import numpy as np

    peer = llama_cpp.Llama(path, n_ctx=512, logits_all=True, flash_attn=True, verbose=False)
    model, worst, count = Model(loader.handle), [0.0, 0.0, 0.0], 0
    for question in QUESTIONS:
        if count >= 500:
            break
        asked = task(question, 64)
        signals = run(engine, path, [asked])[0][1]
        ids = model.tokens(model.prompt(asked.messages))
        peer.reset()
        peer.eval(ids)
        for signal in signals:
            logits = np.asarray(peer.scores[peer.n_tokens - 1], dtype=np.float64)
            logs = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
            first, second = np.sort(np.exp(logs))[-1:-3:-1]
            expected = (logs.max(), first - second, -(np.exp(logs) * logs).sum())
            worst = [max(w, abs(a - b)) for w, a, b in zip(worst, signal[:3], expected, strict=True)]
            count += 1
            peer.eval([int(logits.argmax())])
    print(
        f"largest difference over {count} tokens: log-probability {worst[0]:.1e}, margin {worst[1]:.1e},"
        f" entropy {worst[2]:.1e} (aim <= 1e-3)"
    )


def compare_batched(engine: Inference, path: str) -> None:
    tasks = [task(question, 16 + 2 * number) for number, question in enumerate(QUESTIONS[:12])]
    together = run(engine, path, tasks)
    same, worst = 0, 0.0
    for (text, signals), one in zip(together, tasks, strict=True):
        alone_text, alone = run(engine, path, [one])[0]
        same += text == alone_text
        if text == alone_text:
            worst = max(
                worst,
                *(abs((a.logprob or 0) - (b.logprob or 0)) for a, b in zip(signals, alone, strict=True)),
            )
    print(
        f"side by side: {same} of {len(tasks)} texts the same as alone, log-probabilities within {worst:.1e}"
    )


def compare_texts(engine: Inference, loader: Loader, path: str, native: Path) -> None:
    model, same = Model(loader.handle), 0
    for question in QUESTIONS:
        asked = task(question, 32)
        ours = run(engine, path, [asked])[0][0]
        command = [
            str(native / "llama-completion"),
            "-m",
            path,
            "-p",
            model.prompt(asked.messages),
            "-n",
            "32",
        ]
        command += ["--temp", "0", "-t", "2", "-no-cnv", "--no-display-prompt", "--no-warmup"]
        done = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL)
        theirs = done.stdout.decode(errors="ignore").replace("[end of text]", "").strip()
        same += ours.strip() == theirs
        if ours.strip() != theirs:
            print(f"  {question}\n    {ours.strip()!r}\n    {theirs!r}")
    print(f"greedy text: {same} of {len(QUESTIONS)} the same as llama-completion's")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--native", type=Path, required=True)
    parser.add_argument("--model")
    chosen = parser.parse_args()
    if chosen.model is None:
        from hybrid_cli.ui.environment import Environment
        from hybrid_cli.weights.store import Store

        chosen.model = str(Store(Environment.of_process()).locate("smollm2-135m").path)
    loader = Loader()
    loader.load(chosen.model)
    engine = Inference(loader)
    compare_signals(engine, loader, chosen.model)
    compare_batched(engine, chosen.model)
    compare_texts(engine, loader, chosen.model, chosen.native)


if __name__ == "__main__":
    main()
