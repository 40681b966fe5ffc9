"""The environment of the user's commands: a list of variables that they may see, as any other may hold a secret."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_ALLOWED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|PWD|TERM|COLORTERM|COLUMNS|LINES|NO_COLOR|FORCE_COLOR|CI|TZ|LANG|LANGUAGE|LC_[A-Z]+"
    r"|TMPDIR|TEMP|TMP|XDG_(?:CONFIG|DATA|CACHE|STATE)_(?:HOME|DIRS)|XDG_RUNTIME_DIR|DISPLAY|WAYLAND_DISPLAY"
    r"|LD_LIBRARY_PATH|DYLD_(?:FALLBACK_)?LIBRARY_PATH|SSL_CERT_(?:FILE|DIR)|REQUESTS_CA_BUNDLE"
    r"|VIRTUAL_ENV|CONDA_(?:PREFIX|DEFAULT_ENV)|PYTHON(?:PATH|HOME|UTF8|HASHSEED|DONTWRITEBYTECODE|UNBUFFERED|WARNINGS)"
    r"|UV_(?:CACHE|PROJECT)\w*|PYENV_ROOT|NODE_PATH|NVM_DIR|JAVA_HOME|GOPATH|GOROOT|GOCACHE|CARGO_HOME|RUSTUP_HOME|GEM_HOME"
    r"|GEM_PATH|RBENV_ROOT|PERL5LIB|COVERAGE_\w+|HYBRID_HOME|OMP_NUM_THREADS"
)
"""Names of folders, of the locale, of the terminal, and of where languages find their libraries."""


def for_command(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables for a command of the user that reads answers or prompts, such as `--verify`.

    PATH keeps its absolute folders only, and Python does not import from the working folder: it may be a
    repository with a module of any name.
    """
    return with_safe_paths({name: value for name, value in variables.items() if _ALLOWED.fullmatch(name)})


def for_git(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables for Git in a folder that anybody may have written: it fetches nothing.

    Otherwise it fetches objects that are missing in a partial clone, by a command that the repository's settings
    name. Git before 2.44 knows only the second variable.
    """
    return {**for_command(variables), "LC_ALL": "C", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": ""}


def with_safe_paths(variables: Mapping[str, str]) -> dict[str, str]:
    """`variables` for a command that must run no program and no Python module of the working folder."""
    kept = {**variables, "PYTHONSAFEPATH": "1"}
    if "PATH" in kept:
        kept["PATH"] = os.pathsep.join(
            folder
            for folder in kept["PATH"].split(os.pathsep)
            if os.path.isabs(folder)  # noqa: PTH117
        )
    return kept
