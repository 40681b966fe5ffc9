"""The installed `hybrid` as tests start it: its variables, and what a run may say of a slow machine."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

Hybrid = Callable[..., subprocess.CompletedProcess[bytes]]


def environment(home: Path, **variables: str) -> dict[str, str]:
    """The variables of a clean shell, and `variables`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "HOME", "LANG", "TMPDIR") or name.startswith(("PIP_", "SSL_", "REQUESTS_"))
    }
    return {**kept, "HYBRID_HOME": str(home), **variables}


WAITING = re.compile(
    rb"^hybrid: (?:loading \S+|the model is reading \d+ tokens|verifying the checksum of \S+)\n", re.MULTILINE
)
"""What is told of a local step after two seconds. Whether it is depends on what else the machine does."""
