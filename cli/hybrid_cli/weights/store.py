"""The store of weights: files named by their sha256, and a small manifest for each model name.

- `models/NAME.json`: the manifest
- `blobs/SHA256.gguf`: a read-only file, or a link to another tool's file
- `shards/SHA256/`: links with the names under which llama.cpp looks for the shards of a split model
- `paths/`: the checksums of models that are used by path (`weights.path_records`)
- `speeds/SHA256.json`: how fast a model was on this machine (`cascade.measured_layouts`)
- `used/NAME`: an empty file whose time is that of the model's last use
- `incoming/`: unfinished downloads (`weights.incoming`)
- `lock`: each pull holds it, so that no file is deleted before the manifest that needs it is written
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import msgspec

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.default_model import DEFAULT, manifests_folder
from hybrid_cli.system import files
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.catalog import CatalogModel, catalog, catalog_entry, other_than_catalog, unknown_model
from hybrid_cli.weights.integrity import Mismatch, Stamp, check_file, joined_sha256, stamp_of
from hybrid_cli.weights.names import is_name, path_of, shards_of
from hybrid_cli.weights.path_records import PathRecords


class StoredFile(msgspec.Struct, frozen=True):
    """One file of a model. `stamp` is the one it had when it was last hashed."""

    name: str
    sha256: str
    size: int
    stamp: Stamp | None = None
    validator: str | None = None
    """ETag or Last-Modified of this version, if the source gave no checksum."""


class Manifest(msgspec.Struct, frozen=True):
    """The record of one stored model."""

    name: str
    files: list[StoredFile]
    licence: str
    source: str
    projector: StoredFile | None = None
    """The file that lets the model read images."""

    @property
    def every_file(self) -> list[StoredFile]:
        """The model's files and its projector."""
        return [*self.files, *([] if self.projector is None else [self.projector])]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.every_file)

    @property
    def sha256(self) -> str:
        """The model file's checksum; for shards the sha256 of their checksums, one a line, in order."""
        return joined_sha256([file.sha256 for file in self.files])

    def has_files_of(self, entry: CatalogModel) -> bool:
        """Whether the files are those of the catalog's `entry`."""
        return [file.sha256 for file in self.every_file] == [file.sha256 for file in entry.every_file]


class Weights(NamedTuple):
    """A model's verified file and its checksum."""

    path: Path
    sha256: str
    projector: Path | None = None
    """The file that belongs to the model and turns images into its input; it is not verified yet."""

    @property
    def size(self) -> int:
        """Bytes of the file, or of all shards of a split model. Raises OSError."""
        return sum(self.path.with_name(name).stat().st_size for name in shards_of(self.path.name))


