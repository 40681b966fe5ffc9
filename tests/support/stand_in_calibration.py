"""A calibration under which the small model keeps some answers, as a larger one does.

The suite does not download a model of 1.1 GB, and the small one keeps nothing under the default promise.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from hybrid_cli.gate.calibration import SHIPPED, Calibration, Promise, as_text


def store_stand_in(home: Path, keep_to: float = 0.8) -> None:
    """Store it in `home`: answers whose probability of being wrong is at most `keep_to` are kept."""
    shipped = msgspec.json.decode((SHIPPED / "smollm2-135m.json").read_bytes(), type=Calibration)
    promises = [Promise("wrong_at_most", each / 100, keep_to, 0.5) for each in (10, 20, 35)]
    folder = home / "config" / "calibrations"
    folder.mkdir(parents=True, exist_ok=True)
    calibration = msgspec.structs.replace(shipped, promises=promises)
    (folder / "stand-in.json").write_bytes(as_text(calibration))
