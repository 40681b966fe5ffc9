"""The local answer to one prompt, judged: the gate's verdict, the user's own checks, a tool call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hybrid_cli.cascade.answer import Samples
from hybrid_cli.cascade.destination import Destination
from hybrid_cli.cascade.draft_choice import draft_choice
from hybrid_cli.cascade.draft_view import DraftView
from hybrid_cli.cascade.local_run import RunHooks, new_request, run_engine
from hybrid_cli.cascade.samples import agrees, has_time, is_comparable, sampled, sampled_request
from hybrid_cli.cascade.shadow import observe
from hybrid_cli.cascade.thinking_view import ThinkingView
from hybrid_cli.checks.code_block import first_code_block, unfenced
from hybrid_cli.checks.plain_sense import nonsense
from hybrid_cli.checks.tool_calls import ToolName, find_tool_call, is_broken, may_begin
from hybrid_cli.checks.verify import verify
from hybrid_cli.egress.permission import Permission, prefetch_sdk
from hybrid_cli.egress.prospects import may_be_sent
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.gate import verdict as gate
from hybrid_cli.gate.criterion import Criterion, criterion_of
from hybrid_cli.gate.stages import stage_scores
from hybrid_cli.gate.verdict import LocalResult, StageScore, Verdict
from hybrid_cli.ledger.database import Observation
from hybrid_cli.local.protocol import Engine, SecondModel
from hybrid_cli.local.unopened_thinking import without_unopened_thinking
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.policy import Policy
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.stopwatch import Stopwatch
from hybrid_cli.weights.projector import projector_of, verify_projector
from hybrid_cli.weights.store import Store, Weights


@dataclass(frozen=True)
class LocalAnswer:
    """A local answer with the gate's verdict on it. Can be pickled."""

    verdict: Verdict
    result: LocalResult = field(default_factory=LocalResult)
    stages: list[StageScore] = field(default_factory=list)
    """What each stage of the gate saw."""
    observation: Observation | None = None
    """The answer in numbers, if this prompt was sampled for shadow mode."""
    samples: Samples = field(default_factory=Samples)


