"""Download of one file into a slot. It resumes at the byte, and starts again if the file changed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.weights.https import (
    ConnectionCut,
    FileChanged,
    NoRanges,
    NotAModel,
    RangeResponse,
    RemoteFile,
    get,
)
from hybrid_cli.weights.incoming import Slot, bound_of, require_space, too_much
from hybrid_cli.weights.partial import Partial
from hybrid_cli.weights.ranges import CHUNK, Pace, Patience, Ranges, Tuning
from hybrid_cli.weights.reporter import Reporter

_STARTS = 3
"""Downloads of one file that are begun before the transfer gives up."""


def transfer(
    remote: RemoteFile, slot: Slot, reporter: Reporter, tuning: Tuning | None = None
) -> tuple[Path, str]:
    """Download `remote` into `slot`; returns the path and the sha256, which callers must compare.

    Raises Failure: WEIGHTS if the server does not send the file, FAILURE if the disk is full. The bytes so
    far stay in the slot if the next pull can resume.
    """
    tuning = tuning or Tuning()
    remote = replace(remote, is_gguf=slot.is_gguf)
    patience = Patience(tuning)
    has_ranges = True
    for _ in range(_STARTS):
        try:
            path, sha256, from_one = _attempt(remote, slot, reporter, tuning, has_ranges=has_ranges)
        except NotAModel:
            slot.clear()
            raise
        except FileChanged as change:
            has_ranges = has_ranges and not isinstance(change, NoRanges)
            slot.clear()
            reporter.say(f"{remote.file}: {change}; starting again")
            continue
        except ConnectionCut as cut:  # raised only if the server does not support ranges
            slot.clear()
            reporter.say(f"{remote.file}: {cut}; the server cannot resume, so starting again")
            patience.wait(cut)
            continue
        if from_one or remote.sha256 in (None, sha256):
            return path, sha256
        slot.clear()
        reporter.say(f"{remote.file}: wrong checksum; starting again")
    raise Failure(ExitStatus.WEIGHTS, f"{remote.file}: gave up after {_STARTS} incomplete downloads")


def look(remote: RemoteFile) -> RangeResponse:
    """The size and validator of a file on a server. Raises Failure (WEIGHTS) if it does not exist."""
    answer = _request(remote, Tuning(segment=1))
    answer.close()
    return answer


def _attempt(
    remote: RemoteFile, slot: Slot, reporter: Reporter, tuning: Tuning, *, has_ranges: bool
) -> tuple[Path, str, bool]:
    """The file, its sha256, and whether all bytes are known to belong to one version of it."""
    partial = _resumable(remote, slot) if has_ranges else None
    resumed, first = partial is not None, None
    if partial is None:
        first = _request(remote, tuning, has_ranges=has_ranges)
        _check_size(remote, slot, first)
        if not first.is_range or first.size is None:
            return *_whole(remote, first, slot, reporter, tuning), True
        require_space(slot.folder, first.size)
        partial = Partial.begin(slot.folder, first.size, tuning.segment, first.validator)
    if resumed:
        slot.resumable = True
        reporter.say(f"resuming {remote.file} at {partial.done() / 1e6:.0f} of {partial.size / 1e6:.0f} MB")
    require_space(slot.folder, partial.size - partial.done())
    slot.resumable = _is_known(remote, partial)
    progress = reporter.progress(remote.file, partial.size, partial.done())
    ranges = Ranges(remote, partial, tuning, first)
    try:
        sha256 = ranges.run(progress)
    finally:
        progress.end()
    return partial.path, sha256, not (resumed or ranges.mixed)


def _resumable(remote: RemoteFile, slot: Slot) -> Partial | None:
    """The unfinished download of the same file, or None."""
    partial = Partial.resume(slot.folder)
    if partial is None:
        slot.clear()
        return None
    is_size_right = remote.size in (None, partial.size) and partial.size <= (slot.most or partial.size)
    if _is_known(remote, partial) and partial.done() and is_size_right:
        return partial
    partial.close()
    return None


def _is_known(remote: RemoteFile, partial: Partial) -> bool:
    """Whether a later pull can recognise the same file: by checksum or validator."""
    return remote.sha256 is not None or partial.validator is not None


def _request(remote: RemoteFile, tuning: Tuning, *, has_ranges: bool = True) -> RangeResponse:
    """The response to the first request. It is not sent again if no server can be reached."""
    patience = Patience(tuning)
    while True:
        try:
            return get(remote, (0, tuning.segment) if has_ranges else None, tuning.patience)
        except NoRanges:
            has_ranges = False
        except ConnectionCut as cut:
            if not cut.reached:
                raise Failure(ExitStatus.WEIGHTS, f"cannot download {remote.file}: {cut}") from cut
            patience.wait(cut)


def _check_size(remote: RemoteFile, slot: Slot, answer: RangeResponse) -> None:
    """Raise Failure (WEIGHTS) before the download if the file has another size than expected."""
    if answer.size is None:
        return
    if remote.size not in (None, answer.size) or (slot.most is not None and answer.size > slot.most):
        answer.close()
        raise Failure(
            ExitStatus.WEIGHTS,
            f"the server has {answer.size} bytes for {remote.file}, expected {remote.size or slot.most}",
        )


def _whole(
    remote: RemoteFile, answer: RangeResponse, slot: Slot, reporter: Reporter, tuning: Tuning
) -> tuple[Path, str]:
    """Download the file in one request, without ranges. Raises ConnectionCut if the response ends early."""
    path = slot.folder / "whole.part"
    require_space(slot.folder, answer.size or 0)
    bound = bound_of(slot) if answer.size is None else answer.size
    digest, done, pace = hashlib.sha256(), 0, Pace(remote.file, tuning)
    progress = reporter.progress(remote.file, answer.size, 0)
    try:
        with path.open("wb", buffering=0) as file:
            while data := answer.read(CHUNK):
                done += len(data)
                if done > bound:
                    raise too_much(remote.file, slot, bound)
                file.write(data)
                digest.update(data)
                progress.show(done)
                pace.check(done)
    finally:
        progress.end()
        answer.close()
    if answer.size is not None and done < answer.size:
        raise ConnectionCut("the connection was cut")
    return path, digest.hexdigest()
