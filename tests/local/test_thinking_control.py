"""Thinking switched on and off: the variables of each family's template, and the budget on the real model."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybrid_cli.cascade.local_run import template_variables
from hybrid_cli.local.chat_template import render
from hybrid_cli.local.inference import Inference
from hybrid_cli.local.loading import Loader
from hybrid_cli.local.protocol import Event, Finished, LocalRequest, Task, Tokens, TokenSignal
from hybrid_cli.local.stream import AnswerStream
from hybrid_cli.local.thinking import STYLES, TAGS, splitter_for, style_of
from hybrid_cli.local.thinking_control import ThinkingBudget, switch_variables
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.ui.environment import Environment
from hybrid_process import Hybrid
from other_template import with_template
from text_pieces import cuttings

USER = "{% for m in messages %}<|im_start|>{{m.role}}\n{{m.content}}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
TEMPLATES = {
    # The form of each family's own template, with its variable, its default and its marks.
    "Qwen3": USER
    + "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}",
    "GLM": USER
    + "{{ '<think></think>' if (enable_thinking is defined and not enable_thinking) else '<think>' }}",
    "Gemma 4": "{% if enable_thinking is defined and enable_thinking %}<|think|>{% endif %}"
    + USER
    + "{% if not enable_thinking | default(false) %}<|channel>thought\n<channel|>{% endif %}",
    "Granite": "{% if thinking %}Write your thoughts between <think></think>.{% endif %}" + USER,
    "DeepSeek V3.1": "{% if not thinking is defined %}{% set thinking = false %}{% endif %}"
    + USER
    + "{{ '<think>' if thinking else '</think>' }}",
    "Command A": USER
    + "{% if reasoning is defined and not reasoning %}<|START_THINKING|><|END_THINKING|>{% endif %}",
    "Seed-OSS": "{% if thinking_budget is defined %}Budget: {{thinking_budget}}.{% endif %}"
    + USER
    + "{% if thinking_budget is defined and thinking_budget == 0 %}<seed:think></seed:think>{% endif %}",
    "gpt-oss": "{% if not reasoning_effort is defined %}{% set reasoning_effort = 'medium' %}{% endif %}"
    "Reasoning: {{reasoning_effort}}{# <|channel|><|message|> #}\n" + USER,
    "Mistral": "{% set effort = reasoning_effort | default('none') %}"
    "{% if effort not in ['none', 'high'] %}{{ raise_exception('no') }}{% endif %}"
    "Effort: {{effort}}{# [/THINK] #}\n" + USER,
    "R1": USER + "<think>\n{# </think> #}",
}
SHOWS = {
    "Qwen3": ("", "<think>\n\n</think>\n\n", "", ""),
    "GLM": ("<think>", "<think></think>", "<think>", "<think>"),
    "Gemma 4": ("<|channel>thought\n<channel|>", "<|channel>thought\n<channel|>", "<|think|>", "<|think|>"),
    "Granite": ("", "", "Write your thoughts", "Write your thoughts"),
    "DeepSeek V3.1": ("</think>", "</think>", "<think>", "<think>"),
    "Command A": ("", "<|START_THINKING|><|END_THINKING|>", "", ""),
    "Seed-OSS": ("", "Budget: 0.", "", "Budget: 64."),
    "gpt-oss": ("Reasoning: medium", "Reasoning: low", "Reasoning: medium", "Reasoning: medium"),
    "Mistral": ("Effort: none", "Effort: none", "Effort: high", "Effort: high"),
    "R1": ("<think>\n", "<think>\n", "<think>\n", "<think>\n"),
}
"""What the prompt has under auto, off, on and a budget of 64; "" for none of what the others have."""
CANNOT_BE_OFF = {"gpt-oss", "R1"}
"""Families that think less, or as before, when they are told not to."""


@pytest.mark.parametrize("family", TEMPLATES)
def test_the_variables_of_each_family(family: str) -> None:
    template = TEMPLATES[family]
    prompts = [
        render(
            template,
            [{"role": "user", "content": "Hi"}],
            bos="",
            eos="",
            variables=switch_variables(template, setting),  # type: ignore[arg-type]
        )
        for setting in ("auto", "off", "on", 64, None)
    ]
    marks = {mark for mark in SHOWS[family] if mark}
    unset = SHOWS[family][0 if family in CANNOT_BE_OFF else 1]
    for prompt, shown in zip(prompts, [*SHOWS[family], unset], strict=True):
        assert shown in prompt
        if not shown:
            assert not any(mark in prompt for mark in marks)


def test_words_of_a_template_that_are_no_variables_switch_nothing() -> None:
    template = "{{ message.thinking }}{{ 'reasoning' in message }}{# \"enable_thinking\" #}my_thinking_budget"
    assert switch_variables(template, "off") == {}
    assert switch_variables(TEMPLATES["Qwen3"], "auto") == {}


@pytest.mark.parametrize("style", [name for name in STYLES if name != "none"])
def test_thinking_can_be_closed_wherever_it_is(style: str) -> None:
    """After the closing text the answer begins, and no part of it is in the answer."""
    if style == "harmony":
        texts = [
            "",
            "<|channel|>analysis<|message|>hm, <|en",
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>b",
        ]
    else:
        texts = [f"{TAGS[style][0]}hm, {TAGS[style][1][:-1]}"]
    for text in texts:
        for pieces in cuttings(text) if text else [[]]:
            splitter = splitter_for(style, "")
            begun = [splitter.feed(piece) for piece in pieces]
            closing = splitter.closing()
            assert closing is not None
            begun += [splitter.feed(closing), splitter.feed("four")]
            assert splitter.answering
            assert splitter.closing() is None
            begun.append(splitter.flush())
            assert "".join(split.answer for split in begun).strip() == "four"


@pytest.mark.parametrize("style", list(STYLES))
def test_an_answer_is_never_closed(style: str) -> None:
    text = "<|channel|>final<|message|>four" if style == "harmony" else "four"
    for pieces in cuttings(text):
        splitter = splitter_for(style, "")
        for piece in pieces:
            splitter.feed(piece)
        assert splitter.closing() is None


def test_a_budget_does_not_cut_a_character() -> None:
    stream = AnswerStream(splitter_for("think", "<think>"), ())
    budget = ThinkingBudget(1, lambda text: list(text.encode()))
    assert budget.forced_token(stream) is None
    euro = "€".encode()
    for byte in euro[:2]:
        stream.take(bytes([byte]), forced=False)
        assert budget.forced_token(stream) is None
    stream.take(euro[2:], forced=False)
    closing = []
    while (token := budget.forced_token(stream)) is not None:
        closing.append(token)
        stream.take(bytes([token]), forced=True)
    assert bytes(closing).decode() == "\n</think>\n\n"
    assert stream.answering


@pytest.fixture(scope="module")
def thinkers(model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The real model with a template that makes it think. Its weights know no thinking, but go on with what they see."""
    folder = tmp_path_factory.mktemp("thinkers")

    def make(family: str) -> Path:
        template = {
            "opened": USER + "<think>\n{# </think> #}",
            "harmony": "{% set a = '<|channel|>analysis<|message|>' %}" + USER + "{# <|message|> #}",
            "switch": TEMPLATES["GLM"],
        }[family]
        path = folder / f"{family}.gguf"
        if not path.exists():
            with_template(model_file, template, path)
        return path

    return make


