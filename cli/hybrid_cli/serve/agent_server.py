"""The server of `hybrid mcp`: the official SDK's, with strict arguments and one-line messages."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from pydantic import ValidationError

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.sanitize import shorten
from hybrid_cli.ui.suggest import nearest

_MOST_MISTAKES = 3
"""Named in one message."""
_WANTED = {"string_type": "text", "list_type": "a list", "dict_type": "an object"}
"""The types of the tools' arguments, by pydantic's error for another one."""
_KINDS: Mapping[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


class AgentServer(MCPServer):
    """Serves tools, and refuses arguments that a tool does not have. The SDK would ignore them."""

    def __init__(
        self, name: str, tools: Iterable[Callable[..., Awaitable[Any]]], *, instructions: str, version: str
    ) -> None:
        built = [Tool.from_function(_with_plain_errors(tool)) for tool in tools]
        for tool in built:
            tool.parameters["additionalProperties"] = False
        self._arguments = {tool.name: list(tool.parameters["properties"]) for tool in built}
        super().__init__(name, tools=built, instructions=instructions, version=version)

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
        """Call a tool. Raises ToolError with one line for the agent."""
        known = self._arguments.get(name)
        if known is None:
            raise _for_agent(Failure(ExitStatus.USAGE, _unknown("tool", name, self._arguments)))
        for argument in arguments:
            if argument not in known:
                raise _for_agent(Failure(ExitStatus.USAGE, _unknown("argument", argument, known)))
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise _for_agent(Failure(ExitStatus.USAGE, _mistakes(error.__cause__))) from None
            if isinstance(error.__cause__, ToolError):  # without the SDK's words before it
                raise error.__cause__ from None
            raise


def _with_plain_errors(tool: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return `tool` with its Failures as messages for the agent."""

    @functools.wraps(tool)
    async def call(*arguments: Any, **named: Any) -> Any:
        try:
            return await tool(*arguments, **named)
        except Failure as failure:
            raise _for_agent(failure) from None

    return call


def _for_agent(failure: Failure) -> ToolError:
    return ToolError(f"{failure} (code {int(failure.status)})")


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = nearest(name, names)
    hint = f"did you mean `{close}`?" if close else f"use {', '.join(names)}" if names else "give none"
    return f"unknown {what} `{shorten(name)}`; {hint}"


def _mistakes(error: ValidationError) -> str:
    """Return what is wrong with a tool's arguments, without their values: they may be long."""
    found = error.errors(include_url=False, include_context=False)
    messages = []
    for one in found[:_MOST_MISTAKES]:
        name = ".".join(str(part) for part in one["loc"])
        if one["type"] == "missing":
            messages.append(f"`{name}` is missing")
        elif one["type"] in _WANTED:
            messages.append(f"{name}: must be {_WANTED[one['type']]}, not {_KINDS[type(one['input'])]}")
        else:
            messages.append(f"{name}: {one['msg'][:1].lower()}{one['msg'][1:]}")
    more = [f"{len(found) - _MOST_MISTAKES} more"] if len(found) > _MOST_MISTAKES else []
    return "; ".join([*messages, *more])
