"""Findings about llama.cpp, memory, weights and guard, from the guarded worker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hybrid_cli.doctor.finding import Finding, failed, until_failure
from hybrid_cli.doctor.gpu_findings import gpu_finding
from hybrid_cli.exit_status import Failure
from hybrid_cli.guard.forbid import best_enforcement
from hybrid_cli.guard.landlock import is_supported
from hybrid_cli.local.protocol import Describe, Described, Loaded, Ready
from hybrid_cli.local.worker import Worker
from hybrid_cli.profile.policy import Policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.capacity import memory
from hybrid_cli.weights.store import Store, Weights

_FEATURES = {"avx": "AVX", "avx2": "AVX2", "fma": "FMA", "f16c": "F16C", "avx512f": "AVX512"}
"""CPU features that make models fast: name in /proc/cpuinfo, name in llama.cpp."""
_REBUILD = "build it on this machine: pip install --force-reinstall --no-cache-dir --no-binary llama-cpp-python llama-cpp-python"


def engine_findings(policy: Policy | None, environment: Environment) -> Iterator[Finding]:
    """Check llama.cpp, memory, guard, and the weights that `policy` uses, if any."""
    found: Weights | None = None
    weights: Finding | None = None
    if policy is not None and policy.mode == "force":
        weights = Finding("weights", "ok", "not needed: the mode is force")
    elif policy is not None:
        try:
            found = Store(environment).verified(policy.local.model)
        except (Failure, OSError) as error:
            weights = failed("weights", error)
    yield from until_failure("llama.cpp", _worker_findings(found, weights, policy))


def _worker_findings(
    found: Weights | None, weights: Finding | None, policy: Policy | None
) -> Iterator[Finding]:
    """Let the guarded worker describe its build and load the weights that were found."""
    worker = Worker.start()
    enforcement: str | None = None
    confined: bool | None = None
    described = False
    try:
        for event in worker.events(Describe(None if found is None else str(found.path.absolute()))):
            if isinstance(event, Ready):
                enforcement = event.enforcement
            elif isinstance(event, Described):
                described, confined = True, event.confined
                yield _build(event)
                yield _memory(event)
                yield gpu_finding(event)
            elif isinstance(event, Loaded) and weights is None and policy is not None and found is not None:
                weights = _loaded(policy.local.model, found, event.load_seconds)
    except Failure as failure:
        if described:
            weights = Finding("weights", "fail", str(failure))
        else:
            yield Finding("llama.cpp", "fail", f"{failure}; {_REBUILD}")
    finally:
        worker.stop()
    if weights is not None:
        yield weights
    yield _guard(
        enforcement or best_enforcement(), policy, confined=is_supported() if confined is None else confined
    )


def _loaded(model: str, found: Weights, seconds: float) -> Finding:
    size = found.size / 1e6
    says = f"{model}, {size:,.0f} MB, sha256 as recorded, loaded in {seconds:.2f} s; {found.path}"
    return Finding("weights", "ok", says)


def _build(event: Described) -> Finding:
    built = re.findall(r"(\w+) = 1", event.features)
    try:
        name = f"llama-cpp-python {version('llama-cpp-python')}"
    except PackageNotFoundError:
        name = "llama.cpp"
    missing = [feature for feature in _processor_features() if feature not in built]
    says = f"{name} with {' '.join(built) or 'no CPU features'}"
    if missing:
        return Finding(
            "llama.cpp", "warn", f"{says}; slow: the build does not use {', '.join(missing)}; {_REBUILD}"
        )
    return Finding("llama.cpp", "ok", says)


def _processor_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    """Return the features of this processor among `_FEATURES`; [] if the system does not report them."""
    try:
        flags = re.search(r"^flags\s*:(.*)$", cpuinfo.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return []
    present = set(flags[1].split()) if flags else set()
    return [name for flag, name in _FEATURES.items() if flag in present]


def _memory(event: Described) -> Finding:
    total, free = memory() / 1e9, event.available
    if free is None:
        return Finding("memory", "ok", f"{total:.1f} GB")
    says = f"{total:.1f} GB, {free / 1e9:.1f} GB free"
    if free < 0.5e9:
        return Finding("memory", "warn", f"{says}; close other programs or use a smaller model")
    return Finding("memory", "ok", says)


def _guard(level: str, policy: Policy | None, *, confined: bool) -> Finding:
    """Report the guard of the worker; under forbid, this process gets the same one."""
    files = (
        "Landlock: it can read no files but its own, and write none"
        if confined
        else "no Landlock for its files"
    )
    if level == "seccomp":
        return Finding(
            "guard", "ok", f"seccomp: the local model cannot open sockets; under forbid, nothing can; {files}"
        )
    required = policy is not None and policy.escalation.require_enforcement
    hint = "the profile requires seccomp" if required else "weaker than seccomp, which needs Linux"
    return Finding("guard", "fail" if required else "warn", f"{level}: {hint}; {files}")
