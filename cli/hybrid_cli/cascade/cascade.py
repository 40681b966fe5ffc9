"""The way of one prompt: local first, then the gate, then keep it or hand it off."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from hybrid_cli.cascade.answer import Answer, Handoff, PolicyView, Timings, Tokens, Usage
from hybrid_cli.cascade.local_answer import Thinking, new_request, run_local
from hybrid_cli.cascade.output import Output
from hybrid_cli.cascade.shadow import observe
from hybrid_cli.checks.agreement import agreement
from hybrid_cli.checks.choices import chosen
from hybrid_cli.checks.refusal import is_refusal
from hybrid_cli.checks.tool_calls import Name, ToolCall, is_broken, may_begin, own_call
from hybrid_cli.checks.verify import verify
from hybrid_cli.egress import permission, send
from hybrid_cli.egress.backpressure import Traffic
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate import verdict as gate
from hybrid_cli.gate.criterion import Criterion, criterion_of
from hybrid_cli.gate.stages import stage_scores
from hybrid_cli.gate.verdict import LocalResult, StageScore, Verdict
from hybrid_cli.ledger.database import Ledger, Observation
from hybrid_cli.local.stop_strings import StopWords, stop_at
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.policy import Policy
from hybrid_cli.profile.rules import Ruling
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Store, Weights


@dataclass
class Cascade:
    """One prompt being answered: what it may do, and where its words go."""

    request: Request
    policy: Policy
    ruling: Ruling | None
    """What the profile's rules say of this prompt."""
    enforcement: str
    """What keeps this very process from the network."""
    worker: Worker | None
    """None under `force`, which never touches the weights."""
    output: Output
    environment: Environment
    shows_thinking: bool = False
    offers: Mapping[Name, Policy] = field(default_factory=dict)
    """Tools that the local model is told of, each with the policy that its call goes out under."""
    traffic: Traffic = field(default_factory=Traffic)
    """Shared by the prompts that are answered side by side."""
    criterion: Criterion | None = None
    """What the answer is judged by, where that is known already."""
    stages: list[StageScore] = field(default_factory=list, init=False)
    """What each stage of the gate saw of the local answer."""
    observation: Observation | None = field(default=None, init=False)
    """The local answer in numbers, where shadow mode wants it."""

    def answer(self) -> Answer:
        """The answer of exactly one model. Raises Failure where there is none to give."""
        return self.decide().asked().settle()

    def decide(self) -> Decided:
        """The verdict, by the local answer where one is needed. Nothing is asked or sent yet."""
        denied = self._denial()
        due = self._due_at_once()
        if due is not None and denied is None:
            return Decided(self, "at once", due, LocalResult())
        return self.decide_here(due, denied)

    def decide_here(self, due: Verdict | None, denied: str | None) -> Decided:
        """The verdict on the local answer, where no cloud was `due`, or that one is `denied`."""
        if due is not None and due.reason == "forced":  # an error rather than a quiet local answer
            raise Failure(ExitStatus.DENIED, str(denied))
        if due is not None and due.failure is not None:
            raise Failure(ExitStatus.DENIED, f"{due.words}; not handed off: {denied}")
        result = LocalResult()
        verdict = self._local_verdict(result, denied)
        if due is not None and verdict.failure is None:
            verdict = replace(verdict, reason=due.reason, stage=due.stage, words=due.words)
        if result.call is not None:
            return Decided(self._following(result.call), "unless denied", verdict, result)
        if self._stays_here() and verdict.failure is None:
            return Decided(self, "not", replace(verdict, reason="rule", stage="policy"), result)
        return Decided(self, "not" if verdict.reason == "none" else "unless denied", verdict, result, denied)

    def _following(self, call: ToolCall) -> Cascade:
        """This cascade as the local model's call goes on: a tool is sent its own words, under its policy."""
        if call.name == "handoff":
            return self
        request = replace(self.request, tools=(call.name,), asked=call.asks)
        following = replace(self, request=request, policy=self.offers[call.name])
        following.stages = self.stages
        return following

    def _due_at_once(self) -> Verdict | None:
        """The verdict that needs no local answer: the policy or a rule forces the cloud."""
        if self.ruling is not None and self.ruling.then == "force":
            return gate.ruled(self.ruling.words)
        if self.request.tools:
            return gate.needs_tool(self.request.tools)
        return gate.forced() if self.policy.forced_by is not None else None

    def _stays_here(self) -> bool:
        return self.ruling is not None and self.ruling.then == "local"

    def _denial(self) -> str | None:
        denied = permission.denial(self.policy, self.environment, self.request)
        if denied is None and self.ruling is not None and self._stays_here():
            return f"{self.ruling.words} keeps this prompt here"
        return denied

    def _local_verdict(self, result: LocalResult, denied: str | None) -> Verdict:
        """Run the local model into `result` and judge it."""
        try:
            return self._judged(result, denied)
        except Failure as failure:
            if failure.status is not ExitStatus.WEIGHTS:
                raise
            return gate.unavailable(failure)

    def _judged(self, result: LocalResult, denied: str | None) -> Verdict:
        weights = Store(self.environment).locate(self.policy.local.model)
        criterion = self.criterion or criterion_of(self.policy, weights.sha256, self.environment)
        answers_anyway = self.policy.escalation.on_denied == "answer" or self._stays_here()
        live = denied is not None and answers_anyway

        def watch(logprobs: list[float | None]) -> int | None:
            if denied is None and criterion.leans(gate.signals_of(result, criterion)):
                permission.prepare(self.policy, self.environment)
            # Only what can be handed off without a question is given up: else the answer is wanted whole.
            may_give_up = denied is None and self.policy.mode == "auto"
            if self.offers and may_begin(result.text):  # a call is judged whole
                return None
            return criterion.fails_early(logprobs) if may_give_up else None

        given_up_at = self._run_local(weights, result, watch, live=live, wants_state=criterion.wants_state)
        self.stages = stage_scores(result, criterion)
        if given_up_at is not None:
            return gate.given_up(result, criterion, given_up_at)
        if result.call is not None:
            return gate.called(result.call)
        self.observation = observe(result, weights.sha256, self.policy, self.environment)
        return gate.judge(result, criterion)

    def _run_local(
        self,
        weights: Weights,
        result: LocalResult,
        watch: Callable[[list[float | None]], int | None],
        *,
        live: bool,
        wants_state: bool,
    ) -> int | None:
        """Fill `result` from the worker; under `live` show the text as it comes.

        The checkpoint in tokens at which `watch` gave the answer up, or None for a whole answer.
        """
        if self.worker is None:
            raise AssertionError("a local answer needs the worker")

        request = new_request(
            self.request, self.policy, weights, self.environment, self.offers, wants_state=wants_state
        )
        thinking = Thinking(self.environment) if self.shows_thinking else None
        begun = self._elapsed()
        given_up_at = run_local(
            self.worker,
            request,
            result,
            self.environment,
            self.output.stream if live else None,
            thinking,
            watch,
        )
        result.seconds = round(self._elapsed() - begun, 4)
        if given_up_at is not None:
            return given_up_at
        prompt = [message["content"] for message in self.request.messages()]
        result.call = own_call(result.text, self.offers, prompt)
        if is_broken(result.text, self.offers, prompt):
            result.problem = "calls a tool in a way that cannot be read"
        elif result.call is None:
            result.problem = self._problem(result.text)
        return None

    def ask(self, verdict: Verdict) -> str | None:
        """Put the handoff to the user, where that is needed; why it is denied, or None."""
        return permission.ask([self.request], self.policy, verdict.words, self.environment, self.traffic)

    def deny(self, verdict: Verdict, result: LocalResult, denied: str) -> Answer:
        """The local answer with a warning, where there is one and the profile wants it."""
        if verdict.failure is not None:
            self.output.end_line()
            raise Failure(verdict.failure.status, f"{verdict.failure}; not handed off: {denied}")
        if self.policy.escalation.on_denied == "fail":
            raise Failure(ExitStatus.DENIED, f"the local answer is {verdict.words}; not handed off: {denied}")
        answer = self.keep(verdict, result, "denied")
        self._warn(f"the local answer is {verdict.words}; not handed off: {denied}")
        return answer

    def hand_off_or_fall_back(self, verdict: Verdict, result: LocalResult) -> Answer:
        """The cloud's answer, or where it fails and the profile says so, the local one."""
        try:
            return self.hand_off(verdict, result)
        except Failure as failure:
            if self.policy.escalation.on_cloud_failure == "fail" or verdict.failure is not None:
                raise
            self._warn(f"{failure}; this is the local answer, {verdict.words}")
            return self.keep(verdict, result, "kept")

    def _warn(self, message: str) -> None:
        """A note that stands on its own line even below a streamed answer."""
        self.output.end_line()
        self.environment.note(message)

    def hand_off(self, verdict: Verdict, result: LocalResult) -> Answer:
        """The cloud's answer."""
        first_token: list[float] = []

        def show(text: str) -> None:
            if not first_token:
                first_token.append(self._elapsed())
            self.output.stream(stop.feed(text))

        stop = StopWords(self.request.stop)
        try:
            sent = send.send(
                self.request,
                self.policy,
                send.Cause(verdict.reason, verdict.words),
                self.environment,
                show,
                is_shown=self.output.streams,
                traffic=self.traffic,
            )
        except Failure:
            self.output.end_line()
            raise
        reply = sent.reply
        self.output.stream(stop.flush())
        text = stop_at(reply.text, self.request.stop).strip()
        if self.observation is not None:
            with suppress(Failure):  # the answer is paid for, whatever becomes of a number
                ledger = Ledger(self.environment.state_folder)
                ledger.observe(sent.row, self.observation, agreement(result.text, text))
        text = self._checked(text)
        if is_refusal(text):
            self._warn("the cloud declined")
        return Answer(
            id=uuid.uuid4().hex,
            answer=text,
            answered_by="cloud",
            model=reply.model,
            handoff=self._handoff("escalated", verdict),
            usage=Usage(
                Tokens(result.tokens_in, result.tokens_out), Tokens(reply.tokens_in, reply.tokens_out)
            ),
            cost_usd=sent.settlement.cost,
            timings=Timings(
                result.load_seconds, first_token[0] if first_token else None, self._elapsed(), result.seconds
            ),
            policy=self._policy_view(),
            finish_reason=reply.finish_reason,
            cost_is_estimate=sent.settlement.estimated,
            citations=reply.citations,
            images=reply.images,
        )

    def _problem(self, text: str) -> str | None:
        """What the user's own checks find wrong with an answer, in words."""
        schema, command = self.request.schema, self.request.verify
        problem = schema.problem(text) if schema is not None else None
        if self.request.choices and text not in self.request.choices:
            problem = "is none of the choices"
        if problem is None and command and text.strip():
            failed = verify(command, text, self.environment.variables)
            problem = None if failed is None else f"fails its check: {failed}"
        return problem

    def _checked(self, text: str) -> str:
        """The cloud's answer; of choices, the one that it names. Raises Failure (CHECK)."""
        text = chosen(text, self.request.choices)
        problem = self._problem(text)
        if problem is not None:
            raise Failure(ExitStatus.CHECK, f"the cloud's answer {problem}")
        return text

    def keep(self, verdict: Verdict, result: LocalResult, decision: Any) -> Answer:
        """The local answer."""
        if decision == "denied" and self.policy.mode == "forbid":
            verdict = replace(verdict, reason="forbidden")
        return Answer(
            id=uuid.uuid4().hex,
            answer=result.text.strip(),
            answered_by="local",
            model=self.policy.local.model,
            handoff=self._handoff(decision, verdict),
            usage=Usage(local=Tokens(result.tokens_in, result.tokens_out)),
            cost_usd=0.0,
            timings=Timings(result.load_seconds, result.first_token_seconds, self._elapsed(), result.seconds),
            policy=self._policy_view(),
            finish_reason=result.finish_reason,
        )

    def _handoff(self, decision: Any, verdict: Verdict) -> Handoff:
        return Handoff(
            decision,
            verdict.reason,
            verdict.stage,
            verdict.confidence,
            verdict.threshold,
            verdict.signals,
            self.stages,
        )

    def _policy_view(self) -> PolicyView:
        policy = self.policy
        return PolicyView(policy.profile, policy.mode, policy.decided_by, self.enforcement)

    def goes_on(self, carried: Carried) -> Decided:
        """What another process decided by the same request and policy, to be settled here."""
        result = carried.result
        cascade = self if result.call is None else self._following(result.call)
        cascade.stages, cascade.observation = carried.stages, carried.observation
        cascade.environment.started -= carried.seconds
        return Decided(cascade, carried.leaves, carried.verdict, result)

    def _elapsed(self) -> float:
        return round(self.environment.clock() - self.environment.started, 4)


