"""`-f`: the files that options name, as texts with names, and as one context for the prompt."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.prompt_files.decoding import (
    MAX_BYTES,
    BinaryContentError,
    Decoded,
    decode,
    refuse_binary,
    utf_16_without_mark,
)
from hybrid_cli.prompt_files.folders import files_in
from hybrid_cli.prompt_files.pdf import is_pdf, pdf_text
from hybrid_cli.prompt_files.prompt_file import PromptFile
from hybrid_cli.prompt_files.reading import TooLargeError, kind_of, read_file
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import one_line

_MAX_NAMED = 5
_DESCRIPTORS = ("/dev/fd/", "/proc/self/fd/")
"""Where a shell's `<(command)` is found, under a number."""
_BACKTICKS = re.compile("`{3,}")


def read_files(
    paths: Sequence[str], environment: Environment, stdin: bytes | None = None
) -> list[PromptFile]:
    """Return the files at `paths`; a folder stands for its files, and `-` for `stdin`.

    Raises Failure (USAGE) for a path that is no text, cannot be read or is over the limit with the others.
    """
    files: list[PromptFile] = []
    room = MAX_BYTES
    try:
        for path in paths:
            for name, text in _texts(path, room, environment, stdin or b""):
                room -= len(text.encode())
                if room < 0:
                    raise TooLargeError
                files.append(PromptFile(_unique(name, files), text))
    except TooLargeError:
        raise Failure(
            ExitStatus.USAGE, f"the files are over {MAX_BYTES // 1_000_000} MB together; name fewer"
        ) from None
    return files


def read_text_file(path: str, environment: Environment) -> str:
    """Return the text of one file. Raises Failure (USAGE)."""
    if kind_of(path) == "folder":
        raise Failure(ExitStatus.USAGE, f"{one_line(path)} is a folder, not a file")
    try:
        return _text(path, read_file(path, MAX_BYTES, environment), environment)
    except TooLargeError:
        raise Failure(
            ExitStatus.USAGE, f"{one_line(path)} is over {MAX_BYTES // 1_000_000} MB; shorten it"
        ) from None


def as_context(files: Sequence[PromptFile]) -> str:
    """Return all files as Markdown: each name, and its text in a fence.

    The fences are longer than any run of backticks in any of the texts, so that none can end its own fence and
    continue as another file or as the user.
    """
    longest = max((len(run) for file in files for run in _BACKTICKS.findall(file.text)), default=2)
    fence = "`" * (longest + 1)
    return "\n\n".join(
        f"File `{file.name}`:\n{fence}\n{file.text}{'' if file.text.endswith(chr(10)) else chr(10)}{fence}"
        for file in files
    )


def _texts(path: str, room: int, environment: Environment, stdin: bytes) -> Iterator[tuple[str, str]]:
    """Yield the path and text of each file that `path` stands for."""
    if path == "-":
        yield "stdin", _text("stdin", stdin, environment)
    elif (matches := _matches(path)) is not None:
        for match in matches:
            text = _text(match, read_file(match, max(room, 0), environment), environment)
            room -= len(text.encode())
            yield match, text
    elif kind_of(path) == "folder":
        yield from _folder(path, room, environment)
    else:
        yield path, _text(path, read_file(path, room, environment), environment)


def _matches(pattern: str) -> list[str] | None:
    """Return the files that a pattern matches, sorted; None for a plain name. Raises Failure (USAGE) for none."""
    if not glob.has_magic(pattern) or os.path.lexists(pattern):
        return None
    found = sorted(filter(os.path.isfile, glob.glob(os.path.expanduser(pattern), recursive=True)))  # noqa: PTH111, PTH207
    if not found:
        raise Failure(ExitStatus.USAGE, f"{one_line(pattern)} matches no file")
    return found


def _folder(folder: str, room: int, environment: Environment) -> Iterator[tuple[str, str]]:
    """Yield the path and text of each file of a folder. Files that are no text get one note together."""
    binary = []
    has_text = False
    for path in files_in(folder, environment):
        try:
            text = _text_in_folder(path, room, environment)
        except BinaryContentError:
            binary.append(os.path.basename(path))  # noqa: PTH119
            continue
        has_text = True
        room -= len(text.encode())
        yield path, text
    if binary:
        more = f" and {len(binary) - _MAX_NAMED} more" if len(binary) > _MAX_NAMED else ""
        environment.note(f"skipped, because they are not text: {', '.join(binary[:_MAX_NAMED])}{more}")
    if not has_text:
        raise Failure(ExitStatus.USAGE, f"{one_line(folder)} has no text files")


def _text_in_folder(path: str, room: int, environment: Environment) -> str:
    """Return the text of a file. Raises BinaryContentError if it is no text, and TooLargeError."""
    try:
        data = read_file(path, max(room, 0), environment)
    except TooLargeError as error:
        if utf_16_without_mark(error.start) is None:
            refuse_binary(error.start)
        raise
    return _noted(decode(data), path, environment)


def _text(path: str, data: bytes, environment: Environment) -> str:
    """Return the text of a file that the user named. Raises Failure (USAGE) if it is no text."""
    try:
        decoded = pdf_text(data, path, environment) if is_pdf(data) else decode(data)
    except BinaryContentError as error:
        raise Failure(ExitStatus.USAGE, f"{one_line(path)} is {error}; hybrid reads text and PDF") from None
    return _noted(decoded, path, environment)


def _noted(decoded: Decoded, path: str, environment: Environment) -> str:
    """Return the decoded text, and print its note."""
    if decoded.note:
        environment.note(f"{one_line(path)} {decoded.note}")
    return decoded.text


def _unique(path: str, files: Sequence[PromptFile]) -> str:
    """Return the name for the prompt: the last part of `path` on one line, and a number if it is taken."""
    is_substituted = path.startswith(_DESCRIPTORS)
    name = "input" if is_substituted else one_line(os.path.basename(path)).replace("`", "'")  # noqa: PTH119
    taken = {file.name for file in files}
    number = 2
    unique = name
    while unique in taken:
        unique = f"{name} ({number})"
        number += 1
    return unique
