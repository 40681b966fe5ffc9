"""The local model's answers to questions, many side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from hybrid_cli.cascade.local_answer import doubt_of, tidied
from hybrid_cli.cascade.local_run import collect, new_request
from hybrid_cli.cascade.samples import agrees, is_comparable, sampled_request, sampled_texts
from hybrid_cli.checks.answer_form import form_instruction
from hybrid_cli.checks.json_schema import checked_schema
from hybrid_cli.evaluate.questions import LabelledQuestion
from hybrid_cli.gate.verdict import LocalResult
from hybrid_cli.local.protocol import Engine, Finished, LocalRequest, Tokens
from hybrid_cli.profile.policy import Policy
from hybrid_cli.prompt import Question, Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.stopwatch import Stopwatch
from hybrid_cli.weights.store import Weights

GROUP = 192
"""Questions in one request: enough that a long answer does not leave the other slots empty for long."""


@dataclass(frozen=True)
class LocalAnswers:
    """The local model under one policy."""

    engine: Engine
    policy: Policy
    weights: Weights
    environment: Environment

    def answers(
        self, questions: Sequence[LabelledQuestion]
    ) -> Iterator[tuple[LabelledQuestion, LocalResult]]:
        """Yield each question with its result, as they complete."""
        for start in range(0, len(questions), GROUP):
            yield from self._group(questions[start : start + GROUP])

    def _group(self, questions: Sequence[LabelledQuestion]) -> Iterator[tuple[LabelledQuestion, LocalResult]]:
        asked = [request_for(question) for question in questions]
        requests = [new_request(one, self.policy, self.weights, self.environment) for one in asked]
        request = msgspec.structs.replace(requests[0], tasks=[task for one in requests for task in one.tasks])
        results = [LocalResult() for _ in questions]
        stopwatch = Stopwatch(self.environment.clock)
        for event in self.engine.events(request):
            if isinstance(event, (Tokens, Finished)):
                collect(event, results[event.sequence], stopwatch)
            if isinstance(event, Finished):
                result = results[event.sequence]
                result.text = tidied(result.text, asked[event.sequence], is_shown=False)
                result.doubt = doubt_of(result.text, asked[event.sequence])
                if not self._is_sampled(result, asked[event.sequence]):
                    yield questions[event.sequence], result
        chosen = [number for number, result in enumerate(results) if self._is_sampled(result, asked[number])]
        if chosen:
            tasks = [request.tasks[number] for number in chosen]
            self._compare(
                msgspec.structs.replace(request, tasks=tasks), [results[number] for number in chosen]
            )
        for number in chosen:
            yield questions[number], results[number]

    def _is_sampled(self, result: LocalResult, request: Request) -> bool:
        """Return whether the answer is compared with samples: as `hybrid run` does, but far from the threshold, too."""
        return self.policy.escalation.samples > 0 and is_comparable(result, request)

    def _compare(self, request: LocalRequest, results: Sequence[LocalResult]) -> None:
        """Set the agreement of each task's samples with its result."""
        count = self.policy.escalation.samples
        texts = sampled_texts(self.engine, sampled_request(request, results, range(1, count + 1)))
        for number, result in enumerate(results):
            samples = texts[number * count : (number + 1) * count]
            result.agreement = sum(agrees(result.text, sample) for sample in samples) / count


def request_for(question: LabelledQuestion) -> Request:
    """Return the request that either side gets: as `hybrid run` asks, with context, schema and choices."""
    schema = None if question.schema is None else checked_schema(question.schema, "the question")
    choices = tuple(question.choices)
    return Request(
        Question(question.asked, question.context),
        None,
        schema=schema,
        choices=choices,
        form=form_instruction(schema, choices),
    )
