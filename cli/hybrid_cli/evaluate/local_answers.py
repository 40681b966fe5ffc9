"""The local model's answers to questions, many at once through the one engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from hybrid_cli.cascade.local_answer import checked, new_request, take
from hybrid_cli.evaluate.questions import Question
from hybrid_cli.gate.verdict import LocalResult
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.policy import Policy
from hybrid_cli.prompt import Question as Asked
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment
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

    def answers(self, questions: Sequence[Question]) -> Iterator[tuple[Question, LocalResult]]:
        """Each question with its result, as they are finished."""
        for start in range(0, len(questions), GROUP):
            yield from self._group(questions[start : start + GROUP])

    def _group(self, questions: Sequence[Question]) -> Iterator[tuple[Question, LocalResult]]:
        requests = [
            new_request(asked(question), self.policy, self.weights, self.environment, wants_state=True)
            for question in questions
        ]
        request = replace(requests[0], tasks=[task for one in requests for task in one.tasks])
        results = [LocalResult() for _ in questions]
        for event in checked(self.worker.events(asdict(request))):
            if "sequence" not in event:
                continue
            number = event["sequence"]
            take(event, results[number], self.environment)
            if event["event"] == "finished":
                yield questions[number], results[number]


def asked(question: Question) -> Request:
    """The question as either side gets it."""
    return Request(Asked(question.asked, ""), None)
