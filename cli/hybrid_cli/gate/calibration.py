"""Calibrations: one model's fitted score, and for each promise the threshold that keeps it.

A calibration is valid only for the weights it was made with, and its promises about the cloud's quality only for that
cloud. The chat template is part of the weights' file, and so of their checksum. The user's calibrations are JSON files
in the config folder; others ship with the package.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from hybrid_cli.gate.cloud_score import CloudScore
from hybrid_cli.gate.features import CHECKPOINTS, VERSION
from hybrid_cli.gate.local_score import FORMS, LocalScore
from hybrid_cli.gate.prompt_kinds import prompt_kinds
from hybrid_cli.system import files
from hybrid_cli.ui.environment import Environment

SHIPPED = Path(__file__).with_name("calibrations")
_NUMBERS_OF_AGREEING = 3
"""None, one or both of two samples."""
_MARGIN = 1e-9

TargetName = Literal["escalate_at_most", "wrong_at_most", "quality_at_least"]
_STRICTER = {"escalate_at_most": -1, "wrong_at_most": -1, "quality_at_least": 1}
"""The direction in which a promise gets stricter."""


class Promise(msgspec.Struct, frozen=True, omit_defaults=True):
    """One target of a profile, and the threshold that keeps it."""

    target: TargetName
    value: float
    keep_to: float | None
    """The highest score of a kept answer; None if no threshold keeps the promise."""
    handed_off: float = 1.0
    """The share of the questions that is handed off."""
    wrong: float | None = None
    """The share of wrong answers among the kept ones."""
    early: list[float | None] = []
    """For each of `features.CHECKPOINTS` the mean log-probability below which an answer is given up; None to
    go on."""

    def __post_init__(self) -> None:
        if len(self.early) not in (0, len(CHECKPOINTS)):
            raise ValueError("its checkpoints differ from this version's")
        if self.keep_to is not None and not 0 <= self.keep_to <= 1:
            raise ValueError("its threshold is no probability")


class Calibration(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of one model's answers."""

    model: str
    """Its name, for people."""
    weights: str
    """sha256 of the model file."""
    size: int
    """Bytes of the weights."""
    rows: int
    """Labelled questions behind it."""
    score: LocalScore
    promises: list[Promise]
    delta: float | None = None
    """The probability that `wrong_at_most` is broken, over the draw of the questions; None if it holds on average."""
    cloud: str | None = None
    """The cloud model whose outcomes were known, if any."""
    cloud_score: CloudScore | None = None
    """Given, the promises but `wrong_at_most` are about the expected gain of a handoff."""
    shifts: list[float] = []
    """What none, one, ... all samples that agree add to the log odds of "wrong", for `escalation.samples`; may be empty."""
    version: int = VERSION

    def __post_init__(self) -> None:
        kinds = len(prompt_kinds().kinds)
        if set(self.score.forms) != set(FORMS):
            raise ValueError("it lacks a form of answers")
        if any(len(form.wrong) != kinds or form.deviation <= 0 for form in self.score.forms.values()):
            raise ValueError("its score cannot be read")
        if len(self.shifts) not in (0, _NUMBERS_OF_AGREEING):
            raise ValueError("its samples cannot be read")

    def promise(self, target: str, value: float) -> Promise | None:
        """Return the promise for `target`: that of `value`, or the next stricter one; None if there is none."""
        sign = _STRICTER[target]
        kept = [
            one for one in self.promises if one.target == target and (one.value - value) * sign >= -_MARGIN
        ]
        return min(kept, key=lambda one: abs(one.value - value), default=None)

    def misfit(self, target: str, cloud: str | None) -> str | None:
        """Return why the promises for `target` do not hold with this cloud, for a message; None if they do."""
        if target != "quality_at_least" or self.cloud == cloud:
            return None
        return (
            f"it counts on the cloud {self.cloud}"
            if self.cloud is not None
            else "it knows no cloud's answers"
        )


def find(weights: str, environment: Environment) -> Calibration | None:
    """Return the user's calibration for these weights, or the shipped one; None if there is none."""
    return next((one for one in _stored(environment) if one.weights == weights), None)


def shipped() -> list[Calibration]:
    """Return the calibrations that ship with hybrid, the smallest model's first."""
    found = [msgspec.json.decode(path.read_bytes(), type=Calibration) for path in SHIPPED.glob("*.json")]
    return sorted(found, key=lambda one: one.size)


def store(calibration: Calibration, environment: Environment) -> Path:
    """Store `calibration` in the config folder, replacing one for the same weights; return its file."""
    folder = _own(environment)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{calibration.weights[:12]}.json"
    with files.replacing(path, files.DEFAULT_MODE) as file:
        file.write(as_text(calibration))
    return path


def as_text(calibration: Calibration) -> bytes:
    """Return the file of a calibration."""
    return json.dumps(json.loads(msgspec.json.encode(calibration)), indent=1).encode() + b"\n"


def _own(environment: Environment) -> Path:
    return environment.config_folder / "calibrations"


def _stored(environment: Environment) -> Iterator[Calibration]:
    for folder in (_own(environment), SHIPPED):
        for path in sorted(folder.glob("*.json")):
            try:
                calibration = msgspec.json.decode(files.read_regular(path), type=Calibration)
            except (msgspec.DecodeError, UnicodeDecodeError, OSError):
                environment.note(f"{path} is not a valid calibration; ignored")
                continue
            if calibration.version == VERSION:
                yield calibration
