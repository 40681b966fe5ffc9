"""The local model's answers to questions, many at once through the one engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice

from hybrid_cli.environment import Environment
from hybrid_cli.evaluate.questions import Question
from hybrid_cli.handoff.answer import Request
from hybrid_cli.handoff.gate import LocalResult
from hybrid_cli.handoff.local_side import checked, new_request, take
from hybrid_cli.input import Question as Asked
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.policy import Policy
from hybrid_cli.weights.store import Weights

GROUP = 64
"""Questions a request: enough that one long answer does not leave the others' places empty for long."""


@dataclass(frozen=True)
class LocalModel:
    """The local side under one policy."""

    worker: Worker
    policy: Policy
    weights: Weights
    environment: Environment

    def answers(self, questions: Sequence[Question]) -> Iterator[LocalResult]:
        """A result for each question, in order."""
        rest = iter(questions)
        while group := list(islice(rest, GROUP)):
            yield from self._group(group)

    def _group(self, questions: list[Question]) -> list[LocalResult]:
        requests = [
            new_request(Request(Asked(question.asked, ""), None), self.policy, self.weights, self.environment)
            for question in questions
        ]
        request = replace(requests[0], tasks=[task for one in requests for task in one.tasks])
        results = [LocalResult() for _ in questions]
        for event in checked(self.worker.events(asdict(request))):
            if "sequence" in event:
                take(event, results[event["sequence"]], self.environment)
        return results
