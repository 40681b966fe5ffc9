"""The checksums of models that are used by path: one record for each file, made on its first use."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.system import files
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.gguf import Wanted, check_gguf
from hybrid_cli.weights.integrity import Mismatch, Stamp, check_file, joined_sha256, stamp_of
from hybrid_cli.weights.names import as_text, shards_of
from hybrid_cli.weights.shards import check_name, check_shards


class _Record(msgspec.Struct, frozen=True):
    path: str
    sha256: str
    stamp: Stamp


class PathRecords:
    """The records of one user. A split model is given by its first shard, and all shards are checked."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._folder = environment.data_folder / "paths"

    def verify(self, path: Path, wanted: Wanted = "model", *, afresh: bool = False) -> str:
        """The identity of the model at `path`. Raises Failure (WEIGHTS) if a file changed since its first use.

        A file whose stamp has not changed since the last check is read again only if `afresh`.
        """
        first, *later = _shards(path)
        found = [self._verify_file(first, path, wanted, afresh=afresh)]
        found += [self._verify_file(one, path, "any", afresh=afresh) for one in later]
        return joined_sha256(found)

    def accept(self, path: Path) -> str:
        """Trust the current content of the model at `path`; returns its identity."""
        found = []
        for one in _shards(path):
            sha256, stamp = check_file(one, None, None, self._environment, wanted="any")
            self._write(one, sha256, stamp)
            found.append(sha256)
        return joined_sha256(found)

    def are_unchanged(self, path: Path) -> bool:
        """Whether each file has the stamp of its last check, so that none has to be read."""
        with contextlib.suppress(OSError):
            known = [(one, self._known(one)) for one in _named_shards(path)]
            return all(record is not None and stamp_of(one.stat()) == record.stamp for one, record in known)
        return False

    def _verify_file(self, file: Path, model: Path, wanted: Wanted, *, afresh: bool) -> str:
        known = self._known(file)
        sha256, stamp = (None, None) if known is None else (known.sha256, known.stamp)
        try:
            found = check_file(file, sha256, None if afresh else stamp, self._environment, wanted=wanted)
        except Mismatch as mismatch:
            raise Failure(
                ExitStatus.WEIGHTS,
                f"{file} changed since its first use: sha256 {mismatch.found},"
                f" expected {mismatch.expected}; if you changed it, run: hybrid models verify --accept {model}",
            ) from None
        if found != (sha256, stamp):
            check_name(file, check_gguf(file, wanted=wanted))
            with contextlib.suppress(OSError):  # a read-only store is verified in each run
                self._write(file, *found)
        return found[0]

    def _known(self, file: Path) -> _Record | None:
        try:
            return msgspec.json.decode(files.read_regular(self._record_of(file)), type=_Record)
        except (OSError, msgspec.DecodeError):
            return None

    def _write(self, file: Path, sha256: str, stamp: Stamp) -> None:
        record = self._record_of(file)
        record.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(record, files.DEFAULT_MODE) as content:
            content.write(msgspec.json.encode(_Record(as_text(str(file.absolute())), sha256, stamp)))

    def _record_of(self, file: Path) -> Path:
        key = hashlib.sha256(os.fsencode(os.path.realpath(file))).hexdigest()
        return self._folder / f"{key}.json"


def _shards(path: Path) -> list[Path]:
    """The files of the model at `path`. Raises Failure (WEIGHTS) unless all are there, and it is the first."""
    if path.exists():
        check_shards(path)
    return _named_shards(path)


def _named_shards(path: Path) -> list[Path]:
    return [path.with_name(name) for name in shards_of(path.name)]
