"""What is done with one record: its request, its policy, and the cascade that decides about it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from hybrid_cli.cascade.answer import Answer
from hybrid_cli.cascade.cascade import Cascade, Decided
from hybrid_cli.cascade.offered_tools import offers
from hybrid_cli.cascade.output import Output
from hybrid_cli.cascade.shadow import Shadow, shadow_of
from hybrid_cli.checks.choices import told
from hybrid_cli.checks.json_schema import AnswerSchema
from hybrid_cli.egress.backpressure import Traffic
from hybrid_cli.egress.prompt_rules import RequestFacts, under_rules
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.local.protocol import FlowRequest
from hybrid_cli.pipe.records import Record
from hybrid_cli.pipe.shared_engine import Shared, Side
from hybrid_cli.pipe.template import View
from hybrid_cli.profile.policy import Policy
from hybrid_cli.prompt import Question, Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Weights


@dataclass(frozen=True)
class Asked:
    """What is asked of every record."""

    instruction: str
    view: View = field(default_factory=View)
    system: str | None = None
    schema: AnswerSchema | None = None
    verify: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()

    def request(self, text: str) -> Request:
        """The instruction comes first: what all prompts begin with is computed once."""
        instruction = f"{self.instruction}\n{told(self.choices)}" if self.choices else self.instruction
        question = Question(f"{instruction}\n\n{text}", "")
        return Request(question, self.system, schema=self.schema, verify=self.verify, choices=self.choices)

    def of(self, record: Record) -> Request:
        """Raises Failure (USAGE) where nothing can be asked about `record`."""
        if record.problem is not None:
            raise Failure(ExitStatus.USAGE, record.problem)
        return self.request(self.view.text(record))

    def examples(self) -> list[Request]:
        """Requests about two records that have nothing in common."""
        return [self.request(text) for text in self.view.examples()]

    def flow(
        self, weights: Weights, policy: Policy, places: int | None, threads: int | None = None
    ) -> FlowRequest:
        """The engine's work on all records; where the profile does not say how many `threads`, this does."""
        local = policy.local
        return FlowRequest(
            path=str(weights.path.absolute()),
            examples=[request.messages() for request in self.examples()],
            places=places,
            context=None if local.context == "auto" else local.context,
            threads=threads if local.threads == "auto" else local.threads,
            require_enforcement=policy.escalation.require_enforcement,
        )


@dataclass(frozen=True)
class Judged:
    """What became of a record here: answered, failed, or to be handed off."""

    outcome: Answer | Failure | Decided
    shadow: Shadow | None = None
    """What goes to the cloud, too, once the record's line is out."""


@dataclass
class Answering:
    """Decides about records, from any thread."""

    asked: Asked
    policy: Policy
    enforcement: str
    environment: Environment
    engine: Shared | None
    """None where no answer is made here: under `force`, and beside a cluster."""
    as_objects: bool
    """The answer is written as an object, which has a place for more than text."""
    criterion: Criterion | None = None
    """What answers are judged by; None to look it up for each."""
    traffic: Traffic = field(default_factory=Traffic)

    def judge(self, record: Record, number: int, ends: float | None = None) -> Judged:
        """The local side of one record; nothing is asked or sent.

        It is given up at the time `ends`, by the environment's clock.
        """
        try:
            return kept(self.cascade(record, number, ends).decide())
        except Failure as failure:
            return Judged(failure)

    def cascade(self, record: Record, number: int, ends: float | None = None) -> Cascade:
        """The way of one record, at its beginning. Raises Failure where it cannot go any."""
        request = self.asked.of(record)
        facts = RequestFacts(request, self.asked.tags)
        policy, ruling = under_rules(self.policy, facts)
        # Its own clock, and its messages one level more quiet: there may be thousands of them.
        environment = replace(
            self.environment, verbosity=self.environment.verbosity - 1, subject=f"{record.named(number)}: "
        )
        output = Output(environment, file=None, as_json=self.as_objects, stream=False, whole=True)
        side: Any = None if self.engine is None else Side(self.engine, ends, environment.clock)
        return Cascade(
            request,
            policy,
            ruling,
            self.enforcement,
            side,
            output,
            environment,
            offers=offers(request, policy, ruling, facts, output, environment),
            traffic=self.traffic,
            criterion=self.criterion,
        )

    def key(self, record: Record) -> str:
        """What tells whether `record` was answered before: a hash of it and of all that its answer rests on."""
        hashed = self._settings.copy()
        hashed.update(record.raw)
        return str(hashed.hexdigest())

    @cached_property
    def _settings(self) -> Any:
        examples = [asdict(request) for request in self.asked.examples()]
        local = self.policy.local
        words = [examples, self.asked.view.parts, local.model, vars_of(local.sampling)]
        return hashlib.blake2b(json.dumps(words, sort_keys=True).encode() + b"\n", digest_size=16)


def kept(decided: Decided) -> Judged:
    """The answer where it stays here. Raises Failure where there is none."""
    if decided.needs_cloud:
        return Judged(decided)
    answer, cascade = decided.settle(), decided.cascade
    return Judged(
        answer,
        shadow_of(cascade.request, answer, cascade.observation, cascade.policy, cascade.environment),
    )


def vars_of(struct: Any) -> dict[str, Any]:
    """The fields of a profile's section."""
    return {name: getattr(struct, name) for name in struct.__struct_fields__}
