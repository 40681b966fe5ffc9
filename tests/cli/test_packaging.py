"""The wheel: exactly these files, and profiles found from every kind of install."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROFILES = "ci cloud default frugal gpt-oss offline private quality r1 research"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", folder, ROOT], check=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_package_the_profiles_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = next(name for name in archive.namelist() if name.endswith("METADATA"))
        assert "License-Expression: Apache-2.0" in archive.read(metadata).decode()
    source = ROOT / "cli" / "hybrid_cli"
    held = [*source.rglob("*.py"), *source.glob("gate/**/*.json")]
    expected = {f"hybrid_cli/{path.relative_to(source)}" for path in held}
    expected |= {f"hybrid_cli/profiles/{name}.yaml" for name in PROFILES.split()}
    expected |= {"hybrid_cli/profiles/profile.schema.json"}
    shared = {name.split("/data/share/")[1] for name in names if ".data/data/share/" in name}
    assert shared == {
        "bash-completion/completions/hybrid",
        "zsh/site-functions/_hybrid",
        "fish/vendor_completions.d/hybrid.fish",
        *(f"man/man1/{path.name}" for path in (ROOT / "docs" / "man").iterdir()),
    }
    names = {name for name in names if ".data/" not in name}
    assert names == expected | {"hybrid_cli/weights/catalog.yaml"}


def test_profiles_are_found_in_the_wheel_an_editable_install_and_a_checkout(
    wheel: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = "from hybrid_cli.profile.loader import shipped_folder as f; print(f()); print(*sorted(p.stem for p in f().glob('*.yaml')))"
    found = {}
    for kind, path in (("wheel", tmp_path / "site"), ("checkout", ROOT / "cli")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": str(path)},
            capture_output=True,
            text=True,
            check=True,
        )
        folder, names = done.stdout.splitlines()
        assert names == PROFILES
        found[kind] = Path(folder)
    assert found == {"wheel": tmp_path / "site/hybrid_cli/profiles", "checkout": ROOT / "profiles"}
