"""Which layout of the weights a request is faster with, and how many of its answers run together."""

from __future__ import annotations

from hybrid_cli.local.layouts import (
    USUAL_ANSWER,
    USUAL_SLOTS,
    Layouts,
    Speed,
    tokens_of_answer,
    tokens_of_prompt,
)
from hybrid_cli.local.protocol import LocalRequest, SchedulerRequest, Task


def rearranging_pays(request: LocalRequest | SchedulerRequest, layouts: Layouts) -> bool:
    """Whether `request` is faster with rearranged weights; the time for loading them counts for a few prompts only."""
    tasks = _tasks(request)
    answer = max(map(_usual_answer, tasks), default=USUAL_ANSWER)
    if isinstance(request, LocalRequest) and len(tasks) <= USUAL_SLOTS:
        return layouts.rearranging_pays_once(max(map(_prompt, tasks)), answer)
    return layouts.rearranging_pays(answer, lambda speed: slots(request, layouts, speed) if tasks else 1)


def slots(request: LocalRequest | SchedulerRequest, layouts: Layouts, speed: Speed) -> int:
    """Return how many sequences of `request` to decode together at this `speed` of `layouts`."""
    tasks = _tasks(request)
    jobs, seconds = (request.jobs, request.seconds) if isinstance(request, SchedulerRequest) else (None, None)
    if jobs is not None:
        return jobs
    return layouts.slots(speed, max(map(_longest_answer, tasks)), seconds) if tasks else USUAL_SLOTS


def _tasks(request: LocalRequest | SchedulerRequest) -> list[Task]:
    """The tasks, or what those of a scheduler are like; none if users ask it one by one."""
    return request.tasks if isinstance(request, LocalRequest) else request.examples


def _prompt(task: Task) -> int:
    return tokens_of_prompt(sum(len(message["content"]) for message in task.messages), len(task.images))


def _usual_answer(task: Task) -> int:
    return tokens_of_answer(task.max_tokens, is_choice=bool(task.choices))


def _longest_answer(task: Task) -> int:
    return _usual_answer(task) if task.choices else task.max_tokens
