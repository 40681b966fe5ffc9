"""The cascade: one prompt's path from the local model to a delivered answer.

It has three steps. `decide` runs the local model where it is needed and asks the gate. `ask` puts the handoff to
the user where a yes is needed. `settle` keeps the local answer or hands the prompt off.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from hybrid_cli.cascade.answer import (
    Answer,
    HandoffView,
    PolicyView,
    Timings,
    TokenCounts,
    Usage,
    without_blank_lines,
)
from hybrid_cli.cascade.decision import Decision, Route
from hybrid_cli.cascade.destination import Destination
from hybrid_cli.cascade.local_answer import LocalAnswer, LocalModel, problem_of, tidied
from hybrid_cli.checks.agreement import agreement
from hybrid_cli.checks.choices import matching_choice
from hybrid_cli.checks.json_schema import json_in
from hybrid_cli.checks.refusal import is_refusal
from hybrid_cli.checks.tool_calls import ToolName
from hybrid_cli.egress.backpressure import Backpressure
from hybrid_cli.egress.permission import Permission, confirm, permission_for
from hybrid_cli.egress.prompt_rules import RequestFacts, under_rules
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate import verdict as gate
from hybrid_cli.gate.criterion import Criterion
from hybrid_cli.gate.verdict import Verdict
from hybrid_cli.ledger.amounts import sum_of
from hybrid_cli.ledger.database import Ledger
from hybrid_cli.local.protocol import Engine
from hybrid_cli.local.stop_strings import StopStrings, stop_at
from hybrid_cli.profile.policy import Policy
from hybrid_cli.profile.rules import Ruling
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.stopwatch import Stopwatch
from hybrid_cli.weights.projector import reads_images

if TYPE_CHECKING:  # late, as most runs send nothing
    from hybrid_cli.egress.send import Handoff, Sent


@dataclass
class Cascade:
    """One prompt being answered."""

    request: Request
    policy: Policy
    enforcement: str
    """What keeps this process off the network."""
    engine: Engine | None
    """None under `force`, which never touches the weights."""
    output: Destination
    environment: Environment
    stopwatch: Stopwatch
    ruling: Ruling | None = None
    """What the profile's rules say about this prompt."""
    shows_thinking: bool = False
    offers: Mapping[ToolName, Policy] = field(default_factory=dict)
    """Tools the local model may call, each with the policy its call is sent under."""
    backpressure: Backpressure = field(default_factory=Backpressure)
    """Shared by the prompts that are answered side by side."""
    criterion: Criterion | None = None
    """What local answers are judged by; None to look it up."""
    denials: list[str] = field(default_factory=list)
    """Why prompts got a local answer instead of a handoff; shared like `backpressure`."""

    # ---- decide -----------------------------------------------------------------------------------------

    def decide(self) -> Decision:
        """Choose the route, by the local answer where one is needed. Nothing is asked or sent."""
        permission = self._permission()
        demand = self._cloud_demand()
        if demand is not None and permission.denied is None:
            return Decision(Route.CLOUD, demand, permission, seconds=self.stopwatch.elapsed())
        return self._decide_locally(demand, permission)

    def _permission(self) -> Permission:
        permission = permission_for(self.request, self.policy, self.environment)
        if permission.denied is None and self.ruling is not None and self._kept_by_rule():
            return replace(permission, denied=f"{self.ruling.rule} keeps this prompt here")
        return permission

    def _cloud_demand(self) -> Verdict | None:
        """Return the verdict that needs no local answer, if mode, rule or tool demands the cloud."""
        if self.ruling is not None and self.ruling.then == "force":
            return gate.ruled(self.ruling.rule)
        if self.request.tools:
            return gate.needs_tool(self.request.tools)
        if self.request.images and not reads_images(self.policy, self.environment):
            return gate.needs_sight("the local model cannot read images")
        if self.policy.escalation.sticky and self.request.was_handed_off:
            return gate.ruled("the conversation was handed off before (escalation.sticky)")
        return gate.forced() if self.policy.forced_by is not None else None

    def _kept_by_rule(self) -> bool:
        return self.ruling is not None and self.ruling.then == "local"

    def _decide_locally(self, demand: Verdict | None, permission: Permission) -> Decision:
        """Choose the route by the local answer. A `demand` for the cloud was denied."""
        denied = permission.denied
        if demand is not None and demand.reason == "forced":  # an error rather than a quiet local answer
            raise Failure(ExitStatus.DENIED, str(denied))
        if demand is not None and demand.failure is not None:
            raise Failure(ExitStatus.DENIED, f"{demand.explanation}; not handed off: {denied}")
        answers_anyway = self._answers_without(permission) or self._kept_by_rule()
        local = self._local_model().answer(permission, is_final=denied is not None and answers_anyway)
        verdict, call = local.verdict, local.result.call
        if demand is not None and verdict.failure is None:
            verdict = replace(
                verdict, reason=demand.reason, stage=demand.stage, explanation=demand.explanation
            )
        route = Route.KEEP if verdict.reason == "none" else Route.CLOUD_IF_ALLOWED
        if call is not None and denied is None:
            request, policy = self._outgoing(local)
            permission = permission_for(request, policy, self.environment)
        elif self._kept_by_rule() and verdict.failure is None:
            route, verdict = Route.KEEP, replace(verdict, reason="rule", stage="policy")
        return Decision(route, verdict, permission, local, self.stopwatch.elapsed())

    def _answers_without(self, permission: Permission) -> bool:
        """Return whether the local answer serves although the handoff was denied, or has no key."""
        escalation = self.policy.escalation
        is_policy = permission.status is ExitStatus.DENIED
        return (escalation.on_denied if is_policy else escalation.on_cloud_failure) == "answer"

    def _local_model(self) -> LocalModel:
        return LocalModel(
            self.request,
            self.policy,
            self.engine,
            self.output,
            self.environment,
            self.stopwatch,
            self.shows_thinking,
            self.offers,
            self.criterion,
        )

    # ---- ask --------------------------------------------------------------------------------------------

    def ask(self, decision: Decision) -> Decision:
        """Ask the user to confirm the handoff where that is needed. After a no the local model may answer."""
        if not decision.needs_cloud:
            return decision
        request, policy = self._outgoing(decision.local)
        permission = confirm(
            decision.permission,
            [request],
            policy,
            decision.verdict.explanation,
            self.environment,
            self.backpressure,
        )
        if permission.denied is not None and decision.route is Route.CLOUD:
            return self._decide_locally(decision.verdict, permission)
        return replace(decision, permission=permission)

    def _outgoing(self, local: LocalAnswer | None) -> tuple[Request, Policy]:
        """Return what would be sent, and under which policy: for a tool call its own argument."""
        call = None if local is None else local.result.call
        if call is None or call.name == "handoff":
            return self.request, self.policy
        request = replace(self.request, tools=(call.name,), tool_argument=call.argument)
        facts = RequestFacts(request, frozenset(), frozenset(request.tools))  # the tags have been judged
        policy, ruling = under_rules(self.offers[call.name], facts)
        if ruling is not None and ruling.then == "local":
            policy = replace(policy, mode="forbid", decided_by=ruling.rule)
        return request, policy

    # ---- settle -----------------------------------------------------------------------------------------

    def settle(self, decision: Decision) -> Answer:
        """Keep the local answer, or hand the prompt off. Raises Failure if there is no answer to give."""
        if decision.route is Route.KEEP:
            return self._kept(decision, "kept")
        if decision.permission.denied is not None:
            return self._denied(decision, decision.permission.denied)
        from hybrid_cli.egress.send import Handoff

        request, policy = self._outgoing(decision.local)
        handoff = Handoff(request, policy, decision.verdict.reason, decision.verdict.explanation)
        try:
            return self._handed_off(decision, handoff)
        except Failure as failure:
            verdict = decision.verdict
            may_answer = decision.route is Route.CLOUD_IF_ALLOWED and verdict.failure is None
            if not may_answer or self.policy.escalation.on_cloud_failure == "fail":
                raise
            answer = self._kept(decision, "kept", handoff.lost_costs)
            self._warn(f"{verdict.clause}; {_why_not(failure)}")
            return answer

    def _denied(self, decision: Decision, denied: str) -> Answer:
        """Return the local answer with a warning, if there is one and the profile allows it."""
        verdict = decision.verdict
        if verdict.failure is not None:
            self.output.end_line()
            raise Failure(verdict.failure.status, f"{verdict.failure}; not handed off: {denied}")
        if not self._answers_without(decision.permission):
            raise Failure(decision.permission.status, f"{verdict.clause}; not handed off: {denied}")
        answer = self._kept(decision, "denied")
        self.denials.append(denied)
        self._warn(f"{verdict.clause}; not handed off: {denied}")
        return answer

    def _handed_off(self, decision: Decision, handoff: Handoff) -> Answer:
        """Return the cloud's answer."""
        from hybrid_cli.egress.send import send

        request = handoff.request
        first_token: list[float] = []
        stop = StopStrings(request.stop)

        def show(text: str) -> None:
            if not first_token:
                first_token.append(self._elapsed())
            self.output.stream(stop.feed(text))

        try:
            sent = send(
                handoff,
                self.environment,
                show,
                is_shown=self.output.streams,
                stopwatch=self.stopwatch,
                backpressure=self.backpressure,
            )
        except Failure:
            self.output.end_line()
            raise
        self.output.stream(stop.flush())
        text = tidied(stop_at(sent.reply.text, request.stop), request, is_shown=self.output.streams)
        text = without_blank_lines(text)
        self._observe(sent, decision.local, text)
        try:
            text = self._checked(text, request, is_cut=sent.reply.finish_reason == "length")
        except Failure:
            handoff.lost_costs.append(sent.settlement.cost)
            raise
        if is_refusal(text):
            self._warn("the cloud model declined to answer")
        return self._answered_by_cloud(decision, sent, text, first_token[0] if first_token else None)

    def _observe(self, sent: Sent, local: LocalAnswer | None, text: str) -> None:
        """Record how far the two answers agree, if this prompt was sampled for shadow mode."""
        if local is not None and local.observation is not None:
            with suppress(Failure):  # the answer is paid for; a number is not worth losing it
                ledger = Ledger(self.environment.state_folder)
                ledger.observe(sent.row, local.observation, agreement(local.result.text, text))

    def _checked(self, text: str, request: Request, *, is_cut: bool) -> str:
        """Return the cloud's answer, or the choice it names. Raises Failure (CHECK)."""
        text = matching_choice(text, request.choices)
        if request.schema is not None:
            text = json_in(text)
        problem = problem_of(text, request, self.environment, is_cut=is_cut)
        if problem is not None:
            from hybrid_cli.egress.reply_check import show_lost_text

            show_lost_text(text, self.environment)
            raise Failure(ExitStatus.CHECK, f"the cloud's answer {problem}")
        return text

    # ---- the answer object ------------------------------------------------------------------------------

    def _kept(
        self,
        decision: Decision,
        outcome: Literal["kept", "denied"],
        lost_costs: Sequence[float | None] = (),
    ) -> Answer:
        """Return the local answer, with the costs of requests to clouds that gave no usable one."""
        if decision.local is None:
            raise AssertionError("a local answer is kept only if there is one")
        result, verdict = decision.local.result, decision.verdict
        if result.finish_reason == "length":
            self._warn(f"the answer was cut off at {result.tokens_out} tokens")
        if outcome == "denied" and self.policy.mode == "forbid":
            verdict = replace(verdict, reason="forbidden")
        return Answer(
            id=uuid.uuid4().hex,
            answer=without_blank_lines(result.text),
            answered_by="local",
            model=self.policy.local.model,
            handoff=_view(outcome, verdict, decision.local),
            usage=Usage(local=TokenCounts(result.tokens_in, result.tokens_out)),
            cost_usd=sum_of(lost_costs),
            cost_is_estimate=len(lost_costs) > 0,
            timings=Timings(result.load_seconds, result.first_token_seconds, self._elapsed(), result.seconds),
            samples=decision.local.samples,
            policy=self._policy_view(self.policy),
            finish_reason=result.finish_reason,
        )

    def _answered_by_cloud(
        self, decision: Decision, sent: Sent, text: str, first_token: float | None
    ) -> Answer:
        if sent.reply.finish_reason == "length":
            self._warn("the answer was cut off at its token limit")
        local = decision.local if decision.local is not None else LocalAnswer(decision.verdict)
        reply, result = sent.reply, local.result
        _, policy = self._outgoing(decision.local)
        return Answer(
            id=uuid.uuid4().hex,
            answer=text,
            answered_by="cloud",
            model=reply.model,
            handoff=_view("escalated", decision.verdict, local),
            usage=Usage(
                TokenCounts(result.tokens_in, result.tokens_out),
                TokenCounts(reply.tokens_in, reply.tokens_out),
            ),
            cost_usd=sent.settlement.cost,
            timings=Timings(result.load_seconds, first_token, self._elapsed(), result.seconds),
            samples=local.samples,
            policy=self._policy_view(policy),
            finish_reason=reply.finish_reason,
            cost_is_estimate=sent.settlement.estimated,
            citations=reply.citations,
            images=reply.images,
        )

    def _policy_view(self, policy: Policy) -> PolicyView:
        return PolicyView(policy.profile, policy.mode, policy.decided_by, self.enforcement)

    def _elapsed(self) -> float:
        return round(self.stopwatch.elapsed(), 4)

    def _warn(self, message: str) -> None:
        """Print a note on a line of its own, even below a streamed answer."""
        self.output.end_line()
        self.environment.note(message)


def _why_not(failure: Failure) -> str:
    """Say whether a prompt was not handed off at all, or was handed off in vain."""
    from hybrid_cli.cloud.faults import CloudFault

    sent = isinstance(failure, CloudFault) or failure.status is ExitStatus.CHECK
    return f"{'the handoff failed' if sent else 'not handed off'}: {failure}"


def _view(
    outcome: Literal["kept", "escalated", "denied"], verdict: Verdict, local: LocalAnswer
) -> HandoffView:
    return HandoffView(
        outcome,
        verdict.reason,
        verdict.stage,
        verdict.confidence,
        verdict.threshold,
        verdict.signals,
        local.stages,
    )
