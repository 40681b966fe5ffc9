"""Calibrations: a score fitted to one model's signals, and the threshold that keeps a target.

A calibration is valid only for the weights, signals and cloud model it was made with. The chat template is part
of the weights' file, and so of their checksum. The user's calibrations are JSON files in the config folder;
others ship with the package.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from hybrid_cli.gate.features import CHECKPOINTS, NAMES, VERSION, Signals
from hybrid_cli.system import files
from hybrid_cli.ui.environment import Environment

_SHIPPED = Path(__file__).with_name("calibrations")
_MARGIN = 1e-9
PROBE = "probe"
"""The signal computed from the hidden state."""


Objective = Literal["wrong", "helps"]
"""The event whose probability the score is: local answer wrong, or local wrong and cloud right."""


class Probe(msgspec.Struct, frozen=True):
    """A linear probe of the model's hidden state at the prompt's last token: one more signal."""

    weights: bytes
    """One little-endian float32 for each value of the state."""
    bias: float

    def value(self, state: bytes | None) -> float | None:
        """Return the signal; None without a state, for a state of another size, or for a result that is not finite."""
        count = len(self.weights) // 4
        if state is None or len(state) != 2 * count:
            return None
        pairs = zip(
            struct.unpack(f"<{count}f", self.weights), struct.unpack(f"<{count}e", state), strict=True
        )
        value = self.bias + sum(weight * part for weight, part in pairs)
        return value if math.isfinite(value) else None


class LogisticModel(msgspec.Struct, frozen=True):
    """A probability: the logistic function of a weighted sum of standardised signals."""

    signals: list[str]
    means: list[float]
    scales: list[float]
    weights: list[float]
    bias: float
    probe: Probe | None = None
    """Computes the signal `PROBE`, if that is one of the signals."""

    def __post_init__(self) -> None:
        columns = (self.means, self.scales, self.weights)
        if not self.signals or any(len(column) != len(self.signals) for column in columns):
            raise ValueError("it lacks signals")
        if not set(self.signals) <= {*NAMES, PROBE} or 0.0 in self.scales:
            raise ValueError("its signals cannot be read")

    def complete(self, signals: Signals, state: bytes | None) -> Signals:
        """Return `signals`, with the probe's if there is one."""
        return signals if self.probe is None else {**signals, PROBE: self.probe.value(state)}

    def probability(self, signals: Signals) -> float | None:
        """Return the probability of the fitted event, 0 to 1; None if a signal is missing."""
        logit = self.bias
        for name, mean, scale, weight in zip(
            self.signals, self.means, self.scales, self.weights, strict=True
        ):
            value = signals.get(name)
            if value is None:
                return None
            logit += weight * (value - mean) / scale
        return 1 / (1 + math.exp(-max(-700.0, min(700.0, logit))))


class Calibration(msgspec.Struct, frozen=True):
    """One fitted target. A prompt is handed off if its score is above `keep_to`."""

    weights: str
    """sha256 of the model file."""
    target: str
    """A profile's target: escalate_at_most, quality_at_least or wrong_at_most."""
    value: float
    keep_to: float
    model: LogisticModel
    objective: Objective
    cloud: str | None
    """The cloud model whose outcomes the target depends on, if any."""
    rows: int
    """Labelled rows behind the threshold."""
    delta: float | None = None
    """The probability that the promise is broken, over the draw of the rows; None if it holds on average."""
    early: list[float | None] = []
    """For each of `features.CHECKPOINTS` the mean log-probability below which an answer is given up; None to
    go on."""
    handed_off: float | None = None
    """The share of the rows that is handed off; None in files of older versions."""
    version: int = VERSION

    def __post_init__(self) -> None:
        if len(self.early) not in (0, len(CHECKPOINTS)):
            raise ValueError("its checkpoints differ from this version's")

    def misfit(self, weights: str, cloud: str | None) -> str | None:
        """Return why the calibration cannot be used with these weights and cloud, for a message; None if it can."""
        if self.version != VERSION:
            return "it was made by another version of the signals"
        if self.weights != weights:
            return "it was made for other weights"
        if self.cloud is not None and self.cloud != cloud:
            return f"it counts on the cloud {self.cloud}"
        return None


def find(
    target: str, value: float, weights: str, cloud: str | None, environment: Environment
) -> tuple[Calibration | None, str]:
    """Return the user's calibration for `target`, or the shipped one; or None, and why there is none."""
    reason = "there is none"
    for calibration in _stored(environment):
        if calibration.target != target or abs(calibration.value - value) > _MARGIN:
            continue
        misfit = calibration.misfit(weights, cloud)
        if misfit is None:
            return calibration, ""
        reason = misfit
    return None, reason


def store(calibration: Calibration, environment: Environment) -> Path:
    """Store `calibration` in the config folder, replacing one for the same target; return its file."""
    folder = _own(environment)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{calibration.weights[:12]}-{calibration.target}-{calibration.value:g}"
    path = folder / f"{name}.json"
    with files.replacing(path, files.DEFAULT_MODE) as file:
        file.write(msgspec.json.format(msgspec.json.encode(calibration)))
    return path


def _own(environment: Environment) -> Path:
    return environment.config_folder / "calibrations"


def _stored(environment: Environment) -> Iterator[Calibration]:
    for folder in (_own(environment), _SHIPPED):
        for path in sorted(folder.glob("*.json")):
            try:
                if not path.is_file():  # reading a pipe would block
                    raise OSError
                yield msgspec.json.decode(path.read_bytes(), type=Calibration)
            except (msgspec.DecodeError, OSError):
                environment.note(f"{path} is not a valid calibration; ignored")
