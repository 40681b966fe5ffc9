"""Conversations as files: JSON Lines of messages, each with who wrote it, that only a whole answer adds to."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import msgspec

from hybrid_cli.cascade.answer import Answer
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.merge import BUILT_IN
from hybrid_cli.profile.policy import Policy
from hybrid_cli.prompt import Request, Turn
from hybrid_cli.system.files import is_there, open_locked, read_regular, replacing
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import shorten

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\Z")
_SUFFIX = ".jsonl"
_MAX_BYTES = 64_000_000
_DAY = 86_400.0


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of the file."""

    role: Literal["system", "user", "assistant"]
    content: str
    answered_by: Literal["local", "cloud"] | None = None
    model: str | None = None
    time: str | None = None
    """When it was added, in UTC."""


@dataclass
class Conversation:
    """An open conversation. Its file is locked until it is closed."""

    path: Path
    descriptor: int
    messages: list[Message]
    size: int
    """Bytes of the messages; a line that a crash cut short is written over."""
    is_new: bool = field(default=False)
    ends_open: bool = False
    """Whether the last message has no end of line, as editors leave it."""

    def request(self, request: Request) -> Request:
        """Return `request` as the next turn. Its own system message wins over an earlier one."""
        system = self._system if request.system is None else request.system
        turns = [
            Turn(one.role, one.content, one.answered_by == "cloud", (number,))
            for number, one in enumerate(self.messages, 1)
            if one.role != "system"
        ]
        return replace(request, system=system, history=tuple(turns))

    @property
    def _system(self) -> str | None:
        """The system message given last."""
        return next((one.content for one in reversed(self.messages) if one.role == "system"), None)

    def add(self, request: Request, answer: Answer) -> None:
        """Write the turn: system message if it is new, prompt and answer. Raises OSError; then nothing is added."""
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        prompt = replace(request, form="").messages()[-1]["content"]
        # The content of an image is not kept: files of conversations stay small and readable.
        prompt += "".join(f"\n\n[image, not kept: {image}]" for image in request.images)
        turn = [
            Message("user", prompt, time=now),
            Message("assistant", answer.answer, answer.answered_by, answer.model, now),
        ]
        if request.system not in (None, self._system):
            turn.insert(0, Message("system", str(request.system), time=now))
        data = b"".join(msgspec.json.encode(one) + b"\n" for one in turn)
        data = b"\n" + data if self.ends_open else data
        try:
            os.ftruncate(self.descriptor, self.size)
            if os.pwrite(self.descriptor, data, self.size) != len(data):
                raise OSError(28, "No space left on device", str(self.path))
            os.fsync(self.descriptor)
        except OSError:
            os.ftruncate(self.descriptor, self.size)
            raise
        self.size += len(data)
        self.ends_open = False


def folder_of(environment: Environment) -> Path:
    """Return the folder of the conversations with names."""
    return environment.state_folder / "conversations"


def path_of(name: str, environment: Environment) -> Path:
    """Return the file of the conversation `name`: a path, or a name in the folder. Raises Failure (USAGE)."""
    if "/" in name or name.endswith(_SUFFIX):
        return Path(os.path.expanduser(name))  # noqa: PTH111  keeps `~name` without such a user
    if _NAME.match(name) is None:
        raise Failure(
            ExitStatus.USAGE,
            f"{name!r} is no name for a conversation; use letters, digits, `-` and `_`, or a path such as ./{name}",
        )
    return folder_of(environment) / f"{name}{_SUFFIX}"


def last_of_terminal(environment: Environment) -> Path:
    """Return the conversation that this terminal continued last; a new one if there is none. Raises Failure."""
    mark = _terminal_mark(environment)
    if mark is None:
        raise Failure(
            ExitStatus.USAGE, "-c alone continues the last conversation of a terminal; here, name it: -c NAME"
        )
    with contextlib.suppress(OSError):
        return Path(os.fsdecode(read_regular(mark)))
    stamp = datetime.now(timezone.utc).strftime("%Y-%m-%d-%H%M%S")
    return folder_of(environment) / f"{stamp}-{os.getpid()}{_SUFFIX}"


def _terminal_mark(environment: Environment) -> Path | None:
    """Return the file that names this terminal's last conversation; None without a terminal.

    A terminal's name is used again by a later session, so the session belongs to it.
    """
    try:
        descriptor = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return None
    try:
        name = f"{os.ttyname(descriptor)} {os.getsid(0)}"
    except OSError:
        return None
    finally:
        os.close(descriptor)
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return folder_of(environment) / "terminals" / digest


@contextlib.contextmanager
def conversation_of(
    name: str | None, policy: Policy, environment: Environment
) -> Iterator[Conversation | None]:
    """Open the conversation `name`, or with "" the terminal's last one; yield None for None. Raises Failure."""
    if name is None:
        yield None
        return
    path = path_of(name, environment) if name else last_of_terminal(environment)
    with opened(path, policy, environment) as conversation:
        yield conversation
        if not conversation.is_new or conversation.size:
            _remember(path, environment)


