"""`hybrid doctor` on a healthy machine, and on one with each problem that it detects."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hybrid_cli.doctor.engine_findings import _build, _guard, _memory, _processor_features
from hybrid_cli.doctor.shell_findings import _bash_completion_version
from hybrid_cli.local.protocol import Described
from hybrid_cli.local.threads import threads_beside
from hybrid_process import Hybrid, environment
from loopback_hub import gguf
from scripted_cloud import ScriptedCloud

Findings = dict[str, tuple[str, str]]


@pytest.fixture
def doctor(hybrid: Hybrid, tmp_path: Path) -> Callable[..., Findings]:
    """Run it and return state and message by subject; of several findings on one subject, the last."""

    def run(*arguments: str | Path, code: int, **variables: str) -> Findings:
        done = hybrid("doctor", "--json", *arguments, cwd=tmp_path, **variables)
        assert done.returncode == code, done
        return {one["subject"]: (one["state"], one["says"]) for one in json.loads(done.stdout)}

    return run


@pytest.fixture
def bash_home(hybrid: Hybrid, tmp_path: Path) -> dict[str, str]:
    """Variables of a bash user with the completions installed."""
    folder = tmp_path / "user/.local/share/bash-completion/completions"
    folder.mkdir(parents=True)
    (folder / "hybrid").write_bytes(hybrid("completion", "bash").stdout)
    (tmp_path / "user/.bashrc").write_text(f"source {folder}/hybrid\n")  # where there is no bash-completion
    return {"HOME": str(tmp_path / "user"), "SHELL": "/bin/bash"}


def test_a_healthy_machine(
    doctor: Callable[..., Findings],
    cloud: ScriptedCloud,
    profile: Callable[..., Path],
    bash_home: dict[str, str],
) -> None:
    prices = ", prices: {input: 1, output: 1}, key: {env: SOME_KEY}"
    path = profile(f"{cloud.section(prices)}local: {{threads: 1}}\nlimits: {{usd_per_day: 1}}\n")
    consent = {"HYBRID_CONSENT": cloud.origin, "SOME_KEY": "k-1234"}
    found = doctor("-p", path, "--online", code=0, **consent, **bash_home)
    gpu = found.pop("gpu")  # a machine may have one that its build does not use
    assert gpu[0] in ("ok", "warn")
    assert {state for state, _says in found.values()} == {"ok"}
    subjects = "python llama.cpp memory weights guard threads disk folders profile cloud key consent budget completions"
    assert list(found) == subjects.split()
    assert "OPENMP" in found["llama.cpp"][1]
    assert found["weights"][1].startswith("smollm2-135m, 98 MB, sha256 as recorded, loaded in ")
    assert found["threads"][1] == "using 1, as set by local.threads"
    assert found["cloud"][1] == f"{cloud.origin} accepts connections"
    assert found["key"][1] == "read from the variable SOME_KEY"
    assert "k-1234" not in json.dumps(found)
    assert cloud.received == []


def test_text_and_colour_and_quiet(hybrid: Hybrid, tmp_path: Path) -> None:
    empty = {"HYBRID_HOME": str(tmp_path / "empty")}
    done = hybrid("doctor", "-p", "offline", **empty)
    assert done.returncode == 1
    assert b"\nok    guard        seccomp" in done.stdout
    assert b"\nfail  weights      no model is downloaded yet; run: hybrid pull" in done.stdout
    assert done.stderr == b"hybrid: failed: weights; see above\n"
    assert not (tmp_path / "empty").exists()  # it only looks
    coloured = hybrid("doctor", "-p", "offline", "--color", "always", **empty).stdout.decode()
    assert "\x1b[1;31mfail\x1b[0m  weights" in coloured and "\x1b[32mok  \x1b[0m  guard" in coloured
    quiet = hybrid("doctor", "-q", "-p", "offline", **empty).stdout.decode()
    assert {line[:4] for line in quiet.splitlines()} <= {"fail", "warn"}


def test_missing_damaged_and_invalid_weights(
    doctor: Callable[..., Findings], tmp_path: Path, model_file: Path
) -> None:
    state, says = doctor("-p", "offline", code=1, HYBRID_HOME=str(tmp_path / "none"))["weights"]
    assert (state, says) == ("fail", "no model is downloaded yet; run: hybrid pull")
    home = tmp_path / "other"
    run = [sys.executable, "-m", "hybrid_cli", "pull", str(model_file), "--name", "smollm2-135m", "-q"]
    subprocess.run(run, env=environment(home), check=True)
    (blob,) = (home / "data" / "blobs").iterdir()
    blob.chmod(0o644)
    with blob.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\0")
    state, says = doctor("-p", "offline", code=1, HYBRID_HOME=str(home))["weights"]
    assert (state, "damaged" in says or "sha256" in says) == ("fail", True)
    (tmp_path / "hollow.gguf").write_bytes(gguf())
    (tmp_path / "hollow.yaml").write_text("version: 1\nlocal: {model: ./hollow.gguf}\n")
    state, says = doctor("-p", tmp_path / "hollow.yaml", code=1)["weights"]
    assert (state, "llama.cpp cannot load" in says) == ("fail", True)


def test_llama_cpp_that_cannot_be_imported(hybrid: Hybrid, home: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "llama_cpp"
    broken.mkdir(parents=True)
    (broken / "__init__.py").touch()
    (broken / "llama_cpp.py").write_text("raise ImportError('libllama.so: no such file')\n")
    done = hybrid("doctor", "--json", PYTHONPATH=str(broken.parent))
    found = {one["subject"]: one for one in json.loads(done.stdout)}
    assert done.returncode == 1
    assert found["llama.cpp"]["state"] == "fail"
    assert "libllama.so: no such file; build it on this machine: pip install" in found["llama.cpp"]["says"]
    assert found["guard"]["state"] == "ok"  # the rest is still told


def test_a_build_without_the_features_of_the_processor(tmp_path: Path) -> None:
    # A build for another processor cannot be made here: the words of one stand in.
    has = _processor_features()
    described = Described("CPU : SSE3 = 1 | OPENMP = 1 | ", backends=["CPU"], gpus=[], available=None)
    assert _build(described).state == ("warn" if has else "ok")
    assert (
        f"slow: the build does not use {', '.join(has)}; build it on this machine" in _build(described).says
        or not has
    )
    full = msgspec.structs.replace(described, features="".join(f"{name} = 1 | " for name in has))
    assert _build(full).state == "ok"
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu avx avx2 f16c\n")
    assert _processor_features(tmp_path / "cpuinfo") == ["AVX", "AVX2", "F16C"]
    assert _processor_features(tmp_path / "none") == []


def test_scarce_memory_threads_and_guard(
    doctor: Callable[..., Findings], profile: Callable[..., Path]
) -> None:
    assert _memory(Described("", backends=["CPU"], gpus=[], available=100_000_000)).state == "warn"
    assert _memory(Described("", backends=["CPU"], gpus=[], available=None)).state == "ok"
    assert [threads_beside(busy, 4) for busy in (0.0, 0.3, 1.0, 2.5, 9.0)] == [4, 4, 3, 1, 1]
    assert _guard("audit-hook", None, confined=False).state == "warn"
    state, says = doctor("-p", profile("local: {threads: 1000}\n"), code=0)["threads"]
    assert state == "warn"
    assert "; local.threads is 1000, but only " in says


def test_threads_on_one_core(installed: Hybrid) -> None:
    kept = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(kept)})  # children inherit it
        done = installed("doctor", "--json", "-p", "offline")
    finally:
        os.sched_setaffinity(0, kept)
    (threads,) = (one for one in json.loads(done.stdout) if one["subject"] == "threads")
    assert threads["says"].startswith(f"using 1 of {os.cpu_count()} cores: CPU affinity allows 1")


def test_a_full_disk_and_unwritable_folders(
    doctor: Callable[..., Findings], small_disk: Path, tmp_path: Path
) -> None:
    state, says = doctor(code=1, HYBRID_HOME=str(small_disk / "home"))["disk"]
    assert (state, says.endswith("to free some, run: hybrid models prune")) == ("warn", True)
    (tmp_path / "file").touch()
    state, says = doctor(code=1, HYBRID_HOME=str(tmp_path / "file"))["folders"]
    assert (state, says.startswith("not writable: config (")) == ("fail", True)


def test_invalid_and_untrusted_profiles(
    doctor: Callable[..., Findings], profile: Callable[..., Path], tmp_path: Path, home: Path
) -> None:
    path = profile("escalation: {mood: auto}\n")
    state, says = doctor("-p", path, code=1)["profile"]
    assert (state, says) == ("fail", f"{path}:2: escalation.mood: unknown key; did you mean `mode`?")
    project = tmp_path / ".hybrid.yaml"
    project.write_text("version: 1\nlimits: {seconds: 9}\n")
    (home / "config").mkdir()
    (home / "config" / "profile.yaml").write_text("version: 1\nescalation: {mode: forbid}\n")
    state, says = doctor(code=0)["profile"]
    assert state == "ok"
    assert "mode forbid (set by your profile.yaml); from " in says
    assert f"the project's .hybrid.yaml ({project}, may only tighten)" in says
    project.write_text("version: 1\nlocal: {model: other}\n")
    state, says = doctor(code=1)["profile"]
    assert (state, says.endswith("run: hybrid profile trust")) == ("fail", True)


def test_missing_clouds_keys_consent_and_prices(
    doctor: Callable[..., Findings], profile: Callable[..., Path], tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        origin = f"http://127.0.0.1:{free.getsockname()[1]}"
    cloud = (
        f'cloud: {{base_url: "{origin}/v1", model: none, key: {{file: ./key}}}}\nlimits: {{usd_per_day: 1}}\n'
    )
    auto, force = profile(cloud), profile(f"{cloud}escalation: {{mode: force}}\n", "force.yaml")
    found = doctor("-p", auto, code=0)
    assert found["cloud"] == ("ok", f"none at {origin}; to test the connection, pass --online")
    states = {subject: found[subject][0] for subject in ("key", "consent", "weights")}
    assert states == {"key": "warn", "consent": "warn", "weights": "ok"}
    assert "price" not in found  # a server on this machine costs nothing
    assert found["consent"][1] == f"no consent for {origin}; run: hybrid consent grant {origin}"
    found = doctor("-p", force, "--online", code=1)
    states = {subject: found[subject][0] for subject in ("cloud", "key", "consent", "weights")}
    assert states == {"cloud": "fail", "key": "fail", "consent": "fail", "weights": "ok"}
    for mode, state in (("auto", "warn"), ("force", "fail")):
        remote = f"{cloud.replace(origin, 'https://cloud.invalid')}escalation: {{mode: {mode}}}\n"
        price = doctor("-p", profile(remote, "remote.yaml"), code=int(mode == "force"))["price"]
        assert (price[0], price[1][-16:]) == (state, "set cloud.prices")
    (tmp_path / "key").write_text("k-1234")
    (tmp_path / "key").chmod(0o644)
    assert "chmod 600" in doctor("-p", force, code=1)["key"][1]
    started = tmp_path / "started"
    command = profile(cloud.replace("{file: ./key}", f"{{command: [touch, {started}]}}"), "command.yaml")
    assert "to run it, pass --online" in doctor("-p", command, code=0)["key"][1]
    assert not started.exists()
    assert "printed nothing" in doctor("-p", command, "--online", code=1)["key"][1]


def test_a_spent_budget(
    hybrid: Hybrid, doctor: Callable[..., Findings], cloud: ScriptedCloud, profile: Callable[..., Path]
) -> None:
    section = cloud.section(", prices: {input: 1, output: 1}")
    path = profile(f"{section}escalation: {{mode: force}}\nlimits: {{calls_per_day: 1}}\n")
    consent = {"HYBRID_CONSENT": cloud.origin}
    assert hybrid("run", "-p", path, "hi", **consent).returncode == 0
    state, says = doctor("-p", path, code=0, **consent)["budget"]
    assert (state, says) == (
        "warn",
        "limits.calls_per_day: 0 of 1 left; set by profile `test`; to see what was spent, run: hybrid usage",
    )


def test_damaged_records(doctor: Callable[..., Findings], home: Path) -> None:
    (home / "config").mkdir()
    (home / "config" / "consent.json").write_text("[]")
    (home / "state").mkdir()
    (home / "state" / "ledger.sqlite").write_text("no database")
    found = doctor(code=1)
    assert found["consent"][0] == "fail" and "damaged" in found["consent"][1]


def test_missing_outdated_and_unsupported_completions(
    doctor: Callable[..., Findings], tmp_path: Path, bash_home: dict[str, str]
) -> None:
    assert doctor(code=0, **bash_home)["completions"][0] == "ok"
    file = Path(bash_home["HOME"]) / ".local/share/bash-completion/completions/hybrid"
    file.write_text("# old\n")
    state, says = doctor(code=0, **bash_home)["completions"]
    assert (state, says) == (
        "warn",
        f"{file} is out of date; run: hybrid completion bash > {file}",
    )
    nowhere = {"HOME": str(tmp_path / "nobody"), "XDG_DATA_DIRS": str(tmp_path)}
    for shell in ("zsh", "fish"):
        state, says = doctor(code=0, SHELL=f"/usr/bin/{shell}", **nowhere)["completions"]
        assert (state, f"hybrid completion {shell} > {tmp_path}/nobody/" in says) == ("warn", True)
        run = says.split("run: ")[1]
        subprocess.run(
            ["bash", "-c", run],
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            check=True,
        )
        if shell == "zsh":
            folder = tmp_path / "nobody/.zfunc"
            line = f"fpath=({folder} $fpath)"
            assert f"add to {tmp_path}/nobody/.zshrc, before compinit: {line}; " in says
            says = doctor(code=0, SHELL="/usr/bin/zsh", **nowhere)["completions"][1]
            assert says.startswith(f"zsh does not look into {folder}; ")
            (folder.parent / ".zshrc").write_text(f"{line}\nautoload -Uz compinit; compinit\n")
        assert doctor(code=0, SHELL=f"/usr/bin/{shell}", **nowhere)["completions"][0] == "ok"
    assert doctor(code=0, SHELL="/bin/tcsh", **nowhere)["completions"] == ("ok", "none for tcsh")
    script = tmp_path / "bash_completion"
    script.write_text("    BASH_COMPLETION_VERSINFO=(2 11 0)\n")
    assert _bash_completion_version(script) == (2, 11)
    assert _bash_completion_version(tmp_path / "none") == ()
