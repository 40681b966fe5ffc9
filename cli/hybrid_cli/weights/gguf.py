"""Telling a model's path from its name, and a look at a GGUF's first bytes before it is stored or loaded."""

from __future__ import annotations

import stat
import struct
from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure

# magic, version, tensor count, metadata count: the fixed head of a GGUF file (ggml's docs/gguf.md)
_HEAD = struct.Struct("<4sIQQ")
_VERSIONS = (2, 3)
_LEAST_TENSOR_BYTES = 24  # of a tensor's description
_LEAST_PAIR_BYTES = 13  # of a metadata pair


def path_of(model: str) -> Path | None:
    """The path that `model` is, or None where it is a name."""
    if "/" not in model and not model.lower().endswith(".gguf"):
        return None
    try:
        return Path(model).expanduser()
    except RuntimeError:  # there is no such user: a tilde like any other letter
        return Path(model)


def check_gguf(path: Path) -> None:
    """Raise Failure (WEIGHTS) unless the file at `path` starts as a GGUF that can be true."""
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):  # to open a named pipe would wait for its writer
            raise Failure(ExitStatus.WEIGHTS, f"{path} is not a file")
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
    except OSError as error:
        raise Failure(
            ExitStatus.WEIGHTS, f"the model file {path} cannot be read: {error.strerror}"
        ) from error
    if len(head) < _HEAD.size or not head.startswith(b"GGUF"):
        raise Failure(ExitStatus.WEIGHTS, f"{path} is not a GGUF model file")
    _magic, version, tensors, pairs = _HEAD.unpack(head)
    if version not in _VERSIONS:
        raise Failure(ExitStatus.WEIGHTS, f"{path} is a GGUF of version {version} that this tool cannot read")
    if tensors * _LEAST_TENSOR_BYTES + pairs * _LEAST_PAIR_BYTES > info.st_size:
        raise Failure(ExitStatus.WEIGHTS, f"{path} is damaged: its header announces more than the file holds")
