"""Calibrations: what was fitted to one model's signals, so that a target becomes a threshold.

A calibration holds for exactly the weights, signals and cloud that it was made with; with any other it is
not used. The chat template is part of the weights' file, and so of their checksum. Files are JSON in the config folder, or ship with the package for its own models.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from hybrid_cli import files
from hybrid_cli.gate.features import CHECKPOINTS, NAMES, VERSION, Signals
from hybrid_cli.ui.environment import Environment

_SHIPPED = Path(__file__).with_name("calibrations")
_MARGIN = 1e-9
PROBE = "probe"
"""The signal that is read from the hidden state."""


Objective = Literal["wrong", "helps"]
"""What the score is the chance of: that the local answer is wrong, or that it is and the cloud's is right."""


class Probe(msgspec.Struct, frozen=True):
    """One more signal: a linear reading of the model's hidden state at the prompt's last token."""

    weights: bytes
    """A little-endian float32 for each value of the state."""
    bias: float

    def value(self, state: bytes | None) -> float | None:
        """None for no state, and for one of another size or with a value that is no finite number."""
        count = len(self.weights) // 4
        if state is None or len(state) != 2 * count:
            return None
        pairs = zip(
            struct.unpack(f"<{count}f", self.weights), struct.unpack(f"<{count}e", state), strict=True
        )
        value = self.bias + sum(weight * part for weight, part in pairs)
        return value if math.isfinite(value) else None


class Model(msgspec.Struct, frozen=True):
    """The score: a chance, as a logistic function of standardised signals."""

    signals: list[str]
    means: list[float]
    scales: list[float]
    weights: list[float]
    bias: float
    probe: Probe | None = None
    """What makes the signal `PROBE`, where that is one of the signals."""

    def __post_init__(self) -> None:
        columns = (self.means, self.scales, self.weights)
        if not self.signals or any(len(column) != len(self.signals) for column in columns):
            raise ValueError("it lacks signals")
        if not set(self.signals) <= {*NAMES, PROBE} or 0.0 in self.scales:
            raise ValueError("its signals cannot be read")

    def complete(self, signals: Signals, state: bytes | None) -> Signals:
        """`signals`, and what the probe reads from `state`."""
        return signals if self.probe is None else {**signals, PROBE: self.probe.value(state)}

    def chance(self, signals: Signals) -> float | None:
        """The probability of what was fitted, 0 to 1; None where a signal is missing."""
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
    """One fitted target. A prompt is handed off where its score is above `keep_to`."""

    weights: str
    """sha256 of the model file."""
    target: str
    """As in a profile: escalate_at_most, quality_at_least or wrong_at_most."""
    value: float
    keep_to: float
    model: Model
    objective: Objective
    cloud: str | None
    """The cloud model whose outcomes the target counts on; None where it counts on none."""
    rows: int
    """Labelled rows that the threshold rests on."""
    delta: float | None = None
    """The chance that the promise is broken, over the draw of the rows; None where it holds on average."""
    early: list[float | None] = []
    """At each of `signals.CHECKPOINTS` the mean log-probability below which an answer need not be finished;
    None where that cannot be told early."""
    handed_off: float | None = None
    """The share of the rows that it hands off; None in one that was made before this was kept."""
    version: int = VERSION

    def __post_init__(self) -> None:
        if len(self.early) not in (0, len(CHECKPOINTS)):
            raise ValueError("its checkpoints are others")

    def misfit(self, weights: str, cloud: str | None) -> str | None:
        """None where it may be used with these, or what differs, in words."""
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
    """The user's calibration for `target`, or the shipped one; or None, and why there is none."""
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
    """Keep `calibration` among the user's own, in place of one for the same; its file."""
    folder = _own(environment)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{calibration.weights[:12]}-{calibration.target}-{calibration.value:g}"
    path = folder / f"{name}.json"
    with files.replacing(path, files.SHARED) as file:
        file.write(msgspec.json.format(msgspec.json.encode(calibration)))
    return path


def _own(environment: Environment) -> Path:
    return environment.config_folder / "calibrations"


def _stored(environment: Environment) -> Iterator[Calibration]:
    for folder in (_own(environment), _SHIPPED):
        for path in sorted(folder.glob("*.json")):
            try:
                if not path.is_file():  # a pipe would be waited for
                    raise OSError
                yield msgspec.json.decode(path.read_bytes(), type=Calibration)
            except (msgspec.DecodeError, OSError):
                environment.note(f"{path} is no calibration; it is not used")
