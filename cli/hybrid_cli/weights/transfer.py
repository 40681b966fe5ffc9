"""Fetching one file from a server into a slot: resumed at the byte, begun again where it changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.weights.https import Answer, Changed, Cut, Remote, get
from hybrid_cli.weights.incoming import Slot, require_space
from hybrid_cli.weights.partial import Partial
from hybrid_cli.weights.ranges import CHUNK, Patience, Ranges, Tuning
from hybrid_cli.weights.reporter import Reporter

_STARTS = 3
"""How often a file is begun before it is given up."""


def transfer(
    remote: Remote, slot: Slot, reporter: Reporter, tuning: Tuning | None = None
) -> tuple[Path, str]:
    """The fetched file and its sha256, whatever that is.

    Raises Failure: WEIGHTS where the server does not give the file, FAILURE where the disk is full. What
    has come by then stays in the slot where the next pull can go on with it.
    """
    tuning = tuning or Tuning()
    patience = Patience(tuning)
    for _ in range(_STARTS):
        try:
            path, sha256, from_one = _attempt(remote, slot, reporter, tuning)
        except Changed as change:
            slot.clear()
            reporter.say(f"{remote.file}: {change}; starting again")
            continue
        except Cut as cut:  # of a server that cannot resume
            slot.clear()
            reporter.say(f"{remote.file}: {cut}; this server cannot resume, so starting again")
            patience.wait(cut)
            continue
        if from_one or remote.sha256 in (None, sha256):
            return path, sha256
        slot.clear()
        reporter.say(f"{remote.file}: its parts do not make up the file; starting again")
    raise Failure(ExitStatus.WEIGHTS, f"{remote.file} was begun {_STARTS} times and never came whole")


def look(remote: Remote) -> Answer:
    """What the server says of a file: size and validator. Raises Failure (WEIGHTS) where it has none."""
    answer = _ask(remote, Tuning(segment=1))
    answer.close()
    return answer


def _attempt(remote: Remote, slot: Slot, reporter: Reporter, tuning: Tuning) -> tuple[Path, str, bool]:
    """The file, its sha256, and whether all of it came from one version on the server, as far as can be told."""
    partial = _resumable(remote, slot)
    resumed, first = partial is not None, None
    if partial is None:
        first = _ask(remote, tuning)
        _check_size(remote, first)
        if not first.is_range or first.size is None:
            return *_whole(remote, first, slot, reporter), True
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


def _resumable(remote: Remote, slot: Slot) -> Partial | None:
    """What an earlier pull left of the same file."""
    partial = Partial.resume(slot.folder)
    if partial is None:
        slot.clear()
        return None
    if _is_known(remote, partial) and partial.done() and remote.size in (None, partial.size):
        return partial
    partial.close()
    return None


def _is_known(remote: Remote, partial: Partial) -> bool:
    """Whether it can be told that a file is still the one that was begun."""
    return remote.sha256 is not None or partial.validator is not None


def _ask(remote: Remote, tuning: Tuning) -> Answer:
    """The answer to the first request. A server that is not there at all is not asked again."""
    patience = Patience(tuning)
    while True:
        try:
            return get(remote, (0, tuning.segment), tuning.patience)
        except Cut as cut:
            if not cut.reached:
                raise Failure(ExitStatus.WEIGHTS, f"{remote.file} cannot be had: {cut}") from cut
            patience.wait(cut)


def _check_size(remote: Remote, answer: Answer) -> None:
    """A file of another size cannot be the one that is meant: say so before it is fetched."""
    if remote.size is not None and answer.size not in (None, remote.size):
        answer.close()
        raise Failure(
            ExitStatus.WEIGHTS,
            f"the server has {answer.size} bytes for {remote.file}, expected {remote.size}",
        )


def _whole(remote: Remote, answer: Answer, slot: Slot, reporter: Reporter) -> tuple[Path, str]:
    """Take the file in one go, from a server that knows no ranges. Raises Cut where it ends early."""
    path = slot.folder / "whole.part"
    require_space(slot.folder, answer.size or 0)
    digest, done = hashlib.sha256(), 0
    progress = reporter.progress(remote.file, answer.size, 0)
    try:
        with path.open("wb", buffering=0) as file:
            while data := answer.read(CHUNK):
                file.write(data)
                digest.update(data)
                done += len(data)
                progress.show(done)
    finally:
        progress.end()
        answer.close()
    if answer.size is not None and done < answer.size:
        raise Cut("the connection was cut")
    return path, digest.hexdigest()
