"""A client's request in hybrid's own terms, whichever endpoint or tool it came through."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hybrid_cli.checks.answer_form import form_instruction
from hybrid_cli.checks.json_schema import AnswerSchema, read_schema
from hybrid_cli.checks.verify import require_command
from hybrid_cli.profile.layers import Layer
from hybrid_cli.profile.modes import Mode
from hybrid_cli.profile.policy import Flags, Policy
from hybrid_cli.prompt import NamedText, Question, Request, Turn
from hybrid_cli.ui.environment import Environment

_NAMES = {
    "--escalation": "the request's hybrid.escalation",
    "--max-tokens": "the request's max_tokens",
    "--temperature": "the request's temperature",
    "--seed": "the request's seed",
}
"""Layers of a client's request, as messages name them."""


@dataclass(frozen=True)
class RequestFlags(Flags):
    """The policy options of one client's request. It may only tighten."""

    server_escalation: Mode | None = None
    """The mode that the server was started with."""

    @property
    def may_only_tighten(self) -> bool:
        return True

    def layers(self) -> list[Layer]:
        named = [replace(layer, name=_NAMES.get(layer.name, layer.name)) for layer in super().layers()]
        if self.server_escalation is None:
            return named
        return [Layer("--escalation", {"escalation": {"mode": self.server_escalation}}), *named]


@dataclass(frozen=True)
class Asked:
    """One request of a client, understood but not yet permitted."""

    flags: RequestFlags
    question: Question
    system: str | None = None
    system_parts: tuple[NamedText, ...] = ()
    """The messages that `system` was joined of."""
    history: tuple[Turn, ...] = ()
    stop: tuple[str, ...] = ()
    schema: AnswerSchema | None = None
    choices: tuple[str, ...] = ()
    checks_cut: bool = True
    """Whether an answer that is cut must fit `schema`, too."""
    top_logprobs: int | None = None
    """See `prompt.Request`."""
    tags: tuple[str, ...] = ()
    streams: bool = False
    """Whether the client takes the answer in pieces."""

    def request(self, policy: Policy, environment: Environment) -> Request:
        """Return the cascade's request, with the checks that the profile adds. Raises Failure (USAGE)."""
        schema = self.schema
        if schema is None and not self.choices and policy.checks.schema is not None:
            schema = read_schema(policy.checks.schema)
        command = tuple(policy.checks.verify or ())
        require_command(command, environment.variables)
        return Request(
            self.question,
            self.system,
            self.stop,
            schema,
            command,
            self.choices,
            form_instruction(schema, self.choices),
            # A client that sets a limit expects answers that reach it; and without a cloud nothing better can come.
            allows_truncated=self.flags.max_tokens is not None or policy.mode == "forbid",
            checks_cut=self.checks_cut or self.schema is None,
            top_logprobs=self.top_logprobs,
            history=self.history,
            system_parts=self.system_parts,
        )
