"""The models known by name: the package's `catalog.yaml`, and the user's `models.yaml`, which wins."""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.clouds import is_cloud_model
from hybrid_cli.profile.mistakes import mistakes_of
from hybrid_cli.profile.section import if_wrong
from hybrid_cli.profile.strict_yaml import parse_strict, read_settings
from hybrid_cli.system.files import is_there
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.suggest import nearest
from hybrid_cli.weights.names import check_name, is_name

RECOMMENDED = "qwen2.5-coder-1.5b"
"""What `hybrid pull` takes where it fits."""
SMALL = "smollm2-135m"
"""What it takes elsewhere: this model runs on any machine."""
USER_CATALOG = "models.yaml"
_SHIPPED = Path(__file__).with_name("catalog.yaml")

Sha256 = Annotated[
    str, Meta(pattern="^[0-9a-f]{64}$"), if_wrong("must be a sha256: 64 hexadecimal digits in lower case")
]


class CatalogFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a model. `name` is its name at the source, `size` its bytes."""

    name: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.gguf$", max_length=200),
        if_wrong("must be a file's name that ends in .gguf, without a folder"),
    ]
    size: Annotated[int, Meta(gt=0)]
    sha256: Sha256


class CatalogModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model. `files` has one file, or the shards of a split model in order."""

    files: Annotated[list[CatalogFile], Meta(min_length=1, max_length=999)]
    sources: Annotated[list[str | Annotated[list[str], Meta(min_length=2)]], Meta(min_length=1)]
    """Tried in this order; `{file}` stands for a file's name. A list has the file in parts, in order."""
    licence: str
    projector: CatalogFile | None = None
    """The file that lets the model read images (mmproj), from the same sources."""
    summary: str = ""
    """What the model is good for, in a few words."""
    good_for: Literal["general", "code", "reasoning"] = "general"
    context: Annotated[int, Meta(gt=0)] | None = None
    """Tokens of the context window that the model was trained with."""
    memory: Annotated[float, Meta(gt=0)] | None = None
    """GB of memory that a machine needs to run the model."""
    reads: Annotated[float, Meta(gt=0)] | None = None
    """GB of weights read for each token, if not all of them are: in a mixture of experts."""
    draft: str | None = None
    """A smaller model of the same vocabulary, for `local.draft: auto`."""
    quirks: list[str] = []
    """Unusual properties of the chat template or the answers."""
    caution: str = ""
    """A doubt about this entry, which `hybrid pull` prints."""

    @property
    def every_file(self) -> list[CatalogFile]:
        """The model's files and its projector."""
        return [*self.files, *([] if self.projector is None else [self.projector])]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.every_file)

    @property
    def bytes_per_token(self) -> float:
        """Bytes of weights that are read for each token."""
        return self.size if self.reads is None else self.reads * 1e9


def catalog(environment: Environment) -> dict[str, CatalogModel]:
    """All models by name, from small to large, then the user's own, which replace others of that name.

    Raises Failure (USAGE) if the user's file is invalid.
    """
    own = environment.config_folder / USER_CATALOG
    entries = shipped_catalog()
    return {**entries, **_entries(read_settings(own, "your catalog"), own)} if is_there(own) else entries


def catalog_entry(name: str, environment: Environment) -> CatalogModel | None:
    """The model of that name; None if there is none. Raises Failure (USAGE) if the user's file is invalid.

    Every run looks its model up. Of the package's catalog only the model's own lines are parsed, which takes a tenth of
    the time of the whole.
    """
    if is_there(environment.config_folder / USER_CATALOG):
        return catalog(environment).get(name)
    if not is_name(name):
        return None
    lines = re.search(rb"^%s:\n(?:[ #].*\n)+" % re.escape(name.encode()), _SHIPPED.read_bytes(), re.MULTILINE)
    return None if lines is None else _entries(lines[0], _SHIPPED)[name]


def shipped_catalog() -> dict[str, CatalogModel]:
    """The models of the package's own catalog, by name."""
    return _entries(_SHIPPED.read_bytes(), _SHIPPED)


def _entries(content: bytes, path: Path) -> dict[str, CatalogModel]:
    """The models in the `content` of the catalog at `path`. Raises Failure (USAGE) for its first mistake."""
    document = parse_strict(content)
    for line, message in sorted(document.mistakes.items()):
        raise _mistake(path, line, message)
    if document.data is not None and not isinstance(document.data, dict):
        raise _mistake(path, 1, "the file must map names to models")
    entries = {}
    for name, data in (document.data or {}).items():
        try:
            check_name(name)
        except Failure as failure:
            raise _mistake(path, document.lines[name,], f"{name}: {failure}") from None
        mistake = next(mistakes_of(deepcopy(data), CatalogModel, document, (name,)), None)
        if mistake is not None:
            raise _mistake(path, *mistake)
        entries[name] = msgspec.convert(data, CatalogModel)
    return entries


def _mistake(path: Path, line: int, message: str) -> Failure:
    return Failure(ExitStatus.USAGE, f"your catalog {path}:{line}: {message}")


def unknown_model(name: str, stored: list[str], environment: Environment) -> Failure:
    """The failure for a name that is neither stored nor in the catalog; it suggests the nearest name."""
    if is_cloud_model(name):
        return Failure(
            ExitStatus.USAGE, f"`{name}` is a cloud model; to choose the cloud's model: --cloud-model {name}"
        )
    known = [one for one in dict.fromkeys([*stored, *catalog(environment)]) if one != name]
    close = nearest(name, known)
    hint = f"did you mean `{close}`?" if close else "to list all models, run: hybrid models ls --all"
    return Failure(ExitStatus.USAGE, f"no model `{name}`; {hint}")


def other_than_catalog(name: str, what: str) -> Failure:
    """The failure for other files than the catalog's under a name of the catalog. `what` is the model."""
    return Failure(
        ExitStatus.WEIGHTS,
        f"{what} is not the catalog's {name}: its sha256 differs; run: hybrid pull {name},"
        " or store the other model under another name with --name",
    )