@dataclass
class LocalModel:
    """Answers one request with the local model, under one policy."""

    request: Request
    policy: Policy
    engine: Engine | None
    """None under `force`, which never touches the weights."""
    output: Destination
    environment: Environment
    stopwatch: Stopwatch
    shows_thinking: bool
    offers: Mapping[ToolName, Policy]
    """Tools the model may call, each with the policy its call is sent under."""
    criterion: Criterion | None
    """What the answer is judged by; None to look it up."""
    draft: SecondModel | None = field(default=None, init=False)
    """The model that drafts the answer."""

    def answer(self, permission: Permission, *, is_final: bool) -> LocalAnswer:
        """Run the model and judge its answer.

        With `is_final` the answer is delivered whatever the verdict,
        so it may be shown while it is generated. Missing weights are a verdict, except those that only draft; other
        Failures are raised.
        """
        if isinstance(self.engine, Worker):  # other engines answer several prompts at once, without drafts
            self.draft = draft_choice(self.policy, self.environment)
        try:
            weights = Store(self.environment).locate(self.policy.local.model)
            criterion = self.criterion or criterion_of(self.policy, weights, self.environment)
            criterion = criterion.for_request(self.request)
            projector = projector_of(self.policy, weights)
            if self.request.images and projector is not None:
                verify_projector(projector, self.environment)
            return self._run_and_judge(weights, criterion, permission, is_final=is_final)
        except Failure as failure:
            if failure.status is ExitStatus.DENIED:  # the engine says so of an image
                return LocalAnswer(gate.needs_sight(str(failure)))
            if failure.status is not ExitStatus.WEIGHTS:
                raise
            return LocalAnswer(gate.unavailable(failure))

    def _run_and_judge(
        self, weights: Weights, criterion: Criterion, permission: Permission, *, is_final: bool
    ) -> LocalAnswer:
        result = LocalResult()
        stopped_at = self._run(weights, criterion, result, permission, is_shown=is_final)
        while result.finish_reason == "overflow" and self.request.drops_oldest and self.request.history:
            self._drop_oldest(result)
            result = LocalResult()
            stopped_at = self._run(weights, criterion, result, permission, is_shown=is_final)
        stages = stage_scores(result, criterion)
        if stopped_at is not None:
            return LocalAnswer(gate.given_up(result, criterion, stopped_at), result, stages)
        result.text = tidied(result.text, self.request, is_shown=is_final and self.output.streams)
        self._check(result)
        if result.call is not None:
            return LocalAnswer(gate.called(result.call), result, stages)
        observation = observe(result, weights.sha256, self.policy, self.environment)
        samples = self._compare_with_samples(weights, criterion, result, permission)
        stages = stage_scores(result, criterion)
        judged = result
        if result.finish_reason == "length" and self.request.allows_truncated:
            judged = replace(result, finish_reason="stop")
        return LocalAnswer(gate.judge(judged, criterion), result, stages, observation, samples)

    def _compare_with_samples(
        self, weights: Weights, criterion: Criterion, result: LocalResult, permission: Permission
    ) -> Samples:
        """Draw samples as long as the next may decide whether the answer is handed off, and set their agreement.

        Returns what they cost.
        """
        signals = gate.signals_of(result)
        drawn: list[bool] = []
        if (
            self.engine is None
            or not is_comparable(result, self.request)
            or not criterion.wants_sample(signals, drawn)
            or not may_be_sent(self.request, self.policy, permission, self.environment)
        ):
            return Samples()
        begun = self.stopwatch.elapsed()
        tokens_in = tokens_out = 0
        limit = self.policy.limits.seconds
        while criterion.wants_sample(signals, drawn) and has_time(result, self.stopwatch.elapsed(), limit):
            request = new_request(self.request, self.policy, weights, self.environment, self.offers)
            with self.environment.waiting("comparing the answer with a sample"):
                (one,) = sampled(self.engine, sampled_request(request, [result], [len(drawn) + 1]))
            text, ended = one
            if ended is not None:
                tokens_in, tokens_out = tokens_in + ended.tokens_in, tokens_out + ended.tokens_out
            drawn.append(agrees(result.text, text))
        seconds = round(self.stopwatch.elapsed() - begun, 4)
        if drawn:
            result.agreement = sum(drawn) / len(drawn)
            self.environment.detail(
                f"the answer is near the threshold; samples drawn: {len(drawn)}, with the same number: {sum(drawn)}"
                f" ({seconds:.1f} s)"
            )
        return Samples(len(drawn), tokens_in, tokens_out, seconds if drawn else 0.0)

    def _drop_oldest(self, result: LocalResult) -> None:
        """Leave out the oldest turns of a history that is too long, and say so."""
        before = len(self.request.history)
        room = min(self.policy.local.sampling.max_tokens, result.context // 2)  # for the answer
        self.request = self.request.without_oldest(result.tokens_in, result.context - room)
        dropped = before - len(self.request.history)
        self.environment.note(
            f"left out the {dropped} oldest messages: the conversation has {result.tokens_in} tokens,"
            f" the local context window holds {result.context}"
        )

    def _run(
        self,
        weights: Weights,
        criterion: Criterion,
        result: LocalResult,
        permission: Permission,
        *,
        is_shown: bool,
    ) -> int | None:
        """Fill `result`; return the checkpoint at which the answer was given up, or None."""
        if self.engine is None:
            raise AssertionError("a local answer needs the engine")

        def fails_early(logprobs: list[float | None]) -> int | None:
            if permission.denied is None and criterion.heads_for_handoff(gate.signals_of(result)):
                prefetch_sdk(self.policy, self.environment)
            if self.offers and may_begin(result.text):  # a tool call is judged whole
                return None
            # Given up only if no question follows: after a no, the whole answer is wanted.
            return criterion.fails_early(logprobs) if permission.is_granted else None

        begun = self.stopwatch.elapsed()
        request = new_request(
            self.request,
            self.policy,
            weights,
            self.environment,
            self.offers,
            self.draft,
        )
        draft = None if is_shown else DraftView.on(self.output, self.environment)
        hooks = RunHooks(
            show=self.output.stream if is_shown else None if draft is None else draft.show,
            thinking=ThinkingView(self.environment) if self.shows_thinking else None,
            fails_early=fails_early,
        )
        try:
            stopped_at = run_engine(
                self.engine,
                request,
                result,
                self.environment,
                self.stopwatch,
                hooks,
                model=self.policy.local.model,
            )
        finally:
            if draft is not None:
                draft.end()
        result.seconds = round(self.stopwatch.elapsed() - begun, 4)
        return stopped_at

    def _check(self, result: LocalResult) -> None:
        """Find the tool call in a whole answer, or what is wrong with it."""
        prompt = [message["content"] for message in self.request.messages()]
        result.call = find_tool_call(result.text, self.offers, prompt)
        if is_broken(result.text, self.offers, prompt):
            result.problem = "contains a malformed tool call"
        elif result.call is None:
            is_cut = result.finish_reason == "length"
            result.problem = problem_of(result.text, self.request, self.environment, is_cut=is_cut)
            result.doubt = doubt_of(result.text, self.request)


def doubt_of(text: str, request: Request) -> str | None:
    """Return what is senseless in a local answer, for a message; None if nothing is, or it is one of the choices."""
    question = request.question
    return None if request.choices else nonsense(text, question.prompt, question.context)


def tidied(text: str, request: Request, *, is_shown: bool) -> str:
    """Return an answer without the Markdown round code that the request does not want, and without thinking.

    The fence of an answer that `is_shown` already stays. The splitter drops thinking earlier, unless its opening tag is
    missing: some chat templates neither write it nor name it.
    """
    text = without_unopened_thinking(text)
    if request.code_only:
        return first_code_block(text)
    return text if is_shown else unfenced(text, request.question.prompt)


def problem_of(text: str, request: Request, environment: Environment, *, is_cut: bool) -> str | None:
    """Return what the user's own checks find wrong with an answer, for a message; None if nothing.

    `is_cut`: the answer ended at its token limit.
    """
    schema = None if is_cut and not request.checks_cut else request.schema
    problem = schema.problem(text) if schema is not None else None
    if request.choices and text not in request.choices:
        problem = "is none of the choices"
    if problem is None and request.verify and text.strip():
        failed = verify(request.verify, text, environment.variables)
        problem = None if failed is None else f"fails its check: {failed}"
    return problem
