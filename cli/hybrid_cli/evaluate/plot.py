"""The plot of an evaluation: accuracy against the share handed off."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from hybrid_cli.evaluate import rows
from hybrid_cli.evaluate.metrics import Curve, Numbers
from hybrid_cli.evaluate.report import baselines
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.exit_status import ExitStatus, Failure

_FORMATS = (".svg", ".png", ".pdf")


def check(file: Path) -> None:
    """Raise Failure (USAGE) if the plot cannot be written to `file`."""
    if file.suffix not in _FORMATS:
        raise Failure(ExitStatus.USAGE, f"--plot {file}: unknown format; use {', '.join(_FORMATS)}")
    if not file.parent.is_dir():
        raise Failure(ExitStatus.USAGE, f"--plot {file}: no such folder: {file.parent}")
    if find_spec("matplotlib") is None:
        raise Failure(ExitStatus.USAGE, "--plot needs matplotlib; run: pip install 'hybrid-cli[plot]'")


def draw(file: Path, score: Numbers, measured: list[Row], model: str) -> None:
    """Draw the gate, the baselines and the oracle. Raises Failure if a row lacks the cloud's outcome."""
    from matplotlib.figure import Figure

    local, cloud = rows.right(measured), rows.cloud_right(measured)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    shares = np.linspace(0, 1, 101)
    axes.plot([0, 1], [local.mean(), cloud.mean()], color="0.6", linestyle=":", label="random")
    drawn = [("this gate", score)]
    drawn += [pair for pair in baselines(measured, local, cloud) if pair[0] != "random"]
    for name, values in drawn:
        curve = Curve.of(values, local, cloud)
        accuracy = [curve.accuracy(share) for share in shares]
        axes.plot(shares, accuracy, label=name.replace("_", " "), linewidth=2.5 if values is score else 1.2)
    axes.set(
        xlabel="share handed off",
        ylabel="accuracy",
        xlim=(0, 1),
        title=f"{Path(model).name}, {len(measured)} questions",
    )
    axes.grid(alpha=0.3)
    axes.legend()
    try:
        figure.savefig(file)
    except OSError as error:
        raise Failure(ExitStatus.USAGE, f"cannot write --plot {file}: {error.strerror}") from error
