"""`hybrid mcp` and the SDK's own client over stdio."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from hybrid_process import environment
from scripted_cloud import ScriptedCloud
from served_hybrid import write_profiles

Use = Callable[[ClientSession], Awaitable[None]]


@pytest.fixture
def agent(command: str, home: Path, tmp_path: Path) -> Callable[..., None]:
    """Run `hybrid mcp` in a folder, and use it as an agent does."""
    (tmp_path / "work").mkdir()

    def run(use: Use, *arguments: str, **variables: str) -> None:
        server = StdioServerParameters(
            command=command,
            args=["mcp", *arguments],
            env=environment(home, **variables),
            cwd=tmp_path / "work",
        )

        async def main() -> None:
            async with stdio_client(server) as streams, ClientSession(*streams) as session:
                await session.initialize()
                await use(session)

        asyncio.run(asyncio.wait_for(main(), 150))

    return run


async def call(session: ClientSession, tool: str, **arguments: Any) -> Any:
    """The result of a tool, as an agent's program gets it."""
    done = await session.call_tool(tool, arguments)
    assert not done.is_error, done.content
    found = done.structured_content or {}
    return found.get("result", found)


async def refusal(session: ClientSession, tool: str, **arguments: Any) -> str:
    done = await session.call_tool(tool, arguments)
    assert done.is_error
    return str(done.content[0].text)  # type: ignore[union-attr]


def test_an_agent_hands_work_down(
    agent: Callable[..., None], profile: Callable[..., Path], tmp_path: Path
) -> None:
    brief = profile("extends: offline\nlocal: {sampling: {max_tokens: 32}}\n")
    work = tmp_path / "work"
    (work / "notes").mkdir()
    (work / "notes" / "fox.txt").write_text("The fox is red. It lives in the wood. It eats mice.", "utf-8")
    (work / "notes" / "empty.txt").touch()
    (work / "notes" / "blank.txt").write_text(" \n\n", "utf-8")
    (tmp_path / "outside.txt").write_text("swordfish", "utf-8")
    (work / "link.txt").symlink_to(tmp_path / "outside.txt")
    (work / "folder-link").symlink_to(tmp_path)
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}

    async def use(session: ClientSession) -> None:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        assert set(tools) == {"ask", "classify", "extract", "summarize_files", "usage"}
        assert all(tool.description for tool in tools.values())

        answer = await call(session, "ask", prompt="Is it cold?", context="It is ice.", choices=["yes", "no"])
        assert answer["answer"] in ("yes", "no")
        assert (answer["answered_by"], answer["model"], answer["cost_usd"]) == ("local", "smollm2-135m", 0.0)
        assert 0 <= answer["confidence"] <= 1

        texts = [f"This is number {number}." for number in range(12)]
        classes = await call(session, "classify", texts=texts, choices=["good", "bad"])
        assert len(classes) == 12
        assert {one["answer"] for one in classes} <= {"good", "bad"}

        found = await call(session, "extract", texts=["Ada is 36.", "Bob is 12."], schema=schema)
        assert [type(json.loads(one["answer"])["age"]) for one in found] == [int, int]

        paths = [
            "notes/fox.txt",
            "link.txt",
            "folder-link/outside.txt",
            "../outside.txt",
            "/etc/hostname",
            "no",
            "notes/empty.txt",
            "notes/blank.txt",
        ]
        files = await call(session, "summarize_files", paths=paths)
        assert [one["path"] for one in files] == paths
        assert files[0]["answer"]
        assert [("answer" in one, "error" in one) for one in files[1:]] == [(False, True)] * 7
        assert [(one["error"], one["code"]) for one in files[-2:]] == [("the file is empty", 2)] * 2
        assert "swordfish" not in json.dumps(files)

        usage = await call(session, "usage")
        assert usage["total"]["requests"] == 0
        assert "schema" in await refusal(session, "ask", prompt="x", schema={"type": "nothing"})
        both = {"schema": schema, "choices": ["yes", "no"]}
        for refused, why in (
            ({"prompt": "x", **both}, "give schema or choices, not both (code 2)"),
            ({"prompt": " "}, "the prompt is empty (code 2)"),
            ({"prompt": "x", "choices": []}, "choices needs at least two choices (code 2)"),
            ({"prompt": "x", "choices": ["a", "b", "a "]}, "choices contains `a` twice (code 2)"),
        ):
            assert await refusal(session, "ask", **refused) == why
        await check_arguments(session, tools)
        for choices in (["y"], ["y", ""]):
            assert "choices" in await refusal(session, "classify", texts=["x"], choices=choices)
        nothing = [
            *await call(session, "classify", texts=["", "x"], choices=["good", "bad"]),
            *await call(session, "extract", texts=["\n"], schema=schema),
        ]
        assert [one.get("error") for one in nothing] == ["the text is empty", None, "the text is empty"]

    agent(use, "-p", str(brief))


