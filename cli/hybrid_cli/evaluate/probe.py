"""Fit of a linear probe on hidden states: one number that predicts whether an answer will be wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid_cli.evaluate.metrics import Numbers
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.gate.calibration import Probe

_RIDGE = 10.0
"""Penalty for states scaled to a length of about 1. From 3 to 30 the result hardly changes."""


def can_be_fitted(fitted: list[Row]) -> bool:
    """Whether every row has a state, all of one size."""
    sizes = {len(row.state) if row.state is not None else 0 for row in fitted}
    return len(sizes) == 1 and 0 not in sizes


def fit_probe(fitted: list[Row], label: Numbers) -> tuple[Probe, Numbers]:
    """Ridge regression of `label` on the standardised states, and each row's value by a fit without that row.

    A model that uses the probe as a signal is fitted on the second: on its own rows the probe looks better
    than on new ones. Closed form (Allen's PRESS): y - (y - Hy) / (1 - diag H) with H = X (X'X + r)^-1 X'.
    """
    states = _states(fitted)
    means, scales = states.mean(axis=0), states.std(axis=0)
    scales = np.where(scales < 1e-6, 1.0, scales) * np.sqrt(states.shape[1])
    design = (states - means) / scales
    middle = float(label.mean())
    weights, hat = _ridge(design, label - middle)
    left = np.maximum(1 - hat, 1e-9)
    alone = label - (label - middle - design @ weights) / left
    raw = weights / scales
    return Probe(raw.astype("<f4").tobytes(), middle - float(means @ raw)), alone


def values(probe: Probe, scored: list[Row]) -> Numbers:
    """The probe's value for each row; NaN for a row without a usable state. `Probe.value` for many rows."""
    weights = np.frombuffer(probe.weights, dtype="<f4").astype(float)
    found = np.full(len(scored), np.nan)
    places = [
        place
        for place, row in enumerate(scored)
        if row.state is not None and len(row.state) == 2 * len(weights)
    ]
    if places:
        with np.errstate(invalid="ignore"):  # a state with NaN has no value
            found[places] = _states([scored[place] for place in places]) @ weights + probe.bias
    return np.where(np.isfinite(found), found, np.nan)


def _ridge(design: Numbers, target: Numbers) -> tuple[Numbers, Numbers]:
    """The weights and the diagonal of the hat matrix, by the smaller of the two Gram matrices."""
    rows, width = design.shape
    if rows < width:
        inverse = np.linalg.inv(design @ design.T + _RIDGE * np.eye(rows))
        return design.T @ (inverse @ target), 1 - _RIDGE * np.diag(inverse)
    inverse = np.linalg.inv(design.T @ design + _RIDGE * np.eye(width))
    hat = np.einsum("ij,ij->i", design @ inverse, design)
    return inverse @ (design.T @ target), hat


def _states(states_of: list[Row]) -> Numbers:
    parts: list[Any] = [row.state for row in states_of]
    return np.stack([np.frombuffer(part, dtype="<f2") for part in parts]).astype(float)
