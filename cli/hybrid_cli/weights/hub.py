"""Models from the Hugging Face hub, or from the mirror that HF_ENDPOINT names.

huggingface_hub fetches the metadata; `weights.transfer` downloads the bytes, because it resumes and hashes.
"""

from __future__ import annotations

import os
import re
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.system.retry_after import retry_after
from hybrid_cli.weights.capacity import memory
from hybrid_cli.weights.https import RemoteFile, is_safe
from hybrid_cli.weights.incoming import Slot
from hybrid_cli.weights.names import as_text, shards_of
from hybrid_cli.weights.other_tools import hub_file
from hybrid_cli.weights.part import Fetched, Part
from hybrid_cli.weights.quantisation import HubFile, choose, model_files
from hybrid_cli.weights.reporter import Reporter
from hybrid_cli.weights.transfer import transfer

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TRANSIENT = (429, 500, 502, 503, 504)
_RETRIES = 3
_MAX_WAIT = 30.0
_ANSWER_SECONDS = 60.0
"""For one answer of the hub. Its client's own timeout restarts with each byte."""

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class HubSource:
    """A model in a repository. Without `file` it is the best one for this machine's memory."""

    repo: str
    file: str
    revision: str | None

    @property
    def text(self) -> str:
        file = f"/{self.file}" if self.file else ""
        return f"hf:{self.repo}{file}" + (f"@{self.revision}" if self.revision else "")

    def find(self, reporter: Reporter) -> list[Part]:
        if _is_offline():
            return self._find_on_disk(reporter)
        file = self.file or self._choose(reporter).file
        folder = PurePosixPath(file).parent
        shards = [str(folder / shard) for shard in shards_of(PurePosixPath(file).name)]
        return [self._part(shard, reporter) for shard in shards]

    def _part(self, file: str, reporter: Reporter) -> Part:
        hub = _hub()

        def metadata_of() -> Any:
            url = hub.hf_hub_url(self.repo, file, revision=self.revision)
            return hub.get_hf_file_metadata(url, token=_token())

        metadata = self._ask(metadata_of, reporter, file)
        revision = metadata.commit_hash or self.revision  # a branch may change before the download
        etag = metadata.etag or ""
        sha256 = etag if _SHA256.fullmatch(etag) else None
        headers = {"Authorization": f"Bearer {token}"} if (token := _token()) else {}
        remote = RemoteFile(
            hub.hf_hub_url(self.repo, file, revision=revision), file, metadata.size, sha256, headers
        )

        def fetch(slot: Slot, reporter: Reporter) -> Fetched:
            reporter.say(f"downloading {file} from {self.repo}")
            return transfer(remote, slot, reporter)

        return Part(PurePosixPath(file).name, metadata.size, sha256, fetch)

    def files(self, reporter: Reporter) -> list[HubFile]:
        """The model files in the repository, smallest first."""
        info = self._ask(
            lambda: (
                _hub()
                .HfApi()
                .model_info(
                    self.repo, revision=self.revision, files_metadata=True, token=_token(), timeout=10
                )
            ),
            reporter,
        )
        return model_files({sibling.rfilename: sibling.size or 0 for sibling in info.siblings or []})

    def _choose(self, reporter: Reporter) -> HubFile:
        files = self.files(reporter)
        chosen = choose(files, memory(), self.repo)
        reporter.say(
            f"chose {chosen.file}, the largest of {len(files)} model files in {self.repo} that fits into"
            f" half of this machine's memory" + ("; --list shows all" if len(files) > 1 else "")
        )
        return chosen

    def _find_on_disk(self, reporter: Reporter) -> list[Part]:
        """The file in another tool's cache; nothing is sent to the hub."""
        path = hub_file(self.repo, self.file, reporter.environment) if self.file else None
        if path is None:
            raise Failure(
                ExitStatus.WEIGHTS,
                f"{self.file or self.repo} is not in the hub's cache, and HF_HUB_OFFLINE is set",
            )
        return [linked(path)]

    def _ask(self, request: Callable[[], _Found], reporter: Reporter, file: str = "") -> _Found:
        """The result of `request`, which is repeated while the hub is busy. Raises Failure with the reason."""
        from huggingface_hub.errors import HfHubHTTPError

        for number in range(_RETRIES + 1):
            try:
                return _in_time(request)
            except HfHubHTTPError as error:
                response = error.response
                if response.status_code in _TRANSIENT and number < _RETRIES:
                    _wait(retry_after(response.headers, _MAX_WAIT), 0.5 * 2**number, reporter)
                    continue
                raise Failure(ExitStatus.WEIGHTS, self._explain(response, file)) from error
            except KeyError as error:
                raise Failure(
                    ExitStatus.WEIGHTS, f"cannot read the hub's answer for {self.repo}: it lacks {error}"
                ) from error
            except ValueError as error:
                raise Failure(ExitStatus.USAGE, f"`{self.repo}`: {_first_line(error)}") from error
            except (
                Exception
            ) as error:  # which class it is depends on the versions of the hub's client and httpx
                raise Failure(
                    ExitStatus.WEIGHTS,
                    f"cannot get {file or self.repo} from the hub: {_first_line(error)}",
                ) from error
        raise AssertionError("the last attempt returns or raises")

    def _explain(self, response: Any, file: str) -> str:
        status, code = response.status_code, response.headers.get("X-Error-Code", "")
        page = f"{_constants().ENDPOINT}/{self.repo}"
        if code == "GatedRepo" or status == 403:
            return f"{self.repo} is gated; accept its terms at {page} and set HF_TOKEN"
        if status == 401 or code == "RepoNotFound":
            return f"{self.repo} does not exist, or is gated or private; check {page} and set HF_TOKEN"
        at = f" at {self.revision}" if self.revision else ""
        if code == "RevisionNotFound":
            return f"{self.repo} has no revision {self.revision}"
        if status == 404 and not file:
            return f"the hub has no repository {self.repo}{at}"
        if status == 404:
            return f"{self.repo} has no file {file}{at}; to list its files: hybrid pull --list hf:{self.repo}"
        return f"the hub answered {status} for {self.repo}; try again later"


