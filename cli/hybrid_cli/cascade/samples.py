"""Further samples of a calculated answer: whether the model comes to the same number again."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hybrid_cli.checks.agreement import result_of
from hybrid_cli.gate.local_score import answer_form
from hybrid_cli.gate.verdict import LocalResult
from hybrid_cli.local.protocol import Engine, Finished, LocalRequest, Tokens
from hybrid_cli.prompt import Request

TEMPERATURE = 0.7
"""High enough for samples that differ where the model is unsure, and that are still sensible."""
_LONGEST = 2
"""Times the tokens of the answer."""


def is_comparable(result: LocalResult, request: Request) -> bool:
    """Return whether a result is a whole, long answer in free text that comes to a number."""
    form = answer_form(
        len(result.logprobs), has_schema=request.schema is not None, has_choices=request.choices != ()
    )
    is_sound = result.finish_reason == "stop" and result.problem is None and result.doubt is None
    return form == "long" and is_sound and result_of(result.text) is not None


def has_time(result: LocalResult, elapsed: float, limit: float | None) -> bool:
    """Return whether the time limit leaves as long as the answer took: a sample may take that again.

    `elapsed` and `limit` are the seconds of the whole command; a limit of None never ends.
    """
    return limit is None or limit - elapsed > (result.seconds or 0)


def sampled_request(
    request: LocalRequest, answers: Sequence[LocalResult], numbers: Sequence[int]
) -> LocalRequest:
    """Return the request for further samples of each task's answer, by their numbers from 1: each draws for itself.

    A sample of more than twice the answer's tokens is cut off: it hardly comes to the same number, and takes long.
    """
    tasks = [
        msgspec.structs.replace(
            task,
            temperature=TEMPERATURE,
            sample=number,
            max_tokens=min(task.max_tokens, _LONGEST * len(answer.logprobs)),
        )
        for task, answer in zip(request.tasks, answers, strict=True)
        for number in numbers
    ]
    return msgspec.structs.replace(request, tasks=tasks)


def sampled_texts(engine: Engine, request: LocalRequest) -> list[str]:
    """Return the text of each of the request's tasks."""
    return [text for text, _ended in sampled(engine, request)]


def sampled(engine: Engine, request: LocalRequest) -> list[tuple[str, Finished | None]]:
    """Return the text of each of the request's tasks, and the event with its tokens; None if the engine refused it."""
    texts = [""] * len(request.tasks)
    ended: list[Finished | None] = [None] * len(request.tasks)
    for event in engine.events(request):
        if isinstance(event, Tokens):
            texts[event.sequence] += event.text
        elif isinstance(event, Finished):
            ended[event.sequence] = event
    return list(zip(texts, ended, strict=True))


def agrees(text: str, sample: str) -> bool:
    """Return whether a sample comes to the same number as `text`."""
    return result_of(sample) == result_of(text)
