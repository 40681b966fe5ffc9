"""llama-cpp-python's low-level calls, without the rest of its package.

`import llama_cpp` also runs the package's model class, chat formats and disk cache. The engine does not need
them, and they take longer to import than the calls themselves (0.12 s instead of 0.04 s). So single modules
are imported below a placeholder package whose own code does not run; it is removed afterwards.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import llama_cpp as _seen_by_the_import_contracts  # noqa: F401  they cannot see the import by name below


def low_level(module: str) -> Any:
    """The module `llama_cpp.MODULE`. Raises ImportError if the package is not installed or not built."""
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