@pytest.fixture(scope="module")
def engine() -> Inference:
    return Inference(Loader())


def answered(engine: Inference, path: Path, **task: Any) -> tuple[str, str, list[TokenSignal], Finished]:
    """Answer, thinking, signals and end of one task."""
    text, thinking, signals, ends = [], [], [], []

    def emit(event: Event) -> None:
        if isinstance(event, Tokens):
            text.append(event.text)
            thinking.append(event.thinking)
            signals.extend(event.signals)
        elif isinstance(event, Finished):
            ends.append(event)

    messages = [{"role": "user", "content": "What is the capital of France?"}]
    given = {"messages": messages, "max_tokens": 40, "stop": ["."], **task}
    engine.answer(LocalRequest(str(path), [Task(**given)], threads=1), emit)
    return "".join(text), "".join(thinking), signals, ends[0]


def test_a_budget_closes_the_thinking_and_the_model_answers(engine: Inference, thinkers: Any) -> None:
    path = thinkers("opened")
    answer, endless, _, _ = answered(engine, path)
    assert (answer, "Paris" in endless) == ("", True)  # it ends its turn without an end tag
    for budget in (0, 3):
        answer, thinking, signals, _ = answered(engine, path, thinking=budget)
        assert answer.strip()
        assert endless.startswith(thinking.removesuffix("\n"))
        kinds = [one.kind for one in signals]
        assert 1 <= kinds.count("hidden") + kinds.count("forced") - budget <= 12  # the tokens of the end tag
        assert "hidden" not in kinds[kinds.index("first") :]
    answer, thinking, _, _ = answered(engine, path, thinking=1000)
    assert (answer.strip() != "", thinking.strip()) == (True, endless.strip())
    assert answered(engine, path, thinking="off") == answered(engine, path, thinking=0)


