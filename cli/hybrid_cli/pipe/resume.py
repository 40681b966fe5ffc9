"""Continue a file of answers that an earlier run began, however that run ended.

Each line holds one record. Records that failed or have no line are answered again; the others are skipped. A
record that occurs several times in the input is skipped as often as the file answers it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.system.files import Busy, Replacement, open_locked


class AnsweredKeys(Counter[str]):
    """Counts the answers of an earlier run by record key."""

    def take(self, key: str) -> bool:
        """Use up one answer for `key`. Returns False if there is none left."""
        if not self[key]:
            return False
        self[key] -= 1
        return True


@dataclass
class ResumedFile:
    """The locked file, open at its end."""

    file: BinaryIO
    answered: AnsweredKeys


@contextmanager
def open_resumed(path: Path, field: str) -> Iterator[ResumedFile]:
    """Open and lock the file at `path`, without its failed and incomplete lines; create it if it is missing.

    `field` is the name of the answer object. Raises Failure: USAGE for a file that hybrid did not write, FAILURE
    if another run is writing to it.
    """
    file = _open_locked(path)
    try:
        answered = AnsweredKeys()
        end, failed = _scan(file, path, field, answered)
        file.truncate(end)
        if failed:
            kept = _rewrite_without(file, path, failed)
            file.close()
            file = kept
        file.seek(0, os.SEEK_END)
        yield ResumedFile(file, answered)
    finally:
        file.close()


def _open_locked(path: Path) -> BinaryIO:
    """Open and lock the file; create it if it is missing."""
    try:
        _check_regular(path)
        descriptor, _waited = open_locked(path)
    except Busy:
        raise Failure(ExitStatus.FAILURE, f"another run is writing to {path}") from None
    except OSError as error:
        raise _not_resumable(path, error.strerror or str(error)) from None
    return os.fdopen(descriptor, "r+b")


def _check_regular(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise _not_resumable(path, "not a regular file")


def _not_resumable(path: Path, why: str) -> Failure:
    return Failure(ExitStatus.USAGE, f"{path} cannot be resumed: {why}")


def answered_keys(path: Path, field: str) -> AnsweredKeys:
    """Return the answers in the file at `path`, without changing it. Raises Failure (USAGE) as `open_resumed`."""
    answered = AnsweredKeys()
    try:
        _check_regular(path)
        with path.open("rb") as file:
            _scan(file, path, field, answered)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _not_resumable(path, error.strerror or str(error)) from None
    return answered


def _scan(file: BinaryIO, path: Path, field: str, answered: AnsweredKeys) -> tuple[int, set[int]]:
    """Count the answers in `answered`; return the offsets of the last whole line's end and of failed lines."""
    failed: set[int] = set()
    start = 0
    for number, line in enumerate(file, 1):
        whole = line.endswith(b"\n")
        answer = _answer_of(line, field)
        # A killed run may leave an incomplete line, but only lines before it can tell whose file this is.
        is_rest = not whole and start > 0 and line.lstrip().startswith(b"{") and not _is_json(line)
        if answer is None and not is_rest:
            raise Failure(
                ExitStatus.USAGE,
                f"{path}:{number}: not output of `hybrid pipe --jsonl --key {field}`; nothing was changed",
            )
        if not whole or answer is None:
            break
        if "error" in answer:
            failed.add(start)
        else:
            answered[str(answer.get("record"))] += 1
        start += len(line)
    return start, failed


def _answer_of(line: bytes, field: str) -> dict[str, object] | None:
    """The answer object in a line of `hybrid pipe`; None for any other line."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    answer = found.get(field) if isinstance(found, dict) else None
    if not isinstance(answer, dict):
        return None
    is_own = {"answer", "record"} <= answer.keys() or isinstance(answer.get("error"), dict)
    return answer if is_own else None


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _rewrite_without(file: BinaryIO, path: Path, failed: set[int]) -> BinaryIO:
    """Replace the file atomically by a copy without the lines at the offsets `failed`; return the locked copy."""
    replacement = Replacement(Path(os.path.realpath(path)))
    copy = replacement.file
    try:
        fcntl.flock(copy, fcntl.LOCK_EX)
        os.fchmod(copy.fileno(), os.fstat(file.fileno()).st_mode & 0o777)
        file.seek(0)
        start = 0
        for line in file:
            if start not in failed:
                copy.write(line)
            start += len(line)
        replacement.commit(durable=True)
    except BaseException:
        replacement.close()
        raise
    return copy