def linked(path: Path, sha256: str | None = None) -> Part:
    """The part for a file of another tool on this machine. The file stays there; the store links to it."""

    def fetch(slot: Slot, reporter: Reporter) -> Fetched:
        reporter.say(f"linking to {path}")
        link = slot.scratch() / path.name
        link.symlink_to(path.resolve())
        return link, None

    return Part(as_text(path.name), path.stat().st_size, sha256, fetch)


def _hub() -> Any:
    """The module huggingface_hub, without its telemetry and warnings."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    warnings.filterwarnings("ignore", module="huggingface_hub")
    import huggingface_hub

    return huggingface_hub


def _constants() -> Any:
    """The module with the values of the user's HF_ variables."""
    _hub()
    from huggingface_hub import constants

    return constants


def _is_offline() -> bool:
    return bool(_constants().HF_HUB_OFFLINE)


def _token() -> str | bool:
    """The user's token for the hub; False without one, or if the connection would not protect it."""
    constants = _constants()
    if not is_safe(constants.ENDPOINT) or constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        return False
    return _hub().get_token() or False


def _in_time(request: Callable[[], _Found]) -> _Found:
    """The result of `request`, or what it raises. Raises TimeoutError after _ANSWER_SECONDS."""
    future: Future[_Found] = Future()

    def work() -> None:
        try:
            future.set_result(request())
        except BaseException as error:  # noqa: BLE001  raised again by the thread that waits
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    if not wait([future], _ANSWER_SECONDS).done:
        raise TimeoutError(f"it sent no whole answer in {_ANSWER_SECONDS:g} s")
    return future.result()


def _wait(asked: float | None, default: float, reporter: Reporter) -> None:
    """Wait as long as the hub asks for, in seconds, or for `default`."""
    seconds = default if asked is None else asked
    if seconds >= 2:
        reporter.say(f"the hub is busy; retrying in {seconds:.0f} s")
    time.sleep(seconds)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
