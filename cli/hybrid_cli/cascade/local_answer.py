"""The local side of one prompt: the request to the engine, and its events made a result."""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hybrid_cli.checks.tool_calls import Name, described
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.verdict import LocalResult
from hybrid_cli.local.protocol import LocalRequest, Task, TokenSignal
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.policy import Policy
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import EscapeFilter, undirected
from hybrid_cli.weights.store import Weights


class Thinking:
    """Shows the model's thinking on stderr, on lines of its own."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._filter = EscapeFilter()
        self._by_lines = environment.in_ci()  # a runner's command is one by its line's start
        self._line = ""

    def show(self, text: str) -> None:
        text = undirected(self._filter.feed(text))
        if self._by_lines:
            text, newline, rest = (self._line + text).rpartition("\n")
            self._line = rest
            self._environment.aside(text + newline)
        elif text:
            self._environment.aside(text)
            self._line = text.rpartition("\n")[2]

    def end(self) -> None:
        if self._line:
            self._environment.aside(f"{self._line if self._by_lines else ''}\n")
            self._line = ""


def new_request(
    request: Request,
    policy: Policy,
    weights: Weights,
    environment: Environment,
    offered: Collection[Name] = (),
    *,
    wants_state: bool = False,
) -> LocalRequest:
    """What the engine is asked under `policy`; the model is told of the tools `offered`.

    `wants_state` asks for the hidden state too.
    """
    local, sampling = policy.local, policy.local.sampling
    task = Task(
        messages=request.messages(),
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        seed=sampling.seed,
        repeat_penalty=sampling.repeat_penalty,
        stop=list(request.stop),
        schema=None if request.schema is None else request.schema.text,
        tools=described(offered),
        wants_state=wants_state,
        choices=list(request.choices),
    )
    return LocalRequest(
        path=str(weights.path.absolute()),
        tasks=[task],
        context=None if local.context == "auto" else local.context,
        threads=None if local.threads == "auto" else local.threads,
        cache_folder=str(environment.cache_folder / "prefixes") if policy.keeps_prefixes else None,
        weights_id=weights.sha256,
        require_enforcement=policy.escalation.require_enforcement,
    )


def run_local(
    worker: Worker,
    request: LocalRequest,
    result: LocalResult,
    environment: Environment,
    show: Callable[[str], None] | None,
    thinking: Thinking | None,
    fails_early: Callable[[list[float | None]], int | None],
) -> int | None:
    """Fill `result` from the worker's events; each piece of the answer also goes to `show`.

    None for a whole answer, or the checkpoint (tokens) by which `fails_early` gave it up: then the engine
    is stopped. Raises Failure where the engine cannot answer.
    """
    events = checked(worker.events(asdict(request)))
    with environment.waiting(f"loading {Path(request.path).name}"):
        loaded = next(event for event in events if event["event"] == "loaded")
    result.load_seconds = loaded["load_seconds"]
    result.tokens_in = loaded["tokens_in"]
    with environment.waiting(f"the model is reading {result.tokens_in} tokens") as arrived:
        for event in events:
            if show is None and thinking is None:
                arrived.goes_on("the model is answering")
            else:
                arrived()
            take(event, result, environment)
            if event["event"] != "tokens":
                continue
            if thinking is not None and event["thinking"]:
                thinking.show(event["thinking"])
            if event["text"]:
                _end(thinking)
                if show is not None:
                    show(event["text"])
            checkpoint = fails_early(result.logprobs)
            if checkpoint is not None:
                worker.stop()
                result.tokens_out = len(result.logprobs)
                return checkpoint
    _end(thinking)
    return None


def _end(thinking: Thinking | None) -> None:
    if thinking is not None:
        thinking.end()


def checked(events: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """`events`, up to one that says that the engine failed, which is raised as Failure."""
    for event in events:
        if event["event"] == "failed":
            raise Failure(ExitStatus[event["status"]], event["message"])
        yield event


def take(event: dict[str, Any], result: LocalResult, environment: Environment) -> None:
    """Add what `event` tells to `result`."""
    if event["event"] == "tokens":
        if result.first_token_seconds is None:
            result.first_token_seconds = round(environment.clock() - environment.started, 4)
        result.text += event["text"]
        for signal in event["signals"]:
            result.add(TokenSignal(*signal))
    elif event["event"] == "state":
        result.state = base64.b64decode(event["state"])
    elif event["event"] == "finished":
        result.finish_reason = event["finish_reason"]
        result.tokens_in, result.tokens_out = event["tokens_in"], event["tokens_out"]
    elif event["event"] == "done":
        result.context = event["context"]
