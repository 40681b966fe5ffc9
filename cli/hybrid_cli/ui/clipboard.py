"""Copy a text to the clipboard, by the tool that this desktop has for it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from dataclasses import dataclass

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.system.child_environment import for_command
from hybrid_cli.ui.environment import Environment

_SECONDS = 10


@dataclass(frozen=True)
class Tool:
    """A program that copies its stdin."""

    command: tuple[str, ...]
    display: str | None = None
    """The variable that names the display it needs; None if it needs none."""
    encoding: str = "utf-8"


TOOLS = (
    Tool(("wl-copy",), "WAYLAND_DISPLAY"),
    Tool(("xclip", "-selection", "clipboard"), "DISPLAY"),
    Tool(("xsel", "--clipboard", "--input"), "DISPLAY"),
    Tool(("pbcopy",)),  # macOS
    Tool(("clip.exe",), encoding="utf-16-le"),  # Windows, from WSL
)
"""In the order in which they are tried."""


class Clipboard:
    """A clipboard tool that waits for its text: it needs a socket, so it starts before `forbid` refuses any."""

    def __init__(self, environment: Environment) -> None:
        """Start the tool. Raises Failure (USAGE) if there is none."""
        variables = environment.variables
        found = next(
            (
                tool
                for tool in TOOLS
                if (tool.display is None or variables.get(tool.display))
                and shutil.which(tool.command[0], path=variables.get("PATH"))
            ),
            None,
        )
        if found is None:
            names = ", ".join(tool.command[0] for tool in TOOLS)
            raise Failure(ExitStatus.USAGE, f"--copy needs one of {names}, and a display; none is here")
        self._tool = found
        authority = {name: variables[name] for name in ("XAUTHORITY",) if name in variables}
        try:
            self._process = subprocess.Popen(
                found.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,  # xclip and xsel stay, and would hold a pipe open
                stderr=subprocess.DEVNULL,
                env={**for_command(variables), **authority},
            )
        except OSError as error:
            raise Failure(ExitStatus.USAGE, f"--copy: {found.command[0]}: {error.strerror}") from None

    def copy(self, text: str) -> None:
        """Copy `text`. Raises Failure (FAILURE) if the tool fails."""
        try:
            self._process.communicate(text.encode(self._tool.encoding, "replace"), timeout=_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
        if self._process.wait() != 0:
            raise Failure(ExitStatus.FAILURE, f"the answer was not copied: {self._tool.command[0]} failed")

    def close(self) -> None:
        """End the tool if nothing was copied, so that the clipboard keeps what it has."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
