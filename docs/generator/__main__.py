"""Generate completions, man pages, docs/profiles.md with its schema, and docs/agents/SKILL.md.

`python docs/generator [--check]`

With --check, write nothing; name the files that are out of date and exit with 1 if there are any.
"""

from __future__ import annotations

import sys
from pathlib import Path

from files import generated_files
from hybrid_cli.app import command_tree


def main() -> int:
    """Write or check the files; return the exit code."""
    root = Path(__file__).resolve().parents[2]
    only_check = sys.argv[1:] == ["--check"]
    stale = []
    for name, text in generated_files(command_tree()).items():
        path = root / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not only_check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    for name in stale:
        sys.stderr.write(
            f"{name} {'is out of date; run: python docs/generator' if only_check else 'written'}\n"
        )
    return int(only_check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
