"""The questions behind the shipped calibrations, answered: the rows that gate.py fits on.

    python tests/benchmarks/gate_rows.py FOLDER --model MODEL --data DATA [--short] [--samples] [--dry-run]

Writes FOLDER/exam.jsonl and FOLDER/public.jsonl. It continues from the rows in them, and in the end keeps only those of
its questions. The exam's are drawn by kind and seed. The public ones are samples of four files in DATA: qa_small,
gsm8k, mmlu and function_calls. `--short` asks the questions of smollm2-135m, which keeps no answer, so fewer will do.
`--samples` also compares long calculated answers with two samples, which takes about twice as long in all.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from hybrid_cli.evaluate.collect import EvalInput, Evaluation
from hybrid_cli.evaluate.exam import questions
from hybrid_cli.evaluate.exam.generate import KINDS, Kind
from hybrid_cli.evaluate.fit_samples import COUNT
from hybrid_cli.evaluate.questions import LabelledQuestion, from_exam
from hybrid_cli.evaluate.rows import SavedRows
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Store

REASONING = [kind for kind in KINDS if kind.name == "reasoning"]
OTHERS = [kind for kind in KINDS if kind.name != "reasoning"]
EXAM = [(300, 0, OTHERS), (300, 1, OTHERS), (120, 2, REASONING)]
SHORT_EXAM = [(300, 0, OTHERS), (60, 2, REASONING)]
"""How many questions, by which seed, of which kinds. Reasoning has more: models are sure there, and often wrong."""
YES_NO = (8000, 7)
YES_NO_OF_A_KIND = 30
"""The first so many of each kind that want a yes or a no, of so many questions by that seed, for the same reason."""

PUBLIC = {"qa_small": 150, "gsm8k": 80, "mmlu": 300, "function_calls": 40}
SHORT_PUBLIC = {"qa_small": 100}
LONGEST = {"mmlu": 1200, "function_calls": 900}
"""Characters of a prompt, and of a function's schema."""
OF_EACH_TASK = 60
SIGNS = " ,./-_*^"
TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}
"""JSON Schema's names for the types of the function calls."""


def exam(draws: Iterable[tuple[int, int, list[Kind]]]) -> list[LabelledQuestion]:
    return [from_exam(one) for count, seed, kinds in draws for one in questions(count, seed, kinds)]


def yes_no() -> list[LabelledQuestion]:
    found: dict[str, list[LabelledQuestion]] = {}
    for one in questions(*YES_NO):
        if "yes or no" in one.prompt.lower() and {"yes", "no"} & set(one.check.get("text", [])):
            found.setdefault(one.kind, []).append(from_exam(one))
    return [one for of_kind in found.values() for one in of_kind[:YES_NO_OF_A_KIND]]


def each_once(asked: Iterable[LabelledQuestion]) -> list[LabelledQuestion]:
    return list({(question.asked, question.identity): question for question in asked}.values())


def public(folder: Path, counts: dict[str, int]) -> list[LabelledQuestion]:
    """Return the samples of the public questions. One generator draws all files in turn, so the order matters."""
    draw = Random(5)
    samples = {
        "qa_small": _of_each_task(_read(folder / "qa_small.jsonl"), draw),
        "gsm8k": _shuffled(_read(folder / "gsm8k.jsonl"), draw),
        "mmlu": _shuffled(
            (row for row in _read(folder / "mmlu.jsonl") if len(row["prompt"]) < LONGEST["mmlu"]), draw
        ),
        "function_calls": _shuffled(map(_call, _read(folder / "function_calls.jsonl")), draw),
    }
    samples["function_calls"] = [row for row in samples["function_calls"] if _is_plain(row["schema"])]
    return [
        msgspec.convert(row, LabelledQuestion)
        for name, count in counts.items()
        for row in samples[name][:count]
    ]


