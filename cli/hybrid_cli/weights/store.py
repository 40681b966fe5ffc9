"""The weights on disk: files named by their sha256, and a small manifest for each name.

- `models/NAME.json`: the manifest
- `blobs/SHA256.gguf`: the file, read-only
- `incoming/`: what is being fetched
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from hybrid_cli.environment import Environment
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.weights.catalog import catalog, unknown_model
from hybrid_cli.weights.gguf import check_gguf, path_of

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}(?<!\.gguf)")  # NAME.gguf is a path to every command
_CHUNK = 1 << 20


class Manifest(msgspec.Struct, frozen=True):
    """What is known of stored weights. `stamp` is the file's inode, size and times when last hashed."""

    name: str
    sha256: str
    size: int
    licence: str
    source: str
    stamp: tuple[int, int, int, int] | None = None


class Store:
    """The weights of one user."""

    def __init__(self, environment: Environment) -> None:
        self.folder = environment.data_folder
        self._manifests = self.folder / "models"

    def blob(self, sha256: str) -> Path:
        return self.folder / "blobs" / f"{sha256}.gguf"

    def names(self) -> list[str]:
        return sorted(path.stem for path in self._manifests.glob("*.json"))

    def manifest(self, name: str) -> Manifest | None:
        """The manifest of `name`, or None where nothing usable is stored under it."""
        if not _NAME.fullmatch(name):
            return None
        try:
            return msgspec.json.decode((self._manifests / f"{name}.json").read_bytes(), type=Manifest)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def locate(self, model: str) -> Path:
        """The verified file of the model called `model`, or at that path.

        Raises Failure: USAGE for an unknown name, WEIGHTS where the file is missing or another.
        """
        path = path_of(model)
        if path is not None:
            check_gguf(path)
            return path
        manifest = self.manifest(model)
        if manifest is None:
            if model not in catalog():
                raise unknown_model(model, self.names())
            raise Failure(
                ExitStatus.WEIGHTS, f"the weights of {model} are not here; run: hybrid pull {model}"
            )
        self.verify(manifest)
        return self.blob(manifest.sha256)

    def verify(self, manifest: Manifest) -> None:
        """Raise Failure (WEIGHTS) unless the file's sha256 is the recorded one.

        A file whose inode, size and times are those of the last check is not read again.
        """
        path = self.blob(manifest.sha256)
        again = f"run: hybrid pull {manifest.name}"
        try:
            stamp = stamp_of(path)
        except FileNotFoundError:
            raise Failure(
                ExitStatus.WEIGHTS, f"the weights file of {manifest.name} is gone; {again}"
            ) from None
        if stamp == manifest.stamp:
            return
        found = sha256_of(path)
        if found != manifest.sha256:
            raise Failure(
                ExitStatus.WEIGHTS,
                f"the weights of {manifest.name} are not the recorded ones: sha256 {found},"
                f" expected {manifest.sha256}; {again}",
            )
        try:
            self._write(msgspec.structs.replace(manifest, stamp=stamp))
        except OSError:
            return  # a read-only store is verified on each run

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """A private folder on the store's own file system for what is being fetched."""
        parent = self.folder / "incoming"
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            try:
                yield Path(folder)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise Failure(ExitStatus.FAILURE, f"{self.folder}: {error.strerror}") from error

    def add(self, file: Path, *, name: str, sha256: str, licence: str, source: str) -> Manifest:
        """Take `file`, whose sha256 was checked, into the store under `name`."""
        blob = self.blob(sha256)
        blob.parent.mkdir(parents=True, exist_ok=True)
        file.chmod(0o444)
        file.replace(blob)
        manifest = Manifest(name, sha256, blob.stat().st_size, licence, source, stamp_of(blob))
        self._write(manifest)
        return manifest

    def _write(self, manifest: Manifest) -> None:
        self._manifests.mkdir(parents=True, exist_ok=True)
        path = self._manifests / f"{manifest.name}.json"
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_bytes(msgspec.json.encode(manifest))
        temporary.replace(path)


def check_name(name: str) -> str:
    """`name`, if weights may be stored under it."""
    if not _NAME.fullmatch(name):
        raise Failure(
            ExitStatus.USAGE,
            f"`{name}` cannot be a model's name: use up to 100 lower-case letters, digits, dots, dashes and"
            " underscores, a letter or digit first, and no .gguf at the end",
        )
    return name


def name_from_file(file: str) -> str:
    """The name under which a file of that name is stored when the user gives none."""
    stem = Path(file).name.lower().removesuffix(".gguf")
    name = re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._")
    if not _NAME.fullmatch(name):
        raise Failure(ExitStatus.USAGE, f"no model's name can be made of `{file}`; give one with --name")
    return name


def stamp_of(path: Path) -> tuple[int, int, int, int]:
    """What changes when the file at `path` does: inode, size, and times of content and inode in ns."""
    info = path.stat()
    return info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def sha256_of(path: Path) -> str:
    """The file's checksum in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
