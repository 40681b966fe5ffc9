"""Turning one task into the forms in which users ask it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from hybrid_cli.evaluate.exam.question import ExamQuestion

Value = str | float | bool


@dataclass(frozen=True)
class Item:
    """A task before it has a form."""

    ask: str
    """The request, without any word on the answer's form."""
    answer: Value
    """The right answer: a text, a number, or a boolean for yes and no."""
    context: str = ""
    """The text that the task is about."""
    also: tuple[str, ...] = ()
    """Other texts that are right."""
    wrong: tuple[str, ...] = ()
    """Plausible wrong answers, as texts."""
    check: Mapping[str, Any] | None = None
    """The check of a free answer, for tasks whose answer is more than a word or a number."""
    schema: Mapping[str, Any] | None = None
    """The JSON Schema for an answer that is an object."""
    value: Any = None
    """The right JSON value under `schema`."""
    brief: str = ""
    """What a `word` form asks for, if it is not a word or a number: "Answer with the option only."."""

    @property
    def text(self) -> str:
        """The answer as users write it."""
        if isinstance(self.answer, bool):
            return "yes" if self.answer else "no"
        return (
            self.answer
            if isinstance(self.answer, str)
            else f"{self.answer:g}"
            if _short(self)
            else _whole(self)
        )


def _short(item: Item) -> bool:
    return isinstance(item.answer, float) and not item.answer.is_integer()


def _whole(item: Item) -> str:
    return str(int(item.answer))


Maker = Callable[[Random], Item]
Parts = dict[str, Any]

_BRIEF_TEXT = (
    "Answer with one word.",
    "One word only.",
    "Reply with just the word.",
    "Just the answer, one word.",
)
_BRIEF_PHRASE = (
    "Answer only, no explanation.",
    "Reply with just the answer.",
    "Just the answer, nothing else.",
)
_BRIEF_NUMBER = (
    "Reply with the number only.",
    "Just the number.",
    "Answer with a number only.",
    "Print only the number.",
)
_BRIEF_YES_NO = ("Answer yes or no.", "Yes or no?", "Reply with yes or no only.")
_STEPS = (
    "",
    "",
    " Think step by step briefly, then finish with a line '#### <number>'.",
    " Show your reasoning.",
)
_LETTERS = ("Reply with the letter only.", "Which letter is right?", "Answer with A, B, C or D.", "Answer:")


def question(number: int, kind: str, form: str, item: Item, draw: Random) -> ExamQuestion:
    """Return `item` as a question of `form`."""
    parts = _DRESS[form](item, draw)
    if item.context and "context" not in parts:
        parts["prompt"] = f"{parts['prompt']}\n\n{item.context}"
    return ExamQuestion(id=f"{kind}-{form}-{number}", kind=kind, form=form, **parts)


def _free_check(item: Item) -> Mapping[str, Any]:
    if item.check is not None:
        return item.check
    if isinstance(item.answer, bool):
        return {"text": _yes_no(item.answer), "rejected": _yes_no(not item.answer)}
    if isinstance(item.answer, str):
        case = {"cased": [item.answer, *item.also]} if item.answer.isupper() and len(item.answer) > 2 else {}
        return {"text": [item.answer, *item.also], "rejected": _rejected(item), **case}
    return {"number": item.answer}


def _yes_no(value: bool) -> list[str]:
    return ["yes", "true", "correct"] if value else ["no", "false", "incorrect"]


def _rejected(item: Item) -> list[str]:
    """The wrong answers that are no part of a right one."""
    right = [one.casefold() for one in (item.text, *item.also)]
    return [one for one in item.wrong if not any(one.casefold() in text for text in right)]


def _bare(item: Item, draw: Random) -> Parts:
    is_number = item.check is None and not isinstance(item.answer, str | bool)
    steps = draw.choice(_STEPS) if is_number else ""
    return {"prompt": item.ask + steps, "check": _free_check(item), "example": item.text}


def _context(item: Item, draw: Random) -> Parts:
    return {**_bare(replace(item, context=""), draw), "context": item.context}


def _word(item: Item, draw: Random) -> Parts:
    """Limit the answer to what a script can read."""
    check = dict(_free_check(item))
    if isinstance(item.answer, bool):
        brief, most = draw.choice(_BRIEF_YES_NO), 1
    elif isinstance(item.answer, str):
        most = max(len(one.split()) for one in (item.answer, *item.also))
        brief = draw.choice(_BRIEF_TEXT if most == 1 and item.answer.isalpha() else _BRIEF_PHRASE)
    else:
        brief, most = draw.choice(_BRIEF_NUMBER), 1
    if item.check is None:
        check["words_at_most"] = most + 2
    return {"prompt": f"{item.ask} {item.brief or brief}", "check": check, "example": item.text}


def options(item: Item, draw: Random, most: int = 4) -> list[str]:
    """Return the right answer among wrong ones, in random order."""
    distinct = {one.casefold(): one for one in item.wrong}
    others = [one for key, one in distinct.items() if key != item.text.casefold()]
    found = [item.text, *draw.sample(others, min(most - 1, len(others)))]
    draw.shuffle(found)
    return found


def _letter(item: Item, draw: Random) -> Parts:
    found = options(item, draw)
    listed = "\n".join(f"{letter}. {one}" for letter, one in zip("ABCD", found, strict=False))
    right = "ABCD"[found.index(item.text)]
    closing = draw.choice(_LETTERS)
    prompt = f"{item.ask}\n{listed}\n{closing}"
    return {"prompt": prompt, "check": {"letter": right}, "example": right, "context": item.context}


def _choices(item: Item, draw: Random) -> Parts:
    found = ["yes", "no"] if isinstance(item.answer, bool) else options(item, draw)
    parts = {
        "prompt": item.ask,
        "check": {"exact": [item.text]},
        "example": item.text,
        "choices": tuple(found),
    }
    return {**parts, "context": item.context}


def _schema(item: Item, draw: Random) -> Parts:
    """Ask for JSON: an object of the item's own, or a boolean, an enum, or an object with one value."""
    schema, values = (item.schema, [item.value]) if item.schema is not None else _plain_schema(item, draw)
    return {
        "prompt": item.ask,
        "check": {"json_any": values},
        "example": json.dumps(values[0]),
        "schema": json.dumps(schema),
        "context": item.context,
    }


def _plain_schema(item: Item, draw: Random) -> tuple[Mapping[str, Any], list[Any]]:
    """Return a schema for a plain answer, and its right values."""
    if isinstance(item.answer, bool):
        return {"type": "boolean"}, [item.answer]
    name = draw.choice(("answer", "result", "value"))
    if isinstance(item.answer, str):
        if len(item.wrong) > 1 and draw.random() < 0.6:
            return {"enum": options(item, draw)}, [item.answer]
        return one_value(name, "string"), [{name: one} for one in (item.answer, *item.also)]
    if _short(item):
        return one_value(name, "number"), [{name: item.answer}]
    return one_value(name, "integer"), [{name: int(item.answer)}]


def one_value(name: str, type_: str) -> Mapping[str, Any]:
    """Return the schema of an object with one property."""
    properties = {name: {"type": type_}}
    return {"type": "object", "properties": properties, "required": [name], "additionalProperties": False}


_DRESS: dict[str, Callable[[Item, Random], Parts]] = {
    "bare": _bare,
    "context": _context,
    "word": _word,
    "letter": _letter,
    "choices": _choices,
    "schema": _schema,
}
