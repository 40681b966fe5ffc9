"""The way of one prompt: local first, then the gate, then keep it or hand it off."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hybrid_cli.environment import Environment
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.handoff import egress, gate
from hybrid_cli.handoff.answer import Answer, Handoff, PolicyView, Request, Timings, Tokens, Usage
from hybrid_cli.handoff.gate import LocalResult, Verdict
from hybrid_cli.local.worker import Worker
from hybrid_cli.output import Output
from hybrid_cli.profile.policy import Policy
from hybrid_cli.profile.rules import Ruling
from hybrid_cli.weights.store import Store


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
    _leans_below: float | None = None
    """The confidence below which a handoff is likely and may happen."""

    def answer(self) -> Answer:
        """The answer of exactly one model. Raises Failure where there is none to give."""
        result = LocalResult()
        denied = self._denial()
        due = self._due_at_once()
        if due is not None:
            denied = denied or self._ask(due)
            if denied is None:
                return self._hand_off(due, result)
            if self.policy.mode == "force":
                raise Failure(ExitStatus.DENIED, denied)
            if due.failure is not None:
                raise Failure(ExitStatus.DENIED, f"{due.words}; not handed off: {denied}")
        verdict = self._local_verdict(result, denied)
        if due is not None and verdict.failure is None:
            verdict = replace(verdict, reason=due.reason, stage=due.stage, words=due.words)
        if self._stays_here() and verdict.failure is None:
            return self._keep(replace(verdict, reason="rule", stage="policy"), result, "kept")
        if verdict.reason == "none":
            return self._keep(verdict, result, "kept")
        denied = denied or self._ask(verdict)
        if denied is not None:
            return self._denied(verdict, result, denied)
        return self._hand_off_or_fall_back(verdict, result)

    def _due_at_once(self) -> Verdict | None:
        """The verdict that needs no local answer: the policy or a rule forces the cloud."""
        if self.ruling is not None and self.ruling.then == "force":
            return gate.ruled(self.ruling.words)
        if self.request.tools:
            return gate.needs_tool(self.request.tools)
        return gate.forced() if self.policy.mode == "force" else None

    def _stays_here(self) -> bool:
        return self.ruling is not None and self.ruling.then == "local"

    def _denial(self) -> str | None:
        denied = egress.denial(self.policy, self.environment, self.request)
        if denied is None and self.ruling is not None and self._stays_here():
            return f"{self.ruling.words} keeps this prompt here"
        return denied

    def _local_verdict(self, result: LocalResult, denied: str | None) -> Verdict:
        """Run the local model into `result` and judge it."""
        try:
            weights = Store(self.environment).locate(self.policy.local.model)
        except Failure as failure:
            if failure.status is not ExitStatus.WEIGHTS:
                raise
            return gate.unavailable(failure)
        threshold = gate.threshold(self.policy)
        answers_anyway = self.policy.escalation.on_denied == "answer" or self._stays_here()
        self._leans_below = threshold if denied is None else None
        self._run_local(weights, result, live=denied is not None and answers_anyway)
        return gate.judge(result, threshold)

    def _run_local(self, weights: Path, result: LocalResult, *, live: bool) -> None:
        """Fill `result` from the worker; under `live` show the text as it comes."""
        local = self.policy.local
        request = {
            "path": str(weights.absolute()),
            "messages": self.request.messages(),
            "context": None if local.context == "auto" else local.context,
            "threads": None if local.threads == "auto" else local.threads,
            "max_tokens": local.sampling.max_tokens,
            "temperature": local.sampling.temperature,
            "seed": local.sampling.seed,
            "repeat_penalty": local.sampling.repeat_penalty,
        }
        if self.worker is None:
            raise AssertionError("a local answer needs the worker")
        events = self.worker.events(request)
        with self.environment.waiting(f"loading {local.model}"):
            for event in events:
                if event["event"] in ("loaded", "failed"):
                    break
        if event["event"] == "failed":
            raise Failure(ExitStatus.FAILURE, event["message"])
        for event in events:
            self._take(event, result, live=live)

    def _take(self, event: dict[str, Any], result: LocalResult, *, live: bool) -> None:
        if event["event"] == "token":
            if result.first_token_seconds is None:
                result.first_token_seconds = self._elapsed()
            result.text += event["text"]
            result.logprobs.append(event["logprob"])
            if self._leans_below is not None and gate.leans(result, self._leans_below):
                egress.prepare(self.environment)
            if live:
                self.output.stream(event["text"])
        elif event["event"] == "failed":
            raise Failure(ExitStatus.FAILURE, event["message"])
        elif event["event"] == "done":
            result.finish_reason = event["finish_reason"]
            result.tokens_in, result.tokens_out = event["tokens_in"], event["tokens_out"]
            result.context = event["context"]
            result.load_seconds = event["load_seconds"]

    def _ask(self, verdict: Verdict) -> str | None:
        return egress.ask(self.request, self.policy, verdict.words, self.environment)

    def _denied(self, verdict: Verdict, result: LocalResult, denied: str) -> Answer:
        """The local answer with a warning, where there is one and the profile wants it."""
        if verdict.failure is not None:
            self.output.end_line()
            raise Failure(verdict.failure.status, f"{verdict.failure}; not handed off: {denied}")
        if self.policy.escalation.on_denied == "fail":
            raise Failure(ExitStatus.DENIED, f"the local answer is {verdict.words}; not handed off: {denied}")
        answer = self._keep(verdict, result, "denied")
        self._warn(f"the local answer is {verdict.words}; not handed off: {denied}")
        return answer

    def _hand_off_or_fall_back(self, verdict: Verdict, result: LocalResult) -> Answer:
        try:
            return self._hand_off(verdict, result)
        except Failure as failure:
            if self.policy.escalation.on_cloud_failure == "fail" or verdict.failure is not None:
                raise
            self._warn(f"{failure}; this is the local answer, {verdict.words}")
            return self._keep(verdict, result, "kept")

    def _warn(self, message: str) -> None:
        """A note that stands on its own line even below a streamed answer."""
        self.output.end_line()
        self.environment.note(message)

    def _hand_off(self, verdict: Verdict, result: LocalResult) -> Answer:
        first_token: list[float] = []

        def show(text: str) -> None:
            if not first_token:
                first_token.append(self._elapsed())
            self.output.stream(text)

        try:
            sent = egress.send(
                self.request,
                self.policy,
                verdict,
                self.environment,
                show,
                is_shown=self.output.streams,
            )
        except Failure:
            self.output.end_line()
            raise
        reply = sent.reply
        return Answer(
            id=uuid.uuid4().hex,
            answer=reply.text.strip(),
            answered_by="cloud",
            model=reply.model,
            handoff=_handoff("escalated", verdict),
            usage=Usage(
                Tokens(result.tokens_in, result.tokens_out), Tokens(reply.tokens_in, reply.tokens_out)
            ),
            cost_usd=sent.settlement.cost,
            timings=Timings(result.load_seconds, first_token[0] if first_token else None, self._elapsed()),
            policy=self._policy_view(),
            finish_reason=reply.finish_reason,
            cost_is_estimate=sent.settlement.estimated,
            citations=reply.citations,
            images=reply.images,
        )

    def _keep(self, verdict: Verdict, result: LocalResult, decision: Any) -> Answer:
        if decision == "denied" and self.policy.mode == "forbid":
            verdict = replace(verdict, reason="forbidden")
        return Answer(
            id=uuid.uuid4().hex,
            answer=result.text.strip(),
            answered_by="local",
            model=self.policy.local.model,
            handoff=_handoff(decision, verdict),
            usage=Usage(local=Tokens(result.tokens_in, result.tokens_out)),
            cost_usd=0.0,
            timings=Timings(result.load_seconds, result.first_token_seconds, self._elapsed()),
            policy=self._policy_view(),
            finish_reason=result.finish_reason,
        )

    def _policy_view(self) -> PolicyView:
        policy = self.policy
        return PolicyView(policy.profile, policy.mode, policy.decided_by, self.enforcement)

    def _elapsed(self) -> float:
        return round(self.environment.clock() - self.environment.started, 4)


def _handoff(decision: Any, verdict: Verdict) -> Handoff:
    return Handoff(
        decision, verdict.reason, verdict.stage, verdict.confidence, verdict.threshold, verdict.signals
    )
