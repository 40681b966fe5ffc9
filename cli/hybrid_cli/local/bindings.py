"""llama-cpp-python's low-level calls, without the rest of its package.

`import llama_cpp` also runs the package's own model class, chat formats and disk cache, which the
engine has no use for and which cost more time than the calls themselves (0.12 s against 0.04 s). So
its modules are imported under a package whose own code has not run, and which is then forgotten again.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import llama_cpp as _seen_by_the_import_contracts  # noqa: F401  the import by name below is not


def low_level(module: str) -> Any:
    """The module `llama_cpp.MODULE`. Raises ImportError where the package is not installed or not built."""
    name = f"llama_cpp.{module}"
    if "llama_cpp" in sys.modules:
        return importlib.import_module(name)
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None:
        raise ImportError("llama_cpp is not installed")
    sys.modules["llama_cpp"] = importlib.util.module_from_spec(spec)
    try:
        return importlib.import_module(name)
    finally:
        del sys.modules["llama_cpp"]


llama_cpp = low_level("llama_cpp")
