"""The file of --output: replaced atomically where the system can, and never at the price of the answer."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.system.files import Replacement, replacing
from hybrid_cli.ui.environment import Environment

_OWN_STREAMS = {
    place: number
    for number, name in ((1, "stdout"), (2, "stderr"))
    for place in (f"/dev/{name}", f"/dev/fd/{number}", f"/proc/self/fd/{number}")
}
"""The descriptors of hybrid's own output by their paths."""
_MEMORY = 64_000_000
"""Bytes of content that are held in memory; more of it waits in a temporary file."""


class OutputFile:
    """A regular file is replaced and keeps its mode; a new one gets mode 0600. Opened before anything is paid."""

    def __init__(self, path: Path, environment: Environment) -> None:
        """Raises Failure if the file cannot be written."""
        self._path = path
        self._environment = environment
        self._replacement: Replacement | None = None
        self._device: _Device | None = None
        environment.check_link(path)
        try:
            self._open()
        except OSError as error:
            raise Failure(ExitStatus.FAILURE, f"{path} cannot be written: {error.strerror}") from error
        self.file = cast("BinaryIO", self._device or tempfile.SpooledTemporaryFile(_MEMORY))  # noqa: SIM115  closed by `commit` or `discard`
        """Takes the content. A device or a pipe gets it at once, any other file when it is committed."""

    def _open(self) -> None:
        path = self._path
        stream = _OWN_STREAMS.get(str(path))
        if stream is not None:
            # To open it would begin a new position: whatever writes to the stream next would overwrite the answer.
            self._device = _Device(os.fdopen(os.dup(stream), "ab"), self._save_elsewhere)
            return
        if path.is_relative_to("/dev") or path.is_relative_to("/proc"):
            # /dev/stdout, for example, is a file that other programs write to as well: append, never replace
            self._device = _Device(path.open("ab"), self._save_elsewhere)
            return
        mode = None
        if path.exists():
            found = path.stat().st_mode
            if stat.S_ISDIR(found):
                raise Failure(ExitStatus.USAGE, f"{path} is a folder; --output needs a file")
            if not stat.S_ISREG(found):  # a device or a named pipe can only be written to
                self._device = _Device(path.open("wb"), self._save_elsewhere)
                return
            mode = stat.S_IMODE(found) & 0o777  # the answer is no program to run as its owner
        try:
            self._replacement = Replacement(Path(os.path.realpath(path)))
        except PermissionError:
            if mode is None or not os.access(path, os.W_OK):
                raise
            return  # the folder takes no new file, but this one can be written in place
        if mode is not None:
            os.fchmod(self._replacement.file.fileno(), mode)

    def commit(self) -> None:
        """Put the content into the file: at once, or else in place, or else into a file beside it.

        Raises Failure, naming the place, if the answer went to another one.
        """
        if self._device is not None:
            self._device.close()
            return
        with self.file:
            self.file.seek(0)
            data = self.file.read()
        try:
            self._replace(data)
        except OSError as error:  # a mount point, a full disk, a folder without room
            try:
                self._write_in_place(data)
            except FileNotFoundError:  # a new file: the first error is the cause
                self._save_elsewhere(data, error)
            except OSError as second:
                self._save_elsewhere(data, second)

    def _replace(self, data: bytes) -> None:
        """Replace the file atomically. Raises OSError."""
        try:
            if self._replacement is None:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            self._replacement.file.write(data)
            self._replacement.commit(durable=True)
        finally:
            self._drop_replacement()

    def _write_in_place(self, data: bytes) -> None:
        with self._path.open("r+b") as file:
            _reserve(file, len(data))
            file.write(data)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())

    def _save_elsewhere(self, data: bytes, error: OSError) -> NoReturn:
        """Keep the content beside the file, or among hybrid's own files, or print it. Raises Failure, which names the place."""
        kept = self._saved_beside(data)
        if not kept and self._environment.stdout is not None:
            with suppress(OSError):
                self._environment.write_stdout(data)
                kept = "; the answer is on stdout"
        raise Failure(ExitStatus.FAILURE, f"{self._path} cannot be written: {error.strerror}{kept}")

    def _saved_beside(self, data: bytes) -> str:
        """Write the content to a new file. Returns where, for the message; "" if no folder takes it."""
        beside = [] if self._device is not None else [self._path.absolute().parent]
        for folder in (*beside, self._environment.state_folder):
            place = folder / f"{self._path.name}.{self._environment.run_id}"
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                with replacing(place) as file:
                    file.write(data)
                return f"; the answer is in {place}"
        return ""

    def _drop_replacement(self) -> None:
        if self._replacement is not None:
            with suppress(OSError):  # unwritten bytes on a full disk: `file` has them
                self._replacement.close()
            self._replacement = None

    def discard(self) -> None:
        """Drop the content, unless it was committed."""
        self._drop_replacement()
        self.file.close()


class _Device:
    """A device or a named pipe, which gets the content at once."""

    def __init__(self, file: BinaryIO, save: Callable[[bytes, OSError], NoReturn]) -> None:
        """`save` gets the content that the device does not take, except if a pipe's reader is gone."""
        self._file = file
        self._save = save

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            self._save(data, error)

    def flush(self) -> None:
        """Do nothing: `write` does it."""

    def close(self) -> None:
        with suppress(OSError):  # of content that was saved elsewhere
            self._file.close()


def _reserve(file: BinaryIO, size: int) -> None:
    """Raise OSError if the disk has no room for `size` bytes, before the old content is lost."""
    if size and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
