"""Weights of other tools on this machine: the Hugging Face cache, ollama's store, LM Studio's folders.

hybrid links to these files instead of copying them, and checks them like any other. The Hugging Face cache
and ollama name files by sha256; in LM Studio's folders a file is found by its name and size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.system.files import read_regular
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.integrity import look_at, sha256_of

_OLLAMA_NAME = re.compile(
    r"(?:(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*(?::\d+)?)/)?(?:(?P<space>[A-Za-z0-9_][A-Za-z0-9_.-]*)/)?"
    r"(?P<model>[A-Za-z0-9_][A-Za-z0-9_.-]*)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]*))?"
)
_OLLAMA_HOST = "registry.ollama.ai"
_MODEL_LAYER = "application/vnd.ollama.image.model"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


def find_on_disk(file: str, size: int, sha256: str, environment: Environment) -> Path | None:
    """The path of the file with that checksum in another tool's folders, or None."""
    variables = environment.variables
    for folder in _hub_caches(variables):
        for path in folder.glob(f"models--*/blobs/{sha256}"):
            if _is(path, size, sha256):
                return path
    for folder in _ollama_folders(variables):
        path = folder / "blobs" / f"sha256-{sha256}"
        if _is(path, size, sha256):
            return path
    for folder in _lm_studio_folders(variables):
        for path in folder.glob(f"*/*/{file}"):
            if _is(path, size, sha256):
                return path
    return None


def _is(path: Path, size: int, sha256: str) -> bool:
    try:
        return look_at(path).st_size == size and sha256_of(path) == sha256
    except (Failure, OSError):
        return False


def _home(variables: Mapping[str, str]) -> Path:
    return Path(variables.get("HOME") or "/nonexistent")


def _hub_caches(variables: Mapping[str, str]) -> Iterator[Path]:
    """The cache folder of huggingface_hub (HF_HUB_CACHE, HF_HOME)."""
    cache = Path(variables.get("XDG_CACHE_HOME") or _home(variables) / ".cache")
    home = Path(variables.get("HF_HOME") or cache / "huggingface")
    yield Path(variables.get("HF_HUB_CACHE") or home / "hub")


def _ollama_folders(variables: Mapping[str, str]) -> Iterator[Path]:
    """ollama's model folders: as configured, for the user, and for the system's service."""
    if configured := variables.get("OLLAMA_MODELS"):
        yield Path(configured)
    yield _home(variables) / ".ollama/models"
    yield Path("/usr/share/ollama/.ollama/models")


def _lm_studio_folders(variables: Mapping[str, str]) -> Iterator[Path]:
    yield _home(variables) / ".lmstudio/models"
    yield _home(variables) / ".cache/lm-studio/models"


def hub_file(repo: str, file: str, environment: Environment) -> Path | None:
    """The newest copy of a repository's file in the Hugging Face cache or LM Studio's folders, or None."""
    variables = environment.variables
    found: list[Path] = []
    for folder in _hub_caches(variables):
        found += folder.glob(f"models--{repo.replace('/', '--')}/snapshots/*/{file}")
    for folder in _lm_studio_folders(variables):
        found += folder.glob(f"{repo}/{file}")
    found = [path for path in found if path.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def ollama_blob(name: str, environment: Environment) -> tuple[Path, str]:
    """The file of ollama's model `name`, and its sha256.

    Raises Failure: USAGE for an invalid name, WEIGHTS if ollama does not have the model.
    """
    match = _OLLAMA_NAME.fullmatch(name)
    if match is None or ".." in name:
        raise Failure(ExitStatus.USAGE, f"`{name}` is not of the form [[HOST/]NAMESPACE/]NAME[:TAG]")
    place = [
        match["host"] or _OLLAMA_HOST,
        match["space"] or "library",
        match["model"],
        match["tag"] or "latest",
    ]
    if match["host"] and not match["space"]:  # A/B is NAMESPACE/NAME, not HOST/NAME
        place[:2] = [_OLLAMA_HOST, match["host"]]
    for folder in _ollama_folders(environment.variables):
        sha256 = _model_layer(folder.joinpath("manifests", *place))
        if sha256 is not None and (blob := folder / "blobs" / f"sha256-{sha256}").is_file():
            return blob, sha256
    raise Failure(ExitStatus.WEIGHTS, f"ollama has no {name} on this machine; run: ollama pull {name}")


def _model_layer(manifest: Path) -> str | None:
    """The sha256 of the model layer in an ollama manifest; None if the manifest cannot be read."""
    try:
        layers = json.loads(read_regular(manifest))["layers"]
        digests = [layer["digest"] for layer in layers if layer["mediaType"] == _MODEL_LAYER]
        match = _DIGEST.fullmatch(digests[0])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return match[1] if match else None