Leaves = Literal["not", "at once", "unless denied"]


@dataclass(frozen=True)
class Decided:
    """A prompt that was decided about: kept, or to be handed off. Settled beside other prompts or at once."""

    cascade: Cascade
    leaves: Leaves
    verdict: Verdict
    result: LocalResult
    denied: str | None = None
    """Why it may not leave."""

    @property
    def needs_cloud(self) -> bool:
        """Whether settling it means to wait for the user or a cloud."""
        return self.leaves != "not" and self.denied is None

    def asked(self) -> Decided:
        """The same after the user was asked, where that is needed. A no may call for a local answer."""
        denied = self.cascade.ask(self.verdict) if self.needs_cloud else None
        if denied is None:
            return self
        if self.leaves == "at once":
            return self.cascade.decide_here(self.verdict, denied)
        return replace(self, denied=denied)

    def settle(self) -> Answer:
        """Keep the answer, or hand the prompt off. Raises Failure where there is no answer to give."""
        cascade, verdict, result = self.cascade, self.verdict, self.result
        if self.leaves == "not":
            return cascade.keep(verdict, result, "kept")
        if self.denied is not None:
            return cascade.deny(verdict, result, self.denied)
        if self.leaves == "at once":
            return cascade.hand_off(verdict, result)
        return cascade.hand_off_or_fall_back(verdict, result)

    def carried(self) -> Carried:
        """This for `Cascade.goes_on` in another process, where the cloud is still needed."""
        cascade = self.cascade
        seconds = cascade.environment.clock() - cascade.environment.started
        return Carried(self.leaves, self.verdict, self.result, cascade.stages, cascade.observation, seconds)


@dataclass(frozen=True)
class Carried:
    """What was decided about a prompt, without all that belongs to the process that did."""

    leaves: Leaves
    verdict: Verdict
    result: LocalResult
    stages: list[StageScore]
    observation: Observation | None
    seconds: float
    """That it took."""
