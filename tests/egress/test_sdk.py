"""How the SDK is loaded: what hybrid does not need of it stays on the disk."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from hybrid_cli.cloud.lazy_packages import make_lazy


def test_a_lazy_package_runs_when_a_name_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "late_package"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("from .inner import value\nfrom .part import other\nRUNS = 1\n")
    (package / "inner" / "__init__.py").write_text("value = 7\n")
    (package / "part.py").write_text("other = 8\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    make_lazy("late_package")
    assert importlib.import_module("late_package.part").other == 8
    whole = sys.modules["late_package"]
    assert "RUNS" not in vars(whole)
    assert (whole.RUNS, whole.value, whole.other) == (1, 7, 8)
    with pytest.raises(AttributeError, match="nothing"):
        _ = whole.nothing
    for name in [name for name in sys.modules if name.partition(".")[0] == "late_package"]:
        del sys.modules[name]


def test_the_sdk_loads_few_of_its_types_and_has_them_all() -> None:
    script = (
        "import sys\n"
        "from hybrid_cli.cloud import sdk\n"
        "openai = sdk.load()\n"
        "openai.OpenAI(api_key='none', base_url='http://127.0.0.1:9/v1')\n"
        "print(sum(name.startswith('openai.types') for name in sys.modules))\n"
        "print(openai.types.chat.ChatCompletion.__name__, openai.types.responses.Response.__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    count, names = done.stdout.splitlines()
    assert int(count) < 200
    assert names == "ChatCompletion Response"
