"""`hybrid mcp`: tools for agents over stdio, with the official SDK of the Model Context Protocol."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid_cli import __version__
from hybrid_cli.cascade.answer import Answer
from hybrid_cli.cascade.session import guard
from hybrid_cli.checks.choices import checked_choices
from hybrid_cli.checks.json_schema import AnswerSchema, checked_schema
from hybrid_cli.egress.budget import left_of_limits
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.guard.forbid import wipe_start_environment
from hybrid_cli.ledger import report
from hybrid_cli.ledger.database import Ledger
from hybrid_cli.profile.policy import merge_policy
from hybrid_cli.prompt import Question
from hybrid_cli.prompt_files.collect import read_text_file
from hybrid_cli.serve.agent_server import AgentServer
from hybrid_cli.serve.answering import Answering, collect_garbage_often
from hybrid_cli.serve.asked import Asked, RequestFlags
from hybrid_cli.serve.engines import Engines
from hybrid_cli.serve.exchange import Exchange
from hybrid_cli.ui.environment import Environment

_PARALLEL = 24
"""Prompts that are answered at once; the engine decodes as many together as pays."""
_MAX_RECORDS = 1_000
_SUMMARIZE = "Summarize this text in three sentences."
_INSTRUCTIONS = (
    "A small language model on this machine. Use it for work that is easy, repeated or private: classify, extract,"
    " rephrase, summarize. Each result says which model answered (`answered_by`) and how sure hybrid is"
    " (`confidence`, 0 to 1); check answers with a low one."
)

Result = dict[str, Any]


def serve_agents(profile: str, model: str | None, environment: Environment) -> None:
    """Answer the agent on stdin and stdout until it leaves. Raises Failure if the profile is not valid."""
    flags = RequestFlags(profile=profile, model=model)
    policy = merge_policy(flags, environment)
    wipe_start_environment()  # a key stays in it as long as the agent works
    enforcement = guard(policy, environment)
    # Behind the guard no engine that stays can be called, so this process has its own.
    engines = Engines(environment, may_connect=enforcement == "none")
    tools = AgentTools(Answering(environment, engines, enforcement), flags, Path.cwd().resolve())
    offered = (tools.ask, tools.classify, tools.extract, tools.summarize_files, tools.usage)
    server = AgentServer("hybrid", offered, instructions=_INSTRUCTIONS, version=__version__)
    logging.disable()  # a traceback could show a prompt
    _end_at_signals()
    collect_garbage_often()
    try:
        asyncio.run(server.run_stdio_async())
    finally:
        engines.close()


def _end_at_signals() -> None:
    """End the process at once at a signal: a thread of the SDK waits for stdin, and nothing else ends it.

    Each message is written whole, and the engine ends with this process.
    """

    def end(number: int, _frame: object) -> None:
        os._exit(ExitStatus.INTERRUPTED if number == signal.SIGINT else ExitStatus.TERMINATED)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)


@dataclass
class AgentTools:
    """The tools. Their docstrings are what an agent reads."""

    answering: Answering
    flags: RequestFlags
    folder: Path
    """Files are read below it only."""

    async def ask(
        self,
        prompt: str,
        context: str = "",
        schema: dict[str, Any] | None = None,
        choices: list[str] | None = None,
    ) -> Result:
        """Answer one prompt. `context` is the text it is about; `schema` is a JSON Schema that the answer must fit; `choices` are the only allowed answers. Give `schema` or `choices`, not both."""
        if schema is not None and choices is not None:
            raise Failure(ExitStatus.USAGE, "give schema or choices, not both")
        allowed = () if choices is None else checked_choices(choices, "choices")
        question = Question(_filled(prompt, "prompt"), context)
        return await self._answer(Asked(self.flags, question, schema=_checked(schema), choices=allowed))

    async def classify(self, texts: list[str], choices: list[str], instruction: str = "") -> list[Result]:
        """Give each text one of the choices, in the order of the texts. `instruction` says what the choices mean."""
        allowed = checked_choices(choices, "choices")
        question = instruction.strip() or "Classify this text."
        return await self._each(
            texts, lambda text: Asked(self.flags, _about(question, text, "text"), choices=allowed)
        )

    async def extract(self, texts: list[str], schema: dict[str, Any], instruction: str = "") -> list[Result]:
        """Extract JSON that fits the JSON Schema `schema` from each text, in the order of the texts."""
        checked = _checked(schema)
        question = instruction.strip() or "Extract the data from this text."
        return await self._each(
            texts, lambda text: Asked(self.flags, _about(question, text, "text"), schema=checked)
        )

    async def summarize_files(self, paths: list[str], instruction: str = _SUMMARIZE) -> list[Result]:
        """Summarize each file. Paths are relative to the folder the server was started in; nothing outside is read."""

        def read(path: str) -> Asked:
            text = read_text_file(self._inside(path), self.answering.environment)
            return Asked(self.flags, _about(instruction.strip() or _SUMMARIZE, text, "file"))

        results = await self._each(paths, read)
        return [{"path": path, **result} for path, result in zip(paths, results, strict=True)]

    async def usage(self) -> Result:
        """Say what was handed off to clouds so far, what it cost in USD, and what is left of the limits."""
        environment = self.answering.environment
        groups = report.group(Ledger(environment.state_folder).rows(""), "model")
        policy = merge_policy(self.flags, environment)
        return {
            "total": vars(report.total(groups)),
            "by_model": [vars(one) for one in groups],
            "left": {one.limit.key: one.amount for one in left_of_limits(policy, environment)},
        }

    def _inside(self, path: str) -> str:
        """Return the real path. Raises Failure (USAGE) if it is outside of the folder, also by a link."""
        try:
            real = (self.folder / path).resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            raise Failure(ExitStatus.USAGE, "no such file") from None
        if not real.is_relative_to(self.folder):
            raise Failure(ExitStatus.USAGE, f"outside of {self.folder}")
        return os.fspath(real)

    async def _each(self, items: Sequence[str], asked: Callable[[str], Asked]) -> list[Result]:
        """Answer for each item, many at once. An item that fails has its error as its result."""
        if len(items) > _MAX_RECORDS:
            raise Failure(ExitStatus.USAGE, f"give at most {_MAX_RECORDS} at once")
        places = asyncio.Semaphore(_PARALLEL)

        async def one(item: str) -> Result:
            async with places:
                try:
                    return await self._answer(asked(item))
                except Failure as failure:
                    return {"error": str(failure), "code": int(failure.status)}

        answers: list[Awaitable[Result]] = [one(item) for item in items]
        return list(await asyncio.gather(*answers))

    async def _answer(self, asked: Asked) -> Result:
        """Return the answer with what an agent should know of it. Raises Failure."""
        exchange = Exchange(streams=False)
        self.answering.start(asked, exchange)
        try:
            outcome = await exchange.next()
        except asyncio.CancelledError:
            exchange.end(ExitStatus.TERMINATED, "the agent has cancelled the request")
            raise
        if isinstance(outcome, Failure):
            raise outcome
        if not isinstance(outcome, Answer):
            raise AssertionError("an exchange that does not stream has one outcome")
        return {
            "answer": outcome.answer,
            "answered_by": outcome.answered_by,
            "model": outcome.model,
            "confidence": outcome.handoff.confidence,
            "reason": outcome.handoff.reason,
            "cost_usd": outcome.cost_usd,
            "finish_reason": outcome.finish_reason,
        }


def _about(instruction: str, text: str, name: str) -> Question:
    """Return a question whose text comes last, so that many prompts begin alike. Raises Failure if it is empty."""
    return Question(instruction, _filled(text, name), f"the {name}", context_follows=True)


def _filled(text: str, name: str) -> str:
    """Return `text`. Raises Failure (USAGE) if it is empty: a model would make something up."""
    if not text.strip():
        raise Failure(ExitStatus.USAGE, f"the {name} is empty")
    return text


def _checked(schema: dict[str, Any] | None) -> AnswerSchema | None:
    return None if schema is None else checked_schema(schema, "schema")
