"""Packages whose own code runs only once somebody asks them for a name.

The `openai` SDK imports some 470 modules of types at once, which takes half of its import. hybrid reads replies itself,
so it needs a few of their submodules and none of their names.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


def make_lazy(root: str) -> None:
    """Let the package `root` and the packages in it, imported from now on, run their `__init__` when it is needed."""
    sys.meta_path.insert(0, _LazyPackages(root))


class _LazyPackages(MetaPathFinder):
    """Finds packages at or below `root`, and leaves everything else to the other finders."""

    def __init__(self, root: str) -> None:
        self._root = root

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._root and not fullname.startswith(f"{self._root}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None or spec.submodule_search_locations is None:
            return None
        spec.loader = _LateLoader(spec.loader)
        return spec


class _LateLoader(Loader):
    """Runs a package's code at the first look for one of its names."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._running = threading.RLock()

    def exec_module(self, module: ModuleType) -> None:
        names = vars(module)

        def find(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            with self._running:
                if names.pop("__getattr__", None) is not None:
                    self._loader.exec_module(module)
            return getattr(module, name)

        names["__getattr__"] = find
