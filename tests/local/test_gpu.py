"""Layers on a GPU: how many, what happens if they do not fit, and what `doctor` says. No GPU is here.

So GPUs and a loader that runs out of their memory stand in; the list of devices and the way without a GPU are real.
"""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_cli.cascade import session
from hybrid_cli.cascade.local_run import report_loaded
from hybrid_cli.doctor import gpu_findings
from hybrid_cli.doctor.gpu_findings import gpu_finding
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.local import loading, warm
from hybrid_cli.local.bindings import llama_cpp
from hybrid_cli.local.devices import Device, Layers, attempts, backends, devices, layers_that_fit
from hybrid_cli.local.loading import Loader, Offload
from hybrid_cli.local.protocol import Described, GpuState, Loaded
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Weights
from hybrid_process import Hybrid

GB = 1 << 30
SEVEN_B = Layers(blocks=32, weights=4 * GB, cache=GB // 2)


def gpu(free: int, kind: str = "GPU") -> Device:
    return Device("CUDA0", "a card", kind, "CUDA", free, 24 * GB)


def test_the_layers_that_fit() -> None:
    assert layers_that_fit(SEVEN_B, [gpu(24 * GB)]) == 33  # the output is one more
    assert layers_that_fit(SEVEN_B, [gpu(5 * GB)]) == 33
    assert layers_that_fit(SEVEN_B, [gpu(3 * GB)]) == 18
    assert layers_that_fit(SEVEN_B, [gpu(GB // 2)]) == 0
    assert layers_that_fit(SEVEN_B, [gpu(3 * GB), gpu(3 * GB)]) == 33
    assert layers_that_fit(SEVEN_B, []) == 0


@given(
    st.builds(Layers, st.integers(1, 200), st.integers(0, 1 << 40), st.integers(0, 1 << 40)),
    st.lists(st.builds(gpu, st.integers(0, 1 << 40)), max_size=4),
)
def test_what_is_put_on_a_gpu_fits_there(layers: Layers, gpus: list[Device]) -> None:
    found = layers_that_fit(layers, gpus)
    assert 0 <= found <= layers.blocks + 1
    assert found * (layers.weights + layers.cache) <= sum(one.free for one in gpus) * (
        layers.blocks + 1
    ) or not (layers.weights + layers.cache)


@given(st.integers(0, 10_000))
def test_each_attempt_has_fewer_layers_and_the_last_none(first: int) -> None:
    tried = attempts(first)
    assert (tried[0], tried[-1]) == (first, 0)
    assert sorted(set(tried), reverse=True) == tried


def test_the_list_of_devices_is_llama_cpps() -> None:
    found = devices()
    assert [one.kind for one in found if one.backend == "CPU"] == ["CPU"]
    assert {one.backend for one in found} <= set(backends())
    assert all(one.name and one.total > 0 for one in found)
    assert bool(llama_cpp.llama_supports_gpu_offload()) or not any(one.is_gpu for one in found)


@pytest.fixture
def small_gpu(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A GPU whose list entry promises more memory than it has: it holds 8 layers. Returns what was tried."""
    tried: list[int] = []
    load = loading._call

    def call(path: str, only_mapped: bool, gpu_layers: int) -> Any:
        tried.append(gpu_layers)
        if gpu_layers > 8:
            llama_cpp_error(b"cudaMalloc failed: out of memory")
            return None
        return load(path, only_mapped, 0)

    def llama_cpp_error(text: bytes) -> None:
        current._keep_error(4, text, None)

    current = Loader()
    monkeypatch.setattr(loading, "_call", call)
    monkeypatch.setattr(loading, "devices", lambda: [gpu(24 * GB)])
    monkeypatch.setattr(llama_cpp, "llama_supports_gpu_offload", lambda: True)
    monkeypatch.setattr(loading, "Loader", lambda: current)
    return tried


def test_a_load_that_fails_for_memory_is_tried_with_fewer_layers(
    small_gpu: list[int], model_file: Path
) -> None:
    loader = loading.Loader()
    loader.load(str(model_file))
    assert loader.gpu == Offload(layers=7, tried=31, has_gpu=True)  # SmolLM2 has 30 layers, and the output
    assert sorted(set(small_gpu), reverse=True) == [31, 15, 7]
    loader.load(str(model_file), gpu_layers=0)  # another number is another load
    assert loader.gpu == Offload(0, 0, True)
    loader.load(str(model_file), gpu_layers=20)
    assert loader.gpu == Offload(5, 20, True)
    loader.load(str(model_file), gpu_layers=8)
    assert loader.gpu == Offload(8, 0, True)


def test_a_load_that_fails_otherwise_is_not_tried_again(small_gpu: list[int], tmp_path: Path) -> None:
    (tmp_path / "hollow.gguf").write_bytes(b"GGUF and no more")
    loader = loading.Loader()
    with pytest.raises(Failure, match=r"llama\.cpp cannot load") as failure:
        loader.load(str(tmp_path / "hollow.gguf"))
    assert failure.value.status is ExitStatus.WEIGHTS
    assert set(small_gpu) == {0}


def test_without_a_gpu_nothing_is_tried_on_one(model_file: Path) -> None:
    if any(one.is_gpu for one in devices()):
        pytest.skip("a GPU is here")
    loader = Loader()
    loader.load(str(model_file))
    assert loader.gpu == Offload(0, 0, False)
    loader.load(str(model_file), gpu_layers=12)
    assert loader.gpu == Offload(0, 12, False)


@pytest.mark.parametrize(
    ("loaded", "note"),
    [
        (Loaded(0.1, 5), ""),
        (Loaded(0.1, 5, "used", 33, 0, True), ""),
        (
            Loaded(0.1, 5, "used", 8, 33, True),
            "the GPU's memory holds 8 of 33 layers of m; the CPU computes the others",
        ),
        (Loaded(0.1, 5, "used", 0, 33, True), "the GPU's memory is too small for m; using the CPU"),
        (
            Loaded(0.1, 5, "used", 0, 9, False),
            "local.gpu_layers is 9, but llama.cpp finds no GPU; run: hybrid doctor",
        ),
    ],
)
def test_the_user_is_told_in_one_line(loaded: Loaded, note: str) -> None:
    stderr = io.StringIO()
    report_loaded(loaded, "m", Environment(None, None, stderr, {}))
    assert stderr.getvalue() == (f"hybrid: {note}\n" if note else "")


def test_a_profile_sets_the_layers(hybrid: Hybrid, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    for value, code in (("auto", 0), ("0", 0), ("12", 0), ("-1", 1), ("all", 1)):
        path.write_text(f"version: 1\nlocal: {{gpu_layers: {value}}}\n")
        assert hybrid("profile", "check", path).returncode in ((0,) if code == 0 else (1, 2)), value
    path.write_text("version: 1\nlocal: {gpu_layers: 12}\nescalation: {mode: forbid}\n")
    done = hybrid("run", "--json", "-p", path, "-s", "Brief.", "Hello")
    assert json.loads(done.stdout)["answered_by"] == "local"
    if not any(one.is_gpu for one in devices()):
        assert b"local.gpu_layers is 12, but llama.cpp finds no GPU; run: hybrid doctor" in done.stderr


def test_warm_engines_with_other_layers_are_others(tmp_path: Path) -> None:
    environment = Environment(None, None, None, {"HYBRID_HOME": str(tmp_path)})
    policy = merge_policy(Flags(profile="offline"), environment)
    weights = Weights(tmp_path / "m.gguf", "sha")
    found = set()
    for layers in ("auto", 0, 12):
        local = msgspec.structs.replace(policy.local, gpu_layers=layers)
        settings = session.warm_settings(weights, replace(policy, local=local), environment)
        found.add(warm._address("/run", "sha", settings))
    assert len(found) == 3


def described(*gpus: GpuState, backends: tuple[str, ...] = ("CPU",)) -> Described:
    return Described("", list(backends), list(gpus), None)


def test_doctor_names_each_gpu_that_is_used() -> None:
    found = gpu_finding(described(GpuState("CUDA0", "A Card 4060", "GPU", "CUDA", 7 * GB, 8 * GB)))
    assert (found.state, found.says) == ("ok", "A Card 4060 (GPU, CUDA0), 7.5 of 8.6 GB free, by CUDA")


@pytest.mark.parametrize(
    ("name", "flag", "wheels"),
    [
        ("nvidia0", "-DGGML_CUDA=on", "/whl/cu124"),
        ("kfd", "-DGGML_HIP=on", ""),
        ("renderD128", "-DGGML_VULKAN=on", ""),
    ],
)
def test_doctor_says_how_to_use_a_gpu_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, flag: str, wheels: str
) -> None:
    (tmp_path / name).touch()
    nodes = {
        what: (str(tmp_path / Path(pattern).name), usable)
        for what, (pattern, usable) in gpu_findings._NODES.items()
    }
    monkeypatch.setattr(gpu_findings, "_NODES", nodes)  # this machine has no such devices
    found = gpu_finding(described())
    assert found.state == "warn"
    assert f'CMAKE_ARGS="{flag}" pip install' in found.says
    assert wheels in found.says
    assert ("--extra-index-url" in found.says) == bool(wheels)
    every = gpu_finding(described(backends=("CPU", "CUDA", "ROCm", "Vulkan")))
    assert "check its driver" in every.says
    (tmp_path / name).unlink()
    assert gpu_finding(described()).state == "ok"


def test_doctor_on_a_mac_without_metal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_findings.sys, "platform", "darwin")  # no Mac is here
    found = gpu_finding(described())
    assert "-DGGML_METAL=on" in found.says
    assert "/whl/metal" in found.says
    assert gpu_finding(described(backends=("CPU", "MTL"))).says.endswith("check its driver")


def test_doctor_lists_the_backends_of_the_real_build(hybrid: Hybrid) -> None:
    found = {one["subject"]: one for one in json.loads(hybrid("doctor", "--json").stdout)}
    if any(one.is_gpu for one in devices()):
        assert "GB free, by " in found["gpu"]["says"]
    else:
        assert "CPU" in found["gpu"]["says"] or "is not " in found["gpu"]["says"]