def test_a_budget_holds_with_channels_choices_and_schemas(engine: Inference, thinkers: Any) -> None:
    answer, thinking, _, _ = answered(engine, thinkers("harmony"), thinking="off")
    assert "Paris" in answer
    assert thinking == ""
    path = thinkers("opened")
    answer, thinking, _, _ = answered(engine, path, thinking=4, choices=["Paris", "Rome"])
    assert (answer.strip(), bool(thinking)) == ("Paris", True)
    schema = json.dumps(
        {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
    )
    answer, thinking, _, _ = answered(engine, path, thinking=4, schema=schema, stop=[])
    assert json.loads(answer)["city"] in ("Paris", "Rome")
    assert thinking


def test_variables_of_the_user_win(engine: Inference, thinkers: Any) -> None:
    path = thinkers("switch")
    assert style_of(TEMPLATES["GLM"]) == "think"
    for setting in ("off", None):
        answer, thinking, _, _ = answered(engine, path, thinking=setting)
        assert ("Paris" in answer, thinking) == (True, "")
    own = {"enable_thinking": False}
    assert answered(engine, path, thinking="on", template_variables=own)[:2] == (answer, "")
    for setting in ("on", "auto"):
        assert answered(engine, path, thinking=setting, max_tokens=8)[0] == ""


def test_the_options_win_over_the_profiles_variables(
    hybrid: Hybrid, thinkers: Any, profile: Callable[..., Path]
) -> None:
    """In `run` and in `pipe`, whose --resume must not take an answer of the other kind."""
    model = thinkers("switch")
    question = ("--stop", ".", "--max-tokens", "16", "What is the capital of France?")

    def answer(value: str, *options: str) -> bytes:
        variables = f"enable_thinking: {value}, other: 1"
        path = profile(
            f"extends: offline\nlocal: {{model: {model}, template: {{variables: {{{variables}}}}}}}\n"
        )
        return hybrid("run", "-p", path, *options, *question).stdout

    assert b"Paris" in answer("true", "--no-think")
    assert b"Paris" in answer("false")
    assert answer("false", "--think") == answer("true") == answer("true", "--think") == b""

    path = profile(
        f"extends: offline\nlocal: {{model: {model}, template: {{variables: {{enable_thinking: true}}}}}}\n"
    )
    out = path.with_name("out.jsonl")
    command = ("pipe", "-p", path, "--resume", out, *question[:-1])
    for options, is_known in ((["--no-think"], False), (["--no-think"], True), ([], False)):
        done = hybrid(*command, *options, "Answer.", stdin=question[-1].encode())
        assert (b"1 answered before" in done.stderr) == is_known, done.stderr
    answers = [json.loads(line)["hybrid"].get("answer", "") for line in out.read_text().splitlines()]
    assert ["Paris" in answer for answer in answers] == [True, False]


def test_an_option_keeps_what_does_not_contradict_it(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    home = Environment(None, None, io.StringIO(), {"HYBRID_HOME": str(tmp_path)})

    def left(variables: str, think: bool | None) -> dict[str, Any]:
        path.write_text(f"version: 1\nlocal: {{thinking: 9, template: {{variables: {variables}}}}}\n")
        return template_variables(merge_policy(Flags(profile=str(path), think=think), home))

    budget = "{thinking_budget: 400, name: Ada}"
    assert left(budget, True) == left(budget, None) == {"thinking_budget": 400, "name": "Ada"}
    assert left(budget, False) == {"name": "Ada"}
    assert left("{thinking_budget: 0, reasoning_effort: none}", True) == {}


def test_run_thinks_where_the_template_has_no_switch_and_pipe_does_not(
    hybrid: Hybrid, thinkers: Any, profile: Callable[..., Path]
) -> None:
    model = thinkers("opened")
    prompt = ("--stop", ".", "What is the capital of France?")
    base = ("-p", "offline", "-m", model)

    def piped(*options: str) -> str:
        done = hybrid("pipe", *base, *options, "--stop", ".", "Answer.", stdin=f"{prompt[-1]}\n".encode() * 2)
        return done.stdout.decode()

    thinks = hybrid("run", *base, "--max-tokens", "12", *prompt)
    assert thinks.returncode == 7
    assert b"the local answer is empty" in thinks.stderr
    assert b"Paris" in hybrid("run", *base, "--no-think", *prompt).stdout
    assert piped().count("Paris") == 2
    assert piped("--think", "--max-tokens", "12") == "\n\n"
    for value in ("false", "3"):
        path = profile(f"extends: offline\nlocal: {{model: {model}, thinking: {value}}}\n")
        assert hybrid("run", "-p", path, *prompt).stdout, value
    path = profile(f"extends: offline\nlocal: {{model: {model}, template: {{variables: {{messages: x}}}}}}\n")
    done = hybrid("profile", "check", path)
    assert done.returncode == 2
    assert b"hybrid sets `messages` itself" in done.stdout
    path = profile("local: {thinking: often}\n")
    assert b'must be auto, "on", "off" or a number of tokens' in hybrid("profile", "check", path).stdout
