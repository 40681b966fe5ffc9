"""One record's cascade: the instruction, the record's request and policy, and the decision about it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from hybrid_cli.cascade.answer import Answer
from hybrid_cli.cascade.cascade import Cascade, Decision
from hybrid_cli.cascade.offered_tools import offered_tools
from hybrid_cli.cascade.output import Output
from hybrid_cli.cascade.shadow import Shadow, shadow_of
from hybrid_cli.checks.choices import told
from hybrid_cli.checks.json_schema import AnswerSchema
from hybrid_cli.egress.backpressure import Backpressure
from hybrid_cli.egress.prompt_rules import RequestFacts, under_rules
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.local.protocol import SchedulerRequest
from hybrid_cli.pipe.records import Record
from hybrid_cli.pipe.shared_engine import EngineSlot, SharedEngine
from hybrid_cli.pipe.template import RecordTemplate
from hybrid_cli.profile.policy import Policy
from hybrid_cli.prompt import Question, Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.stopwatch import Stopwatch
from hybrid_cli.weights.store import Weights


@dataclass(frozen=True)
class Instruction:
    """What the user asks of every record."""

    text: str
    template: RecordTemplate = field(default_factory=RecordTemplate)
    system: str | None = None
    schema: AnswerSchema | None = None
    verify: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()

    def about(self, record: Record) -> Request:
        """Return the request about `record`. Raises Failure (USAGE) if nothing can be asked about it."""
        if record.problem is not None:
            raise Failure(ExitStatus.USAGE, record.problem)
        return self._request(self.template.text(record))

    def examples(self) -> list[Request]:
        """Return requests about two records that have nothing in common."""
        return [self._request(text) for text in self.template.examples()]

    def _request(self, text: str) -> Request:
        # The instruction comes first: the common beginning of all prompts is decoded once.
        instruction = f"{self.text}\n{told(self.choices)}" if self.choices else self.text
        question = Question(f"{instruction}\n\n{text}", "")
        return Request(question, self.system, schema=self.schema, verify=self.verify, choices=self.choices)

    def scheduler_request(
        self, weights: Weights, policy: Policy, slots: int | None, threads: int | None = None
    ) -> SchedulerRequest:
        """Return the engine's request for all records. The profile's thread count wins over `threads`."""
        local = policy.local
        return SchedulerRequest(
            path=str(weights.path.absolute()),
            examples=[request.messages() for request in self.examples()],
            slots=slots,
            context=None if local.context == "auto" else local.context,
            threads=threads if local.threads == "auto" else local.threads,
            require_enforcement=policy.escalation.require_enforcement,
        )


@dataclass(frozen=True)
class HandoffDue:
    """A record that waits for the user or a cloud: its cascade still has to ask and settle."""

    cascade: Cascade
    decision: Decision


@dataclass(frozen=True)
class RecordOutcome:
    """The local outcome of a record: answered, failed, or due for a handoff."""

    outcome: Answer | Failure | HandoffDue
    shadow: Shadow | None = None
    """What also goes to the cloud, after the record's line is written."""


@dataclass
class RecordCascades:
    """Decides about records, from any thread."""

    instruction: Instruction
    policy: Policy
    enforcement: str
    environment: Environment
    engine: SharedEngine | None
    """None if no answer is generated here: under `force`, and beside a cluster."""
    as_objects: bool
    """The answer is written as an object, which has room for more than text."""
    criterion: Criterion | None = None
    """What answers are judged by; None to look it up for each."""
    backpressure: Backpressure = field(default_factory=Backpressure)

    def decide(self, record: Record, number: int, ends: float | None = None) -> RecordOutcome:
        """Run the local side of one record; nothing is asked or sent.

        It is given up at the time `ends`, by the environment's clock.
        """
        try:
            cascade = self.cascade(record, number, ends)
            return outcome_of(cascade, cascade.decide())
        except Failure as failure:
            return RecordOutcome(failure)

    def cascade(self, record: Record, number: int, ends: float | None = None) -> Cascade:
        """Return the cascade of one record. Raises Failure if the record cannot be asked about."""
        request = self.instruction.about(record)
        facts = RequestFacts(request, self.instruction.tags)
        policy, ruling = under_rules(self.policy, facts)
        # One level less verbose: there may be thousands of records.
        environment = replace(
            self.environment,
            verbosity=self.environment.verbosity - 1,
            message_prefix=f"{record.named(number)}: ",
        )
        output = Output(environment, file=None, as_json=self.as_objects, stream=False, whole=True)
        return Cascade(
            request,
            policy,
            ruling,
            self.enforcement,
            None if self.engine is None else EngineSlot(self.engine, ends, environment.clock),
            output,
            environment,
            Stopwatch(environment.clock),
            offers=offered_tools(request, policy, ruling, facts, output, environment),
            backpressure=self.backpressure,
            criterion=self.criterion,
        )

    def key(self, record: Record) -> str:
        """Return a hash of `record` and everything its answer depends on: `--resume` finds it by that."""
        hashed = self._settings.copy()
        hashed.update(record.raw)
        return str(hashed.hexdigest())

    @cached_property
    def _settings(self) -> Any:
        examples = [asdict(request) for request in self.instruction.examples()]
        local = self.policy.local
        settings = [examples, self.instruction.template.parts, local.model, fields_of(local.sampling)]
        return hashlib.blake2b(json.dumps(settings, sort_keys=True).encode() + b"\n", digest_size=16)


def outcome_of(cascade: Cascade, decision: Decision) -> RecordOutcome:
    """Return the answer if no cloud is needed, or the handoff that is due. Raises Failure."""
    if decision.needs_cloud:
        return RecordOutcome(HandoffDue(cascade, decision))
    answer = cascade.settle(decision)
    shadow = shadow_of(cascade.request, answer, decision.observation, cascade.policy, cascade.environment)
    return RecordOutcome(answer, shadow)


def fields_of(struct: Any) -> dict[str, Any]:
    """Return the fields of a profile's section."""
    return {name: getattr(struct, name) for name in struct.__struct_fields__}