class Store:
    """The weights of one user."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.folder = environment.data_folder
        self.path_records = PathRecords(environment)
        self._manifests = manifests_folder(environment)

    def blob(self, sha256: str) -> Path:
        return self.folder / "blobs" / f"{sha256}.gguf"

    def speeds_file(self, sha256: str) -> Path:
        return self.folder / "speeds" / f"{sha256}.json"

    def names(self) -> list[str]:
        return sorted(path.stem for path in self._manifests.glob("*.json"))

    def manifests(self) -> list[Manifest]:
        """All manifests that can be read, ordered by name."""
        return [manifest for name in self.names() if (manifest := self.manifest(name)) is not None]

    def damaged(self) -> dict[str, str]:
        """The names of records that cannot be read, each with a message that says what to do."""
        messages = {}
        for name in self.names():
            if self.manifest(name) is None:
                again = f"pull or import it again, or run: hybrid models rm {name}"
                messages[name] = (
                    f"its record is damaged; {again if is_name(name) else 'run: hybrid models prune'}"
                )
        return messages

    def manifest(self, name: str) -> Manifest | None:
        """The manifest of `name`; None if it is missing or damaged."""
        if not is_name(name):
            return None
        try:
            found = msgspec.json.decode(files.read_regular(self._manifests / f"{name}.json"), type=Manifest)
        except (FileNotFoundError, files.NotRegularError, msgspec.DecodeError):
            return None
        return found if found.name == name else None

    def is_recorded(self, name: str) -> bool:
        """Whether there is a manifest of that name, intact or not."""
        return is_name(name) and files.is_there(self._manifests / f"{name}.json")

    def find(self, name: str) -> Manifest:
        """The manifest of `name`. Raises Failure: USAGE for an unknown name, WEIGHTS if it is not pulled."""
        manifest = self.manifest(name)
        if manifest is not None:
            return manifest
        if self.is_recorded(name):
            raise Failure(ExitStatus.WEIGHTS, f"the record of {name} is damaged; run: hybrid pull {name}")
        if name == DEFAULT:
            raise Failure(ExitStatus.WEIGHTS, "no model is downloaded yet; run: hybrid pull")
        if name not in catalog(self._environment):
            raise unknown_model(name, self.names(), self._environment)
        raise Failure(ExitStatus.WEIGHTS, f"{name} is not downloaded; run: hybrid pull {name}")

    def locate(self, model: str) -> Weights:
        """As `verified`, and record the time as the model's last use: for a model that is about to answer."""
        weights = self.verified(model)
        if path_of(model) is None:
            with contextlib.suppress(OSError):  # a read-only store does not record the last use
                self._touch(model)
        return weights

    def verified(self, model: str) -> Weights:
        """The verified weights of `model`, which is a name or a path; of shards the first file.

        Raises Failure: USAGE for an unknown name, WEIGHTS if a file is missing or changed.
        """
        path = path_of(model)
        if path is not None:
            beside = list(path.parent.glob("mmproj*.gguf"))
            sha256 = self.path_records.verify(path)
            return Weights(path, sha256, beside[0] if len(beside) == 1 else None)
        manifest = self.find(model)
        self.verify(manifest)
        projector = None if manifest.projector is None else self.blob(manifest.projector.sha256)
        return Weights(self.path(manifest), manifest.sha256, projector)

    def path(self, manifest: Manifest) -> Path:
        """The path of the model; of shards the first."""
        if len(manifest.files) == 1:
            return self.blob(manifest.sha256)
        return self.folder / "shards" / manifest.sha256 / manifest.files[0].name

    def peek(self, model: str) -> Weights | None:
        """Return the same, if no file has to be hashed; None, too, if there may be something to report."""
        path = path_of(model)
        if path is not None:
            return self.verified(model) if self.path_records.are_unchanged(path) else None
        manifest = self.manifest(model)
        stored = [] if manifest is None else manifest.every_file
        with contextlib.suppress(OSError):
            if stored and all(stamp_of(self.blob(file.sha256).stat()) == file.stamp for file in stored):
                return self.verified(model)
        return None

    def verify(self, manifest: Manifest, *, afresh: bool = False) -> None:
        """Raise Failure (WEIGHTS) unless each file's sha256 is the recorded one, and the catalog's if it has the name.

        A file whose stamp has not changed since the last check is read again only if `afresh`.
        """
        entry = catalog_entry(manifest.name, self._environment)
        if entry is not None and not manifest.has_files_of(entry):
            raise other_than_catalog(manifest.name, f"the stored {manifest.name}")
        checked = [self._verify_stored(file, manifest.name, afresh) for file in manifest.every_file]
        if checked != manifest.every_file:
            with contextlib.suppress(OSError):  # a read-only store is verified in each run
                time = (self._manifests / f"{manifest.name}.json").stat().st_mtime_ns
                count = len(manifest.files)
                projector = next(iter(checked[count:]), None)
                self._write(msgspec.structs.replace(manifest, files=checked[:count], projector=projector))
                os.utime(self._manifests / f"{manifest.name}.json", ns=(time, time))  # of the pull, as before

    def _verify_stored(self, file: StoredFile, name: str, afresh: bool) -> StoredFile:
        path = self.blob(file.sha256)
        again = f"run: hybrid pull {name}"
        if not path.exists():
            raise Failure(ExitStatus.WEIGHTS, f"the weights file of {name} is missing; {again}")
        try:
            _, stamp = check_file(
                path, file.sha256, None if afresh else file.stamp, self._environment, name, "any"
            )
        except Mismatch as mismatch:
            raise Failure(
                ExitStatus.WEIGHTS,
                f"the weights of {name} changed: sha256 {mismatch.found},"
                f" expected {mismatch.expected}; {again}",
            ) from None
        return msgspec.structs.replace(file, stamp=stamp)

    def has(self, sha256: str, name: str) -> bool:
        """Whether a file with that checksum is stored; it is hashed again. Messages call it `name`."""
        try:
            check_file(self.blob(sha256), sha256, None, self._environment, name, "any")
        except Failure:
            return False
        return True

    def add_file(self, file: Path, sha256: str) -> None:
        """Move `file`, or a link, into the store. Its sha256 must be verified.

        A link never replaces an intact copy, because other models may share it.
        """
        blob = self.blob(sha256)
        blob.parent.mkdir(parents=True, exist_ok=True)
        if file.is_symlink() and not blob.is_symlink() and self.has(sha256, file.name):
            file.unlink()
            return
        if not file.is_symlink():
            file.chmod(0o444)
        file.replace(blob)

    def file_record(self, name: str, sha256: str, validator: str | None = None) -> StoredFile:
        """The manifest's record of a file that was moved into the store."""
        info = self.blob(sha256).stat()
        return StoredFile(name, sha256, info.st_size, stamp_of(info), validator)

    def add(
        self,
        name: str,
        files: list[StoredFile],
        licence: str,
        source: str,
        projector: StoredFile | None = None,
    ) -> Manifest:
        """Record stored `files` as the model `name`."""
        manifest = Manifest(name, files, licence, source, projector)
        if len(files) > 1:
            self._link_shards(manifest)
        self._write(manifest)
        return manifest

    def _link_shards(self, manifest: Manifest) -> None:
        folder = self.path(manifest).parent
        folder.mkdir(parents=True, exist_ok=True)
        for file in manifest.files:
            link = folder / f"{file.name}.{os.getpid()}"
            link.symlink_to(Path("..", "..", "blobs", f"{file.sha256}.gguf"))
            link.replace(folder / file.name)

    @contextlib.contextmanager
    def pull_lock(self) -> Iterator[None]:
        """Prevent deletions during the block. Several pulls may hold it."""
        with files.locked(self.folder / "lock", shared=True, on_wait=lambda: None):
            yield

    @contextlib.contextmanager
    def deletion_lock(self) -> Iterator[None]:
        """Prevent pulls during the block. Raises Failure (FAILURE) if one is running."""
        try:
            with files.locked(self.folder / "lock"):
                yield
        except files.Busy:
            raise Failure(
                ExitStatus.FAILURE, "a pull is running; nothing can be deleted until it ends"
            ) from None

    def remove(self, name: str) -> None:
        """Delete the record of `name`. Its files stay until `prune`, because another model may share them."""
        (self._manifests / f"{name}.json").unlink(missing_ok=True)
        (self.folder / "used" / name).unlink(missing_ok=True)

    def prune(self) -> int:
        """Delete every file that no model needs; returns the bytes freed."""
        kept = self.manifests()
        blobs = {file.sha256 for manifest in kept for file in manifest.every_file}
        freed = 0
        for blob in (self.folder / "blobs").glob("*"):
            if blob.stem not in blobs:
                freed += blob.lstat().st_size
                _delete(blob)
        sets = {manifest.sha256 for manifest in kept}
        for folder in (self.folder / "shards").glob("*"):
            if folder.name not in sets:
                _delete(folder)
        for speeds in (self.folder / "speeds").glob("*"):
            if speeds.stem not in sets:
                _delete(speeds)
        for record in self._unreadable():
            _delete(record)
        return freed

    def _unreadable(self) -> Iterator[Path]:
        for record in self._manifests.glob("*"):
            if record.suffix != ".json" or self.manifest(record.stem) is None:
                yield record

    def last_used(self, name: str) -> str | None:
        """The time of the model's last use, in UTC and ISO 8601; None if it was never used."""
        try:
            time = (self.folder / "used" / name).stat().st_mtime
        except OSError:
            return None
        return datetime.fromtimestamp(time, timezone.utc).isoformat(timespec="seconds")

    def _touch(self, name: str) -> None:
        mark = self.folder / "used" / name
        try:
            os.utime(mark)
        except FileNotFoundError:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()

    def _write(self, manifest: Manifest) -> None:
        _replace(self._manifests / f"{manifest.name}.json", msgspec.json.encode(manifest))


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path, files.DEFAULT_MODE) as file:
        file.write(content)
