"""One run of the local model: the request to the engine, and its events collected into a result."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from hybrid_cli.cascade.model_settings import model_settings
from hybrid_cli.cascade.prefix_folder import prefix_folder
from hybrid_cli.cascade.thinking_view import ThinkingView
from hybrid_cli.checks.tool_calls import ToolName, tool_definitions
from hybrid_cli.gate.verdict import LocalResult
from hybrid_cli.local.protocol import (
    Done,
    Engine,
    Event,
    Finished,
    Loaded,
    LocalRequest,
    SecondModel,
    Task,
    Tokens,
)
from hybrid_cli.profile.policy import Policy
from hybrid_cli.profile.schema import as_thinking
from hybrid_cli.prompt import Request
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.stopwatch import Stopwatch
from hybrid_cli.weights.store import Weights


def new_request(
    request: Request,
    policy: Policy,
    weights: Weights,
    environment: Environment,
    offered: Collection[ToolName] = (),
    draft: SecondModel | None = None,
) -> LocalRequest:
    """Build the engine's request under `policy`; the chat template gets the `offered` tools."""
    keeps_whole = policy.keeps_prefixes is True
    # The chat template may write the profile's variables, which are the user's words.
    head = None if keeps_whole or policy.local.template.variables else request.template_head
    may_cache = keeps_whole or head is not None
    return LocalRequest(
        **model_settings(policy, weights, environment),
        tasks=[new_task(request, policy, offered)],
        cache_folder=prefix_folder(policy, environment) if may_cache else None,
        cached_head=head,
        weights_id=weights.sha256,
        require_enforcement=policy.escalation.require_enforcement,
        draft=draft,
    )


def new_task(request: Request, policy: Policy, offered: Collection[ToolName] = ()) -> Task:
    """Build the sequence that answers `request`."""
    local, sampling = policy.local, policy.local.sampling
    return Task(
        messages=request.messages(),
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        seed=sampling.seed,
        repeat_penalty=sampling.repeat_penalty,
        stop=list(request.stop),
        schema=None if request.schema is None else request.schema.text,
        tools=tool_definitions(offered),
        choices=list(request.choices),
        room=sampling.max_tokens if request.drops_oldest and request.history else 0,
        drafts=local.lookup,
        thinking=None if local.thinking is None else as_thinking(local.thinking),
        template_variables=template_variables(policy),
        top_logprobs=request.top_logprobs,
        images=[image.content for image in request.images],
    )


def template_variables(policy: Policy) -> dict[str, Any]:
    """Return the profile's variables for the chat template, without those that contradict --think or --no-think.

    The variables win over the profile's own `local.thinking`, but an option wins over any profile.
    """
    variables = policy.local.template.variables
    option = policy.values["local.thinking"].layer
    if not variables or option not in ("--think", "--no-think"):
        return variables
    from hybrid_cli.local.thinking_control import SWITCHES  # late: few profiles have variables

    switches = {switch.variable: switch for switch in SWITCHES}
    return {
        name: value
        for name, value in variables.items()
        if name not in switches or (option == "--think" and value not in switches[name].off)
    }


@dataclass(frozen=True)
class RunHooks:
    """What happens to an answer while the engine generates it."""

    show: Callable[[str], None] | None
    """Gets each piece of the answer."""
    thinking: ThinkingView | None
    fails_early: Callable[[list[float | None]], int | None]
    """Returns the checkpoint (tokens) at which to give the answer up, or None."""


def run_engine(
    engine: Engine,
    request: LocalRequest,
    result: LocalResult,
    environment: Environment,
    stopwatch: Stopwatch,
    hooks: RunHooks,
    *,
    model: str,
) -> int | None:
    """Fill `result` from the engine's events. `model` is its name for the user.

    Return None for a whole answer. Return the checkpoint (tokens) if `fails_early` named one: the answer is given
    up there, and the engine stopped. Raises Failure where the engine cannot answer.
    """
    show, thinking = hooks.show, hooks.thinking
    events = engine.events(request)
    with environment.waiting(f"loading {model}"):
        loaded = next(event for event in events if isinstance(event, Loaded))
    result.load_seconds = loaded.load_seconds
    report_loaded(loaded, model, environment)
    result.tokens_in = loaded.tokens_in
    reading = f"the model is reading {result.tokens_in} tokens"
    with environment.waiting(reading if result.tokens_in else "waiting for the local model") as waiting:
        for event in events:
            if show is None and thinking is None:
                waiting.update("the model is answering")
            else:
                waiting.end()
            collect(event, result, stopwatch)
            if not isinstance(event, Tokens):
                continue
            if thinking is not None and event.thinking:
                thinking.show(event.thinking)
            if event.text:
                _end(thinking)
                if show is not None:
                    show(event.text)
            checkpoint = hooks.fails_early(result.logprobs)
            if checkpoint is not None:
                engine.stop()
                result.tokens_out = len(result.logprobs)
                return checkpoint
    _end(thinking)
    return None


def report_loaded(loaded: Loaded, model: str, environment: Environment) -> None:
    """Print a note if the model's own chat template did not write the prompt, or a GPU holds less than was tried."""
    if loaded.gpu_layers_tried:
        environment.note(_less_on_gpu(loaded, model))
    if loaded.template != "used":
        why = (
            "has no chat template"
            if loaded.template == "missing"
            else "has a chat template that cannot render this prompt"
        )
        environment.note(f"{model} {why}; using ChatML, which may not suit it")


def _less_on_gpu(loaded: Loaded, model: str) -> str:
    tried, layers = loaded.gpu_layers_tried, loaded.gpu_layers
    if not loaded.has_gpu:
        return f"local.gpu_layers is {tried}, but llama.cpp finds no GPU; run: hybrid doctor"
    if layers == 0:
        return f"the GPU's memory is too small for {model}; using the CPU"
    return f"the GPU's memory holds {layers} of {tried} layers of {model}; the CPU computes the others"


def _end(thinking: ThinkingView | None) -> None:
    if thinking is not None:
        thinking.end()


def collect(event: Event, result: LocalResult, stopwatch: Stopwatch) -> None:
    """Add what `event` says to `result`."""
    if isinstance(event, Tokens):
        if result.first_token_seconds is None:
            result.first_token_seconds = round(stopwatch.elapsed(), 4)
        result.text += event.text
        for signal in event.signals:
            result.add(signal)
        result.token_logprobs += event.logprobs
    elif isinstance(event, Finished):
        result.finish_reason = event.finish_reason
        result.tokens_in, result.tokens_out = event.tokens_in, event.tokens_out
    elif isinstance(event, Done):
        result.context = event.context
