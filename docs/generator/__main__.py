"""Write what is made of the command tree into the checkout: `python docs/generator [--check]`.

With --check nothing is written; a file that differs is named, and the code is 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

from files import made_files
from hybrid_cli.app import command_tree


def main() -> int:
    root = Path(__file__).resolve().parents[2]
    checks = sys.argv[1:] == ["--check"]
    stale = []
    for name, text in made_files(command_tree()).items():
        path = root / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not checks:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    for name in stale:
        sys.stderr.write(f"{name} {'differs; run: python docs/generator' if checks else 'is written'}\n")
    return int(checks and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
