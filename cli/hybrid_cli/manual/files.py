"""Which files are made, and of what."""

from __future__ import annotations

from typing import Any

from hybrid_cli.manual.completions import bash, fish, zsh
from hybrid_cli.manual.man import pages
from hybrid_cli.manual.reference import profiles_page
from hybrid_cli.manual.tree import read_tree


def made_files(root: Any) -> dict[str, str]:
    """Each made file's text, by its path in the checkout; `root` is the root command."""
    tree = read_tree(root)
    return {
        "completions/hybrid.bash": bash(tree),
        "completions/_hybrid": zsh(tree),
        "completions/hybrid.fish": fish(tree),
        "docs/profiles.md": profiles_page(),
        **{f"docs/man/{name}": text for name, text in pages(tree).items()},
    }
