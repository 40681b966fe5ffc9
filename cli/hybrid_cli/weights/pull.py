"""`hybrid pull`: fetch a model's files from the first source that has them, verify and store them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.weights.capacity import recommended
from hybrid_cli.weights.catalog import (
    SMALL,
    CatalogFile,
    CatalogModel,
    catalog,
    catalog_entry,
    other_than_catalog,
    unknown_model,
)
from hybrid_cli.weights.gguf import Wanted, check_gguf
from hybrid_cli.weights.hub import linked
from hybrid_cli.weights.incoming import Incoming, Slot
from hybrid_cli.weights.integrity import look_at, sha256_of
from hybrid_cli.weights.names import check_name, name_from_file
from hybrid_cli.weights.other_tools import find_on_disk
from hybrid_cli.weights.part import Part, WeightsSource
from hybrid_cli.weights.purpose import doubt
from hybrid_cli.weights.reporter import Reporter
from hybrid_cli.weights.sources import catalog_source, parse_source
from hybrid_cli.weights.store import Manifest, Store, StoredFile


def pull(model: str, name: str | None, reporter: Reporter) -> Manifest:
    """Fetch and store `model`, which is a catalog name or a source.

    It is stored under `name`; the default is the catalog's name or the file's. Raises Failure: USAGE for an
    unknown model, WEIGHTS if no source has the right file, FAILURE if the disk is full.
    """
    if name is not None:
        check_name(name)
    source = parse_source(model)
    if source is not None:
        return pull_source(source, name, reporter)
    store = Store(reporter.environment)
    entry = catalog_entry(model, reporter.environment)
    if entry is None:
        raise unknown_model(model, store.names(), reporter.environment)
    with store.pull_lock():
        return _Pull(store, reporter).from_catalog(model if name is None else name, model, entry)


def pull_recommended(name: str | None, reporter: Reporter) -> Manifest:
    """Pull the model recommended for this machine; if no source has it, the small one. Raises Failure as `pull`."""
    store = Store(reporter.environment)
    model, why = recommended(catalog(reporter.environment), set(store.names()), reporter.environment)
    stored = store.manifest(name or model)
    if stored is None:
        reporter.say(why)
    try:
        return pull(model, name, reporter)
    except Failure as failure:
        if model == SMALL or failure.status not in (ExitStatus.WEIGHTS, ExitStatus.FAILURE):
            raise
        reporter.say(f"cannot get {model}: {failure}; taking {SMALL} instead; to try again: hybrid pull")
        return pull(SMALL, name, reporter)


def pull_source(source: WeightsSource, name: str | None, reporter: Reporter) -> Manifest:
    """Fetch and store the model at `source`, as `pull` does."""
    store = Store(reporter.environment)
    with store.pull_lock():
        return _Pull(store, reporter).from_source(source, name)


@dataclass
class _Pull:
    store: Store
    reporter: Reporter

    def from_catalog(self, name: str, model: str, entry: CatalogModel) -> Manifest:
        """Pull a catalog model. Each file must have the catalog's checksum, whatever the source says."""
        self._require_own_name(name, [file.sha256 for file in entry.every_file], model)
        stored = self.store.manifest(name)
        if stored is not None and self._is_of(stored, entry):
            return self._done(stored, f"{name} is already stored and verified", cached=True)
        self.reporter.say(f"pulling {model}: {entry.size / 1e6:.0f} MB, {entry.licence}")
        if entry.caution:
            self.reporter.say(f"note on {model}: {entry.caution}")
        self.reporter.event("start", name=name, size=entry.size, licence=entry.licence)
        used = [self._fetch_from_any(file, entry.sources, "model") for file in entry.files]
        files = [self.store.file_record(file.name, file.sha256) for file in entry.files]
        projector = None
        if (file := entry.projector) is not None:
            self._fetch_from_any(file, entry.sources, "projector")
            projector = self.store.file_record(file.name, file.sha256)
        manifest = self.store.add(name, files, entry.licence, used[0], projector)
        return self._done(manifest, f"stored as {name}")

    def _is_of(self, stored: Manifest, entry: CatalogModel) -> bool:
        """Whether the stored files are those of `entry`, and intact."""
        if not stored.has_files_of(entry):
            return False
        # llama.cpp finds the shards of a split model by their names; the name of a single file does not matter
        named = len(entry.files) == 1 or all(
            a.name == b.name for a, b in zip(stored.files, entry.files, strict=True)
        )
        return named and self._is_intact(stored)

    def _is_intact(self, manifest: Manifest) -> bool:
        try:
            self.store.verify(manifest)
        except Failure:
            return False
        return True

    def _fetch_from_any(self, file: CatalogFile, sources: list[str | list[str]], wanted: Wanted) -> str:
        """Fetch `file` from the first source that has it, unless it is stored; returns the source."""
        with Incoming(self.reporter.environment).slot(file.sha256) as slot:
            if self.store.has(file.sha256, file.name):
                self.reporter.say(f"{file.name} is already stored and verified")
                return catalog_source(sources[0], file).text
            found = find_on_disk(file.name, file.size, file.sha256, self.reporter.environment)
            if found is not None:
                self._fetch(linked(found, file.sha256), slot, file.sha256, wanted)
                return str(found)
            for number, place in enumerate(sources, start=1):
                source = catalog_source(place, file)
                try:
                    self._fetch_from(source, file, slot, wanted)
                except Failure as failure:
                    if number == len(sources) or failure.status is not ExitStatus.WEIGHTS:
                        raise
                    self.reporter.say(f"{failure}; trying the next source")
                    self.reporter.event("source_failed", source=source.text, message=str(failure))
                else:
                    return source.text
        raise AssertionError("the last source returns or raises")

    def _fetch_from(self, source: WeightsSource, file: CatalogFile, slot: Slot, wanted: Wanted) -> None:
        self.reporter.event("source", file=file.name, source=source.text)
        (part,) = [part for part in source.find(self.reporter) if part.file == file.name]
        if part.sha256 not in (None, file.sha256):
            raise _differs(file.name, part.sha256, file.sha256)
        if part.size not in (None, file.size):
            message = f"{file.name} at {source.text} has {part.size} bytes, expected {file.size}"
            raise Failure(ExitStatus.WEIGHTS, message)
        slot.most = file.size
        self._fetch(part, slot, file.sha256, wanted)

    def from_source(self, source: WeightsSource, name: str | None) -> Manifest:
        """Pull from a source that the user names. Its checksum must match, if the source gives one."""
        parts = source.find(self.reporter)
        name = name or name_from_file(source.file or parts[0].file)
        self._require_own_name(name, [part.sha256 for part in parts], source.text)
        self.reporter.event("source", file=parts[0].file, source=source.text)
        with (
            ExitStack() as slots
        ):  # held until the manifest is written: a pull that waits for a slot reads it
            stored = [self._store(part, source.text, name, slots) for part in parts]
            self._require_own_name(name, [file.sha256 for file, _ in stored], source.text)
            manifest = self.store.add(name, [file for file, _ in stored], "unknown", source.text)
        return self._done(manifest, f"stored as {name}", cached=all(was_stored for _, was_stored in stored))

    def _require_own_name(self, name: str, found: list[str | None], what: str) -> None:
        """Raise Failure (WEIGHTS) if the catalog has other files under `name`; unknown checksums are None."""
        entry = catalog_entry(name, self.reporter.environment)
        if entry is None:
            return
        wanted = [file.sha256 for file in entry.every_file]
        if len(found) != len(wanted) or any(
            one not in (None, other) for one, other in zip(found, wanted, strict=True)
        ):
            raise other_than_catalog(name, what)

    def _store(self, part: Part, text: str, name: str, slots: ExitStack) -> tuple[StoredFile, bool]:
        """Fetch `part` into the store unless it is there; returns its record, and whether it was there."""
        key = part.sha256 or f"{text}\n{part.file}"
        slot = slots.enter_context(Incoming(self.reporter.environment).slot(key))
        if part.sha256 is not None:
            was_stored, sha256 = self.store.has(part.sha256, part.file), part.sha256
        else:
            sha256 = self._pulled_before(part, text, name, just_now=slot.waited) or ""
            was_stored = bool(sha256)
        if not was_stored:
            sha256 = self._fetch(part, slot, part.sha256)
        return self.store.file_record(part.file, sha256, part.validator), was_stored

    def _pulled_before(self, part: Part, text: str, name: str, *, just_now: bool) -> str | None:
        """The checksum of `part` if it is stored: its validator is the same, or it was fetched `just_now`."""
        manifest = self.store.manifest(name)
        if manifest is None or manifest.source != text:
            return None
        stored = next((file for file in manifest.files if file.name == part.file), None)
        if stored is None or not (just_now or (part.validator and part.validator == stored.validator)):
            return None
        return stored.sha256 if self._is_intact(manifest) else None

    def _fetch(self, part: Part, slot: Slot, expected: str | None, wanted: Wanted = "model") -> str:
        """Fetch and verify `part`, then move it into the store; returns its checksum."""
        path, sha256 = part.fetch(slot, self.reporter)
        look_at(path, part.file)
        if sha256 is None:
            self.reporter.say("verifying the checksum")
            sha256 = sha256_of(path)
        if expected is not None and sha256 != expected:
            slot.resumable = False
            raise _differs(part.file, sha256, expected)
        slot.resumable = False
        doubts = doubt(check_gguf(path, part.file, wanted))
        if doubts is not None:
            self.reporter.say(f"{part.file} {doubts}")
        self.store.add_file(path, sha256)
        return sha256

    def _done(self, manifest: Manifest, message: str, *, cached: bool = False) -> Manifest:
        self.reporter.say(message)
        self.reporter.event(
            "done",
            name=manifest.name,
            path=str(self.store.path(manifest)),
            size=manifest.size,
            sha256=manifest.sha256,
            licence=manifest.licence,
            source=manifest.source,
            cached=cached,
        )
        return manifest


def _differs(file: str, found: str | None, expected: str) -> Failure:
    return Failure(ExitStatus.WEIGHTS, f"{file} has sha256 {found}, expected {expected}")