@contextlib.contextmanager
def opened(path: Path, policy: Policy, environment: Environment) -> Iterator[Conversation]:
    """Open the conversation at `path`, or a new one, and lock it for the block.

    A new file without a turn is removed again. Raises Failure: DENIED if a layer forbids stored prompts, USAGE for
    a file that is no conversation.
    """
    log = policy.values["log.prompts"]
    if log.value is False and log.layer != BUILT_IN:
        raise Failure(ExitStatus.DENIED, f"{log.layer} forbids stored prompts (log.prompts: false)")
    remove_old(policy.log.conversations, environment)
    environment.check_link(path)
    is_new = not path.exists()
    _require_regular(path)
    with environment.waiting("another command is using this conversation") as waiting:
        try:
            if path.parent == folder_of(environment):
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor, _ = open_locked(path, on_wait=lambda: waiting.update(""))
        except OSError as error:
            raise Failure(ExitStatus.USAGE, f"cannot open {path}: {error.strerror}") from None
    conversation = None
    try:
        messages, size, rest = _read(descriptor, path)
        if rest == "cut":
            environment.note(f"the last line of {path} is cut, and left out")
        conversation = Conversation(path, descriptor, messages, size, is_new, rest == "open")
        yield conversation
    finally:
        if is_new and (conversation is None or conversation.size == 0):
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _require_regular(path: Path) -> None:
    """Raise Failure (USAGE) for a device, a pipe or a folder, before anything is paid."""
    if path.exists() and not path.is_file():
        raise Failure(ExitStatus.USAGE, f"{path} cannot hold a conversation: not a regular file")


def _remember(path: Path, environment: Environment) -> None:
    """Let `-c` alone continue this conversation in this terminal, if there is one."""
    mark = _terminal_mark(environment)
    if mark is not None:
        mark.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with replacing(mark) as file:
            file.write(os.fsencode(path.absolute()))


def read(path: Path) -> list[Message]:
    """Return the messages of the conversation at `path`. Raises Failure (USAGE)."""
    _require_regular(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Failure(
            ExitStatus.USAGE, f"no conversation {path}: {error.strerror}; see: hybrid conversations ls"
        ) from None
    try:
        return _read(descriptor, path)[0]
    finally:
        os.close(descriptor)


def _read(descriptor: int, path: Path) -> tuple[list[Message], int, Literal["", "open", "cut"]]:
    """Return the messages, the bytes of their lines, and what is behind them: a message without an end, or a part.

    Raises Failure (USAGE) if a whole line is no message.
    """
    size = os.fstat(descriptor).st_size
    if size > _MAX_BYTES:
        raise Failure(
            ExitStatus.USAGE, f"{path} is over {_MAX_BYTES // 1_000_000} MB; start a new conversation"
        )
    data = os.pread(descriptor, size, 0) if size else b""
    whole = data[: data.rfind(b"\n") + 1]
    messages = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            messages.append(msgspec.json.decode(line, type=Message))
        except msgspec.MsgspecError as error:
            raise Failure(
                ExitStatus.USAGE, f"{path}:{number}: not a conversation of hybrid ({error})"
            ) from None
    rest = data[len(whole) :]
    if not rest:
        return messages, len(whole), ""
    try:
        return [*messages, msgspec.json.decode(rest, type=Message)], len(data), "open"
    except msgspec.MsgspecError:
        if not whole:
            raise Failure(ExitStatus.USAGE, f"{path}:1: not a conversation of hybrid") from None
        return messages, len(whole), "cut"


def stored(environment: Environment) -> list[Path]:
    """Return the files of the folder, the one used last first."""
    found = []
    for path in folder_of(environment).glob(f"*{_SUFFIX}"):
        with contextlib.suppress(OSError):  # deleted by now, or a link without its target
            found.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(found, reverse=True)]


def remove_old(age: str, environment: Environment) -> int:
    """Delete the folder's conversations that were not used for `age`; return how many."""
    if age == "forever":
        return 0
    oldest, removed = time.time() - float(age[:-1]) * _DAY, 0
    for path in stored(environment):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()
                removed += 1
    return removed


def remove(names: Sequence[str], environment: Environment) -> None:
    """Delete conversations of the folder by name. Raises Failure (USAGE) before any is deleted if one is missing."""
    paths = [path_of(name, environment) for name in names]
    for name, path in zip(names, paths, strict=True):
        if path.parent != folder_of(environment) or not is_there(path):
            raise Failure(ExitStatus.USAGE, f"no stored conversation {name}; see: hybrid conversations ls")
    for path in paths:
        path.unlink(missing_ok=True)


def summary(path: Path) -> dict[str, Any]:
    """Return one conversation as `conversations ls --json` prints it; a damaged one has no turns."""
    try:
        messages = read(path)
    except Failure:
        messages = []
    prompts = [one.content for one in messages if one.role == "user"]
    return {
        "name": path.stem,
        "turns": len(prompts),
        "handed_off": sum(one.answered_by == "cloud" for one in messages),
        "used": datetime.fromtimestamp(path.stat().st_mtime, timezone.utc).isoformat(timespec="seconds"),
        "begins": shorten(prompts[0] if prompts else "", 40),
        "path": str(path),
    }
