"""Going on with a file of answers that an earlier run began, however that run ended.

Every line of the file is whole and of one record. What was not written, or says that its record failed, is
done again; all else is passed over, as often as it is there.
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
from hybrid_cli.files import Busy, Replacement, open_locked


class Done(Counter[str]):
    """How often each record's key is in the file, less what was passed over."""

    def passes(self, key: str) -> bool:
        """Whether the record with `key` was answered before: said once for each of its lines."""
        if not self[key]:
            return False
        self[key] -= 1
        return True


@dataclass
class ResumedFile:
    """The file, open at its end, and what is done in it."""

    file: BinaryIO
    done: Done


@contextmanager
def resumed(path: Path, field: str) -> Iterator[ResumedFile]:
    """The file at `path`, held by this process alone; a new one where there is none.

    `field` is the name of the answer object. Raises Failure: USAGE for a file that this program did not
    write, FAILURE where another run is writing to it.
    """
    file = _locked(path)
    try:
        done = Done()
        end, failed = _look_through(file, path, field, done)
        file.truncate(end)
        if failed:
            kept = _without(file, path, failed)
            file.close()
            file = kept
        file.seek(0, os.SEEK_END)
        yield ResumedFile(file, done)
    finally:
        file.close()


def _locked(path: Path) -> BinaryIO:
    """The file, locked by this process."""
    try:
        _check_regular(path)
        descriptor, _waited = open_locked(path)
    except Busy:
        raise Failure(ExitStatus.FAILURE, f"another run is writing to {path}") from None
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from None
    return os.fdopen(descriptor, "r+b")


def _check_regular(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise _refused(path, "it is no regular file")


def _refused(path: Path, why: str) -> Failure:
    return Failure(ExitStatus.USAGE, f"{path} cannot be resumed: {why}")


def done_in(path: Path, field: str) -> Done:
    """What is done in the file at `path`, which is not changed. Raises Failure (USAGE) as `resumed` does."""
    done = Done()
    try:
        _check_regular(path)
        with path.open("rb") as file:
            _look_through(file, path, field, done)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from None
    return done


def _look_through(file: BinaryIO, path: Path, field: str, done: Done) -> tuple[int, set[int]]:
    """Count what is `done`; where the last whole line ends, and the places of lines that tell of a failure."""
    failed: set[int] = set()
    start = 0
    for number, line in enumerate(file, 1):
        whole = line.endswith(b"\n")
        answer = _answer_of(line, field) if whole else {}
        if answer is None or not line.startswith(b"{"):
            raise Failure(
                ExitStatus.USAGE,
                f"{path}:{number}: no answer of `hybrid pipe --jsonl --key {field}`; nothing was changed",
            )
        if not whole:  # the last one, cut off in the middle
            break
        if "error" in answer:
            failed.add(start)
        else:
            done[str(answer.get("record"))] += 1
        start += len(line)
    return start, failed


def _answer_of(line: bytes, field: str) -> dict[str, object] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    answer = found.get(field) if isinstance(found, dict) else None
    return answer if isinstance(answer, dict) else None


def _without(file: BinaryIO, path: Path, failed: set[int]) -> BinaryIO:
    """Put a copy without the lines at `failed` in the file's place, in one step; the copy, locked."""
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
