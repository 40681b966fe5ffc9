"""One `hybrid run`, from its options to its output: policy, guard, prompt, answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hybrid_cli.cascade.answer import Answer, HandoffView
from hybrid_cli.cascade.cascade import Cascade
from hybrid_cli.cascade.conversations import Conversation, conversation_of
from hybrid_cli.cascade.output import Output
from hybrid_cli.cascade.run_options import RunOptions
from hybrid_cli.cascade.session import choose_engine, engine_of, guard, note_shorter_limit
from hybrid_cli.cascade.shadow import Shadows
from hybrid_cli.cascade.steps import ruled, settled
from hybrid_cli.checks.answer_form import form_instruction
from hybrid_cli.checks.choices import read_choices
from hybrid_cli.checks.json_schema import AnswerSchema, read_schema
from hybrid_cli.checks.verify import require_command
from hybrid_cli.cloud.image import Image
from hybrid_cli.egress.permission import prefetch_sdk
from hybrid_cli.egress.prompt_rules import known_tags
from hybrid_cli.exit_status import MAX_CHOICES_WITH_CODES, SECOND_CHOICE, ExitStatus, Failure
from hybrid_cli.guard.forbid import Enforcement, wipe_start_environment
from hybrid_cli.local.connection import Connection
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.policy import Flags, Policy
from hybrid_cli.prompt import Request, prompt_of, read_question
from hybrid_cli.ui.environment import Environment, deadline
from hybrid_cli.ui.sanitize import one_line
from hybrid_cli.ui.stopwatch import Stopwatch

if TYPE_CHECKING:  # late, as few runs need them
    from hybrid_cli.prompt_files.templates import PromptTemplate


def run_prompt(
    policy: Policy,
    flags: Flags,
    options: RunOptions,
    environment: Environment,
    worker: Worker | None,
    stopwatch: Stopwatch,
) -> int:
    """Answer the prompt, deliver the answer, and return the exit code. Raises Failure if there is no answer.

    `policy` is that of `flags`.
    """
    if options.editor:
        with stopwatch.pause():  # the limit is not for the user
            options = replace(options, prompt=_written_prompt(options, environment))
    note_shorter_limit(policy, environment)
    with deadline(policy.limits.seconds, stopwatch.elapsed()):
        run = _Run.prepared(policy, flags, options, environment, stopwatch)
        try:
            chosen = worker if options.dry_run else choose_engine(policy, environment, worker)
            enforcement = guard(policy, environment)
            if policy.mode == "force" and not options.dry_run:
                prefetch_sdk(policy, environment)
            with conversation_of(options.conversation, policy, environment) as conversation:
                status = run.answer(enforcement, chosen, conversation)
        finally:
            run.output.close()
    run.shadows.send()  # the deadline was for the answer
    return status


@dataclass(frozen=True)
class _Run:
    """A run whose options are checked, so that a mistake in them ends it before any model is loaded."""

    policy: Policy
    options: RunOptions
    schema: AnswerSchema | None
    choices: tuple[str, ...]
    command: tuple[str, ...]
    """The answer must pass it; empty for none."""
    template: PromptTemplate | None
    tags: frozenset[str]
    output: Output
    shadows: Shadows
    """What shadow mode sends."""
    environment: Environment
    stopwatch: Stopwatch

    @classmethod
    def prepared(
        cls,
        policy: Policy,
        flags: Flags,
        options: RunOptions,
        environment: Environment,
        stopwatch: Stopwatch,
    ) -> _Run:
        """Check the options, and open the output. Raises Failure."""
        choices = _choices(options)
        given = None if choices else options.schema or policy.checks.schema
        schema = None if given is None else read_schema(given)
        command = options.verify or tuple(policy.checks.verify or ())
        if command:
            require_command(command, environment.variables)
        template = _template(options, environment)
        tags = known_tags(options.tags, policy, environment)
        output = Output(
            environment,
            file=options.output,
            as_json=options.as_json,
            stream=options.stream,
            raw=options.raw,
            render=options.render,
            # nothing is shown before it is checked
            whole=schema is not None or choices != () or options.code or command != (),
        )
        if "image_generation" in options.tools:
            output.require_image_output()
        shadows = Shadows(flags, tags, environment)
        return cls(
            policy,
            options,
            schema,
            choices,
            command,
            template,
            tags,
            output,
            shadows,
            environment,
            stopwatch,
        )

    def answer(
        self, enforcement: Enforcement, chosen: Connection | None, conversation: Conversation | None
    ) -> int:
        """Answer the prompt and deliver the answer; return the exit code. Raises Failure."""
        options, output, environment = self.options, self.output, self.environment
        if self.command:
            wipe_start_environment()  # a command could read its parent's variables in /proc
        request = self._request()
        if conversation is not None:
            request = conversation.request(request)
        cascade = Cascade(
            request,
            self.policy,
            enforcement,
            None,
            output,
            environment,
            self.stopwatch,
            shows_thinking=options.show_thinking,
        )
        cascade = ruled(cascade, self.tags)
        if enforcement == "none":  # a rule may forbid what the layers allow
            cascade.enforcement = guard(cascade.policy, environment)
        if options.dry_run:
            from hybrid_cli.cascade.dry_run import make_plan

            plan = make_plan(request, cascade.policy, cascade.ruling, environment)
            _show_plan(plan, options, output, environment)
            return 0
        with engine_of(cascade.policy, chosen) as cascade.engine:
            answer, shadow = settled(cascade, cascade.ask(cascade.decide()))
        output.finish(answer.answer, answer.as_json(), *answer.images[:1])
        if conversation is not None:
            conversation.add(request, answer)
        if options.clipboard is not None:
            options.clipboard.copy(answer.answer)
        _report(answer, environment)
        self.shadows.add(shadow)
        return _exit_code(answer.answer, self.choices) if options.exit_code else 0

    def _request(self) -> Request:
        """Read the question, and add what shapes its answer. Raises Failure (USAGE)."""
        options = self.options
        question = read_question(
            options.prompt,
            self.environment,
            may_read=options.may_read_stdin,
            files=options.files,
            template=self.template,
        )
        return Request(
            question,
            options.system,
            options.stop,
            self.schema,
            self.command,
            self.choices,
            form_instruction(self.schema, self.choices),
            options.code,
            allows_truncated=options.allow_truncated,
            drops_oldest=options.drop_oldest,
            images=_images(options.images),
            tools=options.tools,
        )


def _images(paths: tuple[str, ...]) -> tuple[Image, ...]:
    if not paths:
        return ()
    from hybrid_cli.prompt_files.images import read_images  # late, as most prompts have none

    return read_images(paths)


def _written_prompt(options: RunOptions, environment: Environment) -> str:
    """Return the prompt that the user writes, beginning with PROMPT. Called before `forbid` refuses sockets to editors."""
    from hybrid_cli.ui.editor import written_prompt

    start = "" if options.prompt in (None, "-") else prompt_of(str(options.prompt), environment)
    written = written_prompt(environment, start)
    return f"@{written}" if written.startswith("@") else written  # the text, not a file's name


def _template(options: RunOptions, environment: Environment) -> PromptTemplate | None:
    if options.template is None:
        if options.variables:
            raise Failure(ExitStatus.USAGE, "--var needs a template: -t NAME")
        return None
    from hybrid_cli.prompt_files.templates import filled_template

    return filled_template(options.template, options.variables, environment)


def _choices(options: RunOptions) -> tuple[str, ...]:
    """Return the allowed answers. Raises Failure (USAGE) for options that exclude each other."""
    if options.choices is None:
        if options.exit_code:
            raise Failure(ExitStatus.USAGE, "--exit-code needs --choices")
        return ()
    if options.schema is not None:
        raise Failure(ExitStatus.USAGE, "use --choices or --schema, not both")
    choices = read_choices(options.choices)
    if options.exit_code and len(choices) > MAX_CHOICES_WITH_CODES:
        raise Failure(ExitStatus.USAGE, f"--exit-code allows at most {MAX_CHOICES_WITH_CODES} choices")
    return choices


def _exit_code(answer: str, choices: tuple[str, ...]) -> int:
    """Return 0 for the first choice, 10 for the second, 11 for the third, and so on."""
    place = choices.index(answer)
    return place and SECOND_CHOICE + place - 1


def _show_plan(plan: dict[str, Any], options: RunOptions, output: Output, environment: Environment) -> None:
    if options.as_json:
        output.finish("", plan)
    else:
        from hybrid_cli.cascade.dry_run import as_lines

        for line in as_lines(plan):
            environment.write_stderr(f"{one_line(line)}\n")
    if "forbidden" in plan:  # as the run itself would end
        raise Failure(ExitStatus.DENIED, plan["forbidden"])
    if "over_limit" in plan and plan["handoff"] == "always":
        raise Failure(ExitStatus.LIMIT, plan["over_limit"])


_OUTCOMES = {
    "kept": "kept the local answer",
    "escalated": "handed off",
    "denied": "used the local answer although the gate would hand off",
}
_HANDOFF_FAILED = "used the local answer, because the handoff failed"


def _report(answer: Answer, environment: Environment) -> None:
    """List the sources; under --verbose, also say how the answer was decided."""
    for citation in answer.citations:
        environment.note(f"source: {citation['title']} {citation['url']}")
    handoff, usage = answer.handoff, answer.usage
    for stage in handoff.stages:
        environment.detail(stage.describe())
    why = "" if handoff.reason == "none" else f", reason: {handoff.reason}"
    has_failed = handoff.decision == "kept" and handoff.reason != "none"
    outcome = _HANDOFF_FAILED if has_failed else _OUTCOMES[handoff.decision]
    environment.detail(f"{outcome}{_measured(handoff)}{why}")
    environment.detail(
        f"{answer.model} answered in {answer.timings.total:.2f} s; tokens in/out: local"
        f" {usage.local.in_}/{usage.local.out}, cloud {usage.cloud.in_}/{usage.cloud.out};"
        f" network guard: {answer.policy.enforcement}"
    )


def _measured(handoff: HandoffView) -> str:
    if handoff.confidence is None or handoff.threshold is None:
        return ""
    return f" (confidence {handoff.confidence:.2f}, at least {handoff.threshold:.2f} is kept)"
