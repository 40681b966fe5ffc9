"""Tools that the local model itself calls: what goes out for them, and what never does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_cli.checks.tool_calls import ToolCall, ToolName, find_tool_call, is_broken, tool_definitions
from hybrid_cli.local.chat_template import render, with_tool_note
from hybrid_process import Hybrid
from other_template import with_template
from scripted_cloud import Reply, ScriptedCloud

Profile = Callable[..., Path]
TOOLS = ", api: responses, tools: [web_search, image_generation], prices: {input: 1.0, output: 10.0}"
SURE = "escalation: {target: {threshold: 0.01}, handoff_tool: true%s}\n"
EVENTS = (
    {"type": "response.output_text.delta", "delta": "Rain."},
    {"type": "response.completed", "response": {"usage": {"input_tokens": 9, "output_tokens": 2}}},
)


def call(asks: str, name: str = "web_search", argument: str = "query") -> str:
    return f"<tool_call>{json.dumps({'name': name, 'arguments': {argument: asks}})}</tool_call>"


@pytest.fixture(scope="module")
def caller(model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], str]:
    """The real model made to call a tool: it is too small to be told, but it goes on with what it sees."""
    folder = tmp_path_factory.mktemp("callers")

    def make(name: str, argument: str) -> str:
        shown = "{% for c in ['Rome','Paris'] %}Weather in {{c}}?\n" + call(
            "Weather in {{c}}", name, argument
        )
        template = shown + "\n\n{% endfor %}{{messages[-1].content}}\n"
        path = folder / f"{name}.gguf"
        if not path.exists():
            with_template(model_file, template, path)
        return f"local: {{model: {path}}}\n"

    return make


def ask(hybrid: Hybrid, cloud: ScriptedCloud, path: Path, *more: str | Path) -> dict[str, Any]:
    cloud.replies = [Reply(events=EVENTS)]
    arguments = ("run", "-p", path, "--json", "--stop", "\n\n", *more, "Weather in Oslo?")
    done = hybrid(*arguments, stdin=b"A private text.\n", HYBRID_CONSENT=cloud.origin)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("context", ["arguments", "full"])
def test_a_call_takes_only_its_own_words_out(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, caller: Any, context: str
) -> None:
    model = caller("web_search", "query")
    path = profile(cloud.section(f"{TOOLS}, tool_context: {context}") + model + SURE % "")
    answer = ask(hybrid, cloud, path)
    (request,) = cloud.received
    assert request.body["tools"] == [{"type": "web_search"}]
    (message,) = request.body["input"]
    assert (
        message["content"]
        == {
            "arguments": "Weather in Oslo",
            "full": "A private text.\n\nWeather in Oslo?",
        }[context]
    )
    assert (answer["answer"], answer["answered_by"]) == ("Rain.", "cloud")
    assert (answer["handoff"]["decision"], answer["handoff"]["reason"]) == ("escalated", "tool")
    assert answer["usage"]["local"]["out"] > 0


def test_a_model_with_channels_calls_on_one(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, model_file: Path, tmp_path: Path
) -> None:
    """The template is of gpt-oss's form; the weights are SmolLM2's, which go on with what they see."""
    shown = (
        "{% for t in tools or [] %}// {{t.function.description}}\n{% endfor %}"
        "{% for c in ['Rome','Paris'] %}Weather in {{c}}?\n<|channel|>commentary to=functions.web_search"
        '<|message|>{"query": "Weather in {{c}}"}<|call|>\n\n{% endfor %}{{messages[-1].content}}\n'
    )
    model = with_template(model_file, shown, tmp_path / "channels.gguf")
    path = profile(cloud.section(TOOLS) + f"local: {{model: {model}}}\n" + SURE % "")
    answer = ask(hybrid, cloud, path, "--max-tokens", "48")
    (request,) = cloud.received
    assert request.body["tools"] == [{"type": "web_search"}]
    assert request.body["input"] == [{"role": "user", "content": "Weather in Oslo"}]
    assert answer["handoff"]["reason"] == "tool"


@pytest.mark.parametrize(
    ("escalation", "rest"),
    [
        (", mode: forbid", ""),
        (", mode: ask", ""),
        ("", "limits: {tools: [image_generation]}\n"),
        (", rules: [{when: {tools: [web_search]}, then: local}]", ""),
        (", rules: [{when: {tools: [web_search]}, then: forbid}]", ""),
        (", rules: [{when: {tools: [web_search]}, then: ask}]", ""),
        (", rules: [{when: {matches: Oslo}, then: local}]", ""),
    ],
)
def test_a_call_never_goes_beyond_the_policy(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, caller: Any, escalation: str, rest: str
) -> None:
    path = profile(cloud.section(TOOLS) + caller("web_search", "query") + SURE % escalation + rest)
    answer = ask(hybrid, cloud, path)
    assert cloud.received == []
    assert answer["answered_by"] == "local"
    assert answer["answer"] == call("Weather in Oslo")  # a tool that is not offered is but words


def test_a_secret_in_a_call_stops_it(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, caller: Any
) -> None:
    path = profile(cloud.section(TOOLS) + caller("web_search", "query") + SURE % "")
    token = "ghp_" + "a1B2c3D4e5F6" * 3
    arguments = ("run", "-p", path, "--stop", "\n\n", f"Weather in {token}?")
    done = hybrid(*arguments, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, done.stdout, cloud.received) == (3, b"", [])
    assert b"the local model calls web_search" not in done.stderr
    assert token.encode() not in done.stderr


def test_the_model_may_ask_for_a_handoff(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, caller: Any
) -> None:
    cloud.replies = [Reply()]
    model = caller("handoff", "reason")
    path = profile(cloud.section() + model + SURE % "")
    arguments = ("run", "-p", path, "--json", "--stop", "\n\n", "Weather in Oslo?")
    done = hybrid(*arguments, stdin=b"A text.\n", HYBRID_CONSENT=cloud.origin)
    answer = json.loads(done.stdout)
    assert (answer["answered_by"], answer["handoff"]["reason"]) == ("cloud", "unsure")
    assert b"the local model calls handoff" in done.stderr
    (request,) = cloud.received
    assert request.body["messages"] == [{"role": "user", "content": "A text.\n\nWeather in Oslo?"}]
    without = profile(cloud.section() + model + "escalation: {target: {threshold: 0.01}}\n", "without.yaml")
    done = hybrid(*("run", "-p", without, *arguments[3:]), HYBRID_CONSENT=cloud.origin)
    assert json.loads(done.stdout)["answered_by"] == "local"


OFFERED: tuple[ToolName, ...] = ("web_search", "handoff")
OSLO = ToolCall("web_search", "Oslo")


@pytest.mark.parametrize(
    "answer",
    [
        call("Oslo"),
        f"\n{call('Oslo')}\n{call('Rome')}",
        '<tool_call>\n{"name": "web_search", "arguments": {"query": "Oslo"}}\n</tool_call>',
        '{"name": "web_search", "parameters": {"query": "Oslo"}}',
        '[{"name": "web_search", "arguments": {"query": "Oslo"}}]',
        '[TOOL_CALLS][{"name": "web_search", "arguments": {"query": "Oslo"}}]',
        '```json\n{"name": "web_search", "arguments": {"query": " Oslo "}}\n```',
    ],
)
def test_the_forms_of_a_call(answer: str) -> None:
    assert find_tool_call(answer, OFFERED, ["Weather in Oslo?"]) == OSLO
    assert find_tool_call(answer, ("handoff",), ["Weather in Oslo?"]) is None
    assert find_tool_call(answer, (), ["Weather in Oslo?"]) is None
    assert find_tool_call(answer, OFFERED, ["do as I say:", answer]) is None
    assert find_tool_call(f"One calls it so: {answer}", OFFERED, []) is None
    assert find_tool_call(f"{answer}\nis how one calls it.", OFFERED, []) is None


@pytest.mark.parametrize(
    "answer",
    [
        "<tool_call>",
        "<tool_call>{}</tool_call>",
        call("x" * 1001),
        call("Oslo", "delete_files"),
        call("Oslo", argument="other"),
        call(" "),
        f"{call('Oslo')} and more",
    ],
)
def test_what_is_no_call(answer: str) -> None:
    assert find_tool_call(answer, OFFERED, []) is None
    assert is_broken(answer, OFFERED, [])
    assert not is_broken(answer, (), [])
    assert not is_broken(answer, OFFERED, [f"Repeat: {answer}"])


@given(st.text(alphabet=st.sampled_from('<>/tol_ca{}[]"name:,\\'), max_size=80), st.booleans())
def test_no_answer_stops_the_reading(text: str, tagged: bool) -> None:
    answer = f"<tool_call>{text}" if tagged else text
    assert find_tool_call(answer, OFFERED, [text, answer]) is None


def test_a_template_takes_the_tools_or_the_system_message_does() -> None:
    tools = tool_definitions(OFFERED)
    messages = [{"role": "user", "content": "Hi"}]
    template = "{{ tools | tojson }}{% for m in messages %}{{ m.content }}{% endfor %}"
    assert '"name": "handoff"' in render(template, messages, bos="", eos="", tools=tools)
    assert render(template, messages, bos="", eos="") == "nullHi"
    system, user = with_tool_note(messages, tools)
    assert (system["role"], user) == ("system", messages[0])
    assert "web_search" in system["content"]
    (system, _) = with_tool_note([{"role": "system", "content": "Be brief."}, *messages], tools)
    assert system["content"].startswith("Be brief.\n\n")
