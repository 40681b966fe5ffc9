"""The work trees of version control: folders whose content others may have written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_MARKS = (".git", ".hg", ".svn", ".jj", ".bzr", "_darcs", "CVS")
"""Names in the root of a work tree."""
_SOURCE_MARKS = (
    ".gitignore", ".gitattributes", ".gitmodules", ".github", ".gitlab-ci.yml", ".hgignore", ".editorconfig",
    "pyproject.toml", "setup.py", "package.json", "Cargo.toml", "go.mod", "pom.xml", "build.gradle", "build.gradle.kts",
    "Gemfile", "composer.json", "mix.exs", "CMakeLists.txt", "meson.build", "configure.ac", "Makefile", "Dockerfile",
)  # fmt: skip
"""Names in the root of sources without version control: an unpacked archive, or a copy in a container."""
_SETTINGS = (".config", ".local", ".local/share", ".local/state", ".cache")
"""Folders of the home folder whose files are the user's own, also such as `.gitignore`."""
_CHECKOUTS = (
    "GITHUB_WORKSPACE", "CI_PROJECT_DIR", "BITBUCKET_CLONE_DIR", "BUILD_SOURCESDIRECTORY", "BUILDKITE_BUILD_CHECKOUT_PATH",
    "CIRCLE_WORKING_DIRECTORY", "DRONE_WORKSPACE", "TRAVIS_BUILD_DIR", "WORKSPACE",
)  # fmt: skip
"""Variables in which CI runners name the checkout."""


def work_tree_of(path: Path, variables: Mapping[str, str]) -> Path | None:
    """The root of a work tree that contains `path`, also through links; None if there is none.

    The home folder, and folders above it, do not count: people keep their own settings in a repository there.
    Sources without version control count, too, if they have a usual file such as `pyproject.toml`.
    """
    home = variables.get("HOME") or ""
    own = {Path(home), *Path(home).parents, Path(os.path.realpath(home))} if home else {Path("/")}
    settings = {Path(base) / name for base in (home, os.path.realpath(home)) for name in _SETTINGS}
    checkouts = {os.path.realpath(variables[name]) for name in _CHECKOUTS if variables.get(name)}
    for start in dict.fromkeys((path, Path(os.path.realpath(path)))):
        for folder in (start, *start.parents):
            if folder in own:
                break
            marks = _MARKS if folder in settings else _MARKS + _SOURCE_MARKS
            place = str(
                folder
            )  # every command looks for hundreds of names, and a Path takes longer than the look
            if place in checkouts or any(os.path.lexists(f"{place}/{mark}") for mark in marks):
                return folder
    return None


def target_outside_tree(path: Path, variables: Mapping[str, str]) -> Path | None:
    """The file that `path` leads to through a link in a work tree, if it is outside of the tree; None otherwise.

    Whoever wrote the tree may have chosen that file. Links that are in no work tree are the user's own.
    """
    target = Path(os.path.realpath(path))
    path = path.absolute()
    for place in (path, *path.parents):
        if place.is_symlink():
            tree = work_tree_of(Path(os.path.realpath(place.parent)), variables)
            if tree is not None and not target.is_relative_to(os.path.realpath(tree)):
                return target
    return None
