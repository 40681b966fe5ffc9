"""The cascade of each record: its request from the instruction, its policy, and the local decision."""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from hybrid_cli.cascade.answer import Answer
from hybrid_cli.cascade.cascade import Cascade
from hybrid_cli.cascade.decision import Decision
from hybrid_cli.cascade.local_run import new_task, template_variables
from hybrid_cli.cascade.model_settings import model_settings
from hybrid_cli.cascade.output import Output
from hybrid_cli.cascade.shadow import Shadow
from hybrid_cli.cascade.shared_engine import EngineSlot, SharedEngine
from hybrid_cli.cascade.steps import ruled, settled
from hybrid_cli.checks.answer_form import form_instruction
from hybrid_cli.checks.json_schema import AnswerSchema
from hybrid_cli.egress.backpressure import Backpressure
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.local.protocol import SchedulerRequest
from hybrid_cli.pipe.records import Record
from hybrid_cli.pipe.template import RecordTemplate
from hybrid_cli.profile.policy import Policy
from hybrid_cli.prompt import Question, Request
from hybrid_cli.prompt_files.prompt_file import PromptFile
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.stopwatch import Stopwatch
from hybrid_cli.weights.store import Weights

THINKING = "off"
"""Whether the local model thinks about a record, unless the profile says: thousands of thoughts take days."""
_NO_SETTINGS = ("checks_cut", "top_logprobs", "unsent")
"""Fields of a request that are no settings of a record; without them the keys of earlier versions hold."""


@dataclass(frozen=True)
class Instruction:
    """The user's instruction, with the options that shape each record's request."""

    text: str
    template: RecordTemplate = field(default_factory=RecordTemplate)
    system: str | None = None
    schema: AnswerSchema | None = None
    verify: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()
    code_only: bool = False
    stop: tuple[str, ...] = ()
    allows_truncated: bool = False
    suffix: str = ""
    """The text after the record, from a prompt template."""
    files: tuple[PromptFile, ...] = ()
    """Files that come before the text, for each record."""
    shared: str = ""
    """Their texts, as the model sees them."""

    def request_for(self, record: Record) -> Request:
        """Return the request about `record`. Raises Failure (USAGE) if the record has a problem."""
        if record.problem is not None:
            raise Failure(ExitStatus.USAGE, record.problem)
        text = self.template.text(record)
        return self._request(text, (f"{record.heading}\n{record.text}",) if record.heading else ())

    def examples(self) -> list[Request]:
        """Return requests about two records without a common beginning."""
        return [self._request(text) for text in self.template.examples()]

    def _request(self, text: str, unsent: tuple[str, ...] = ()) -> Request:
        return Request(
            Question(
                self.text,
                f"{text}{self.suffix}",
                context_name="the record",
                context_follows=True,
                shared=self.shared,
                files=self.files,
                given=text,
            ),
            self.system,
            self.stop,
            schema=self.schema,
            verify=self.verify,
            choices=self.choices,
            form=form_instruction(self.schema, self.choices),
            code_only=self.code_only,
            allows_truncated=self.allows_truncated,
            unsent=unsent,
        )

    def scheduler_request(
        self,
        weights: Weights,
        policy: Policy,
        environment: Environment,
        jobs: int | None,
        threads: int | None = None,
    ) -> SchedulerRequest:
        """Return the engine's request for all records. The profile's thread count wins over `threads`."""
        settings = model_settings(policy, weights, environment)
        if settings["threads"] is None:
            settings["threads"] = threads
        return SchedulerRequest(
            **settings,
            examples=[new_task(request, policy) for request in self.examples()],
            jobs=jobs,
            seconds=policy.limits.seconds,
            require_enforcement=policy.escalation.require_enforcement,
        )


@dataclass(frozen=True)
class HandoffDue:
    """A record to hand off: its cascade still has to `ask` and `settle`."""

    cascade: Cascade
    decision: Decision


@dataclass(frozen=True)
class LocalOutcome:
    """How the local side of a record ended: answered, failed, or due for a handoff."""

    result: Answer | Failure | HandoffDue
    shadow: Shadow | None = None
    """What shadow mode sends once the record's line is written."""


@dataclass
class RecordCascades:
    """Decides about records. Safe to use from several threads."""

    instruction: Instruction
    policy: Policy
    enforcement: str
    environment: Environment
    engine: SharedEngine | None
    """None if this process generates no answers: under `force`, and with a cluster."""
    as_objects: bool
    """Whether answers are written as objects, which can hold images."""
    criterion: Criterion | None = None
    """The gate's criterion; None to look it up for each record."""
    backpressure: Backpressure = field(default_factory=Backpressure)
    denials: list[str] = field(default_factory=list)
    """Why each denied record was not handed off."""

    def turn(self) -> AbstractContextManager[object]:
        """Return what to hold while a record is decided about; its time limit begins then."""
        return nullcontext() if self.engine is None else self.engine.turn()

    def decide(self, record: Record, number: int, deadline: float | None = None) -> LocalOutcome:
        """Run the local side of one record, until `deadline` by the environment's clock. Asks and sends nothing."""
        try:
            cascade = self.cascade_for(record, number, deadline)
            return local_outcome(cascade, cascade.decide())
        except Failure as failure:
            return LocalOutcome(failure)

    def cascade_for(self, record: Record, number: int, deadline: float | None = None) -> Cascade:
        """Return the cascade of one record. Raises Failure if the record has a problem."""
        request = self.instruction.request_for(record)
        # One level less verbose: there may be thousands of records.
        environment = replace(
            self.environment,
            verbosity=self.environment.verbosity - 1,
            message_prefix=f"{record.name(number)}: ",
        )
        output = Output(environment, file=None, as_json=self.as_objects, stream=False, whole=True)
        cascade = Cascade(
            request,
            self.policy,
            self.enforcement,
            None if self.engine is None else EngineSlot(self.engine, deadline, environment.clock),
            output,
            environment,
            Stopwatch(environment.clock),
            backpressure=self.backpressure,
            criterion=self.criterion,
            denials=self.denials,
        )
        return ruled(cascade, self.instruction.tags)

    def key(self, record: Record) -> str:
        """Return a hash of `record` and every setting its answer depends on. --resume finds the answer by it."""
        hashed = self._settings_hash.copy()
        hashed.update(record.raw)
        return str(hashed.hexdigest())

    @cached_property
    def _settings_hash(self) -> Any:
        examples = [
            {name: value for name, value in asdict(request).items() if name not in _NO_SETTINGS}
            for request in self.instruction.examples()
        ]
        local = self.policy.local
        settings: list[Any] = [
            examples,
            self.instruction.template.parts,
            local.model,
            fields_of(local.sampling),
        ]
        variables = template_variables(self.policy)
        if local.thinking != THINKING or variables:  # else the keys of earlier versions hold
            settings.append([local.thinking, variables])
        return hashlib.blake2b(json.dumps(settings, sort_keys=True).encode() + b"\n", digest_size=16)


def local_outcome(cascade: Cascade, decision: Decision) -> LocalOutcome:
    """Return the answer, or the handoff if the record needs one. Raises Failure."""
    if decision.needs_cloud:
        return LocalOutcome(HandoffDue(cascade, decision))
    return LocalOutcome(*settled(cascade, decision))


def fields_of(struct: Any) -> dict[str, Any]:
    """Return the fields of a profile's section."""
    return {name: getattr(struct, name) for name in struct.__struct_fields__}