async def check_arguments(session: ClientSession, tools: dict[str, Any]) -> None:
    """Nothing that an agent asks for is ignored, and what is wrong with it is one line."""
    assert all(tool.input_schema["additionalProperties"] is False for tool in tools.values())
    names = "prompt, context, schema, choices"
    for tool, arguments, expected in (
        ("ask", {"prompt": "x", "contxt": "y"}, "unknown argument `contxt`; did you mean `context`?"),
        ("ask", {"prompt": "x", "temperature": 1}, f"unknown argument `temperature`; use {names}"),
        ("usage", {"since": "2026"}, "unknown argument `since`; give none"),
        ("sumarize_files", {"paths": []}, "unknown tool `sumarize_files`; did you mean `summarize_files`?"),
        ("ask", {}, "`prompt` is missing"),
        ("ask", {"prompt": 5}, "prompt: must be text, not a number"),
        ("ask", {"prompt": None}, "prompt: must be text, not null"),
        ("ask", {"prompt": "x", "schema": [True]}, "schema: must be an object, not a list"),
        ("ask", {"prompt": "x", "choices": "yes"}, "choices: must be a list, not text"),
        (
            "classify",
            {"texts": ["a", {}], "choices": ["y", True]},
            "texts.1: must be text, not an object; choices.1: must be text, not true or false",
        ),
        (
            "extract",
            {"texts": [1, 2, 3, 4, 5]},
            "texts.0: must be text, not a number; texts.1: must be text, not a number; texts.2: must be text, not a number; 3 more",
        ),
    ):
        assert await refusal(session, tool, **arguments) == f"{expected} (code 2)"


def test_the_default_cannot_leave_and_p_may(
    agent: Callable[..., None], home: Path, cloud: ScriptedCloud
) -> None:
    write_profiles(home, cloud)

    async def stays(session: ClientSession) -> None:
        assert (await call(session, "ask", prompt="Name a colour."))["answered_by"] == "local"

    async def leaves(session: ClientSession) -> None:
        answer = await call(session, "ask", prompt="Name a colour.")
        assert (answer["answer"], answer["answered_by"]) == ("The cloud says hello.", "cloud")
        assert (await call(session, "usage"))["total"]["requests"] == 1

    agent(stays, HYBRID_CONSENT=cloud.origin)
    assert cloud.received == []
    agent(leaves, "-p", "always", HYBRID_CONSENT=cloud.origin)
    assert len(cloud.received) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_process_is_guarded_and_ends_at_once(command: str, home: Path, number: int, code: int) -> None:
    process = subprocess.Popen(
        [command, "mcp"],
        env=environment(home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        },
    }
    process.stdin.write(json.dumps(hello).encode() + b"\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["result"]["serverInfo"]["name"] == "hybrid"
    assert "Seccomp:\t2" in Path(f"/proc/{process.pid}/status").read_text("utf-8")
    process.send_signal(number)
    assert process.wait(2) == code  # while stdin is open
    _, errors = process.communicate()
    assert errors == b""


def test_without_the_extra_one_line_names_it(command: str, home: Path, tmp_path: Path) -> None:
    (tmp_path / "mcp").mkdir()
    (tmp_path / "mcp" / "__init__.py").write_text("raise ImportError('no', name='mcp')\n", "utf-8")
    variables = environment(home, PYTHONPATH=str(tmp_path))
    done = subprocess.run(
        [command, "mcp"], env=variables, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"pip install 'hybrid-cli[mcp]'" in done.stderr