def _read(file: Path) -> list[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _shuffled(rows: Iterable[dict[str, Any]], draw: Random) -> list[dict[str, Any]]:
    found = list(rows)
    draw.shuffle(found)
    return found


def _of_each_task(rows: list[dict[str, Any]], draw: Random) -> list[dict[str, Any]]:
    tasks = sorted({row["task"] for row in rows})
    chosen = [
        row
        for task in tasks
        for row in _shuffled((row for row in rows if row["task"] == task), draw)[:OF_EACH_TASK]
    ]
    return _shuffled(chosen, draw)


def _call(row: dict[str, Any]) -> dict[str, Any]:
    """Return a function call as a question: its arguments as JSON, right if each has an accepted value."""
    function = row["function"][0]
    accepted = row["ground_truth"][0][function["name"]]
    values = {name: [_like(one) for one in found if one != ""] for name, found in accepted.items()}
    return {
        "task": "function_calls",
        "prompt": f"{row['question'][0][0]['content']}\nGive the arguments for calling {function['name']}"
        f" ({function['description']})",
        "kind": "schema",
        "schema": {**_schema(function["parameters"]), "additionalProperties": False},
        "answer": {
            "type": "object",
            "properties": {name: {"anyOf": found} if found else False for name, found in values.items()},
            "required": [name for name, found in accepted.items() if "" not in found],
            "additionalProperties": False,
        },
    }


def _like(accepted: Any) -> dict[str, Any]:
    """Return a schema of values that equal `accepted`. In text, case and the signs in SIGNS do not count."""
    if isinstance(accepted, list):
        items = [_like(one) for one in accepted]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if not isinstance(accepted, str):
        return {"const": accepted}
    signs = f"[{re.escape(SIGNS)}]*"
    letters = (f"[{re.escape(one.lower() + one.upper())}]" for one in accepted if one not in SIGNS)
    return {"type": "string", "pattern": f"^{signs}{signs.join(letters)}{signs}$"}


def _is_plain(schema: dict[str, Any]) -> bool:
    """Return whether a function takes no objects, of which the accepted values cannot be compared, and few arguments."""
    size = len(json.dumps(schema))
    return size < LONGEST["function_calls"] and '"object"' not in json.dumps(schema["properties"])


def _schema(given: dict[str, Any]) -> dict[str, Any]:
    """Return a function's schema with the types of JSON Schema."""
    schema = {name: given[name] for name in ("type", "enum", "required", "description") if name in given}
    if "type" in schema:
        schema["type"] = TYPES.get(schema["type"], schema["type"])
    if "items" in given:
        schema["items"] = _schema(given["items"])
    if "properties" in given:
        schema["properties"] = {name: _schema(one) for name, one in given["properties"].items()}
    return schema


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", required=True, help="a model's name or file")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the public questions")
    parser.add_argument("--short", action="store_true", help="ask fewer questions")
    parser.add_argument(
        "--samples", action="store_true", help="compare long calculated answers with two samples"
    )
    parser.add_argument("--dry-run", action="store_true", help="only estimate the time")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    parts = {
        "exam": each_once(exam(SHORT_EXAM) if chosen.short else [*exam(EXAM), *yes_no()]),
        "public": public(chosen.data, SHORT_PUBLIC if chosen.short else PUBLIC),
    }
    environment = Environment.of_process()
    policy = merge_policy(Flags(model=chosen.model), environment)
    samples = COUNT if chosen.samples else 0
    policy = replace(policy, escalation=msgspec.structs.replace(policy.escalation, samples=samples))
    weights = Store(environment).locate(policy.local.model)
    for name, asked in parts.items():
        file = chosen.folder / f"{name}.jsonl"
        data = EvalInput(None, "all", None, file, "none")
        work = Evaluation(data, asked, [], policy, weights, SavedRows.read(file, samples), environment)
        work.begin(agreed=True)
        if not chosen.dry_run:
            rows = work.measure(None)
            file.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))


if __name__ == "__main__":
    main()
