"""Limits of control groups, read from small trees that look like the kernel's."""

from __future__ import annotations

from pathlib import Path

from hybrid_cli.system import cgroups


def tree(root: Path, files: dict[str, str]) -> Path:
    """`root`, with `files` written below it; names without a slash at the start are of /sys/fs/cgroup."""
    for name, text in files.items():
        path = root / (name[1:] if name.startswith("/") else f"sys/fs/cgroup/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_no_groups(tmp_path: Path) -> None:
    root = tree(tmp_path, {})
    assert cgroups.memory_limit(root) is None
    assert cgroups.memory_left(root) is None
    assert cgroups.cpu_quota(root) is None


def test_the_strictest_of_nested_groups_of_version_2(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "/proc/self/cgroup": "0::/user.slice/job\n",
            "user.slice/memory.max": "4000000000\n",
            "user.slice/memory.current": "3000000000\n",
            "user.slice/memory.stat": "anon 2500000000\nfile 400000000\n",
            "user.slice/cpu.max": "150000 100000\n",
            "user.slice/job/memory.max": "2000000000\n",
            "user.slice/job/memory.current": "100000000\n",
            "user.slice/job/memory.stat": "anon 100000000\nfile 0\n",
            "user.slice/job/cpu.max": "max 100000\n",
            "other/memory.max": "1\n",
        },
    )
    assert cgroups.memory_limit(root) == 2_000_000_000
    assert cgroups.memory_left(root) == 1_400_000_000  # the outer group's
    assert cgroups.cpu_quota(root) == 1.5


def test_a_container_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    root = tree(
        tmp_path, {"/proc/self/cgroup": "0::/\n", "memory.max": "1000\n", "cpu.max": "50000 100000\n"}
    )
    assert cgroups.memory_limit(root) == 1000
    assert cgroups.cpu_quota(root) == 0.5


def test_version_1_has_a_hierarchy_for_each_controller(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "/proc/self/cgroup": "9:name=systemd:/\n4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n",
            "memory/memory.limit_in_bytes": "9223372036854771712\n",  # none
            "memory/docker/memory.limit_in_bytes": "3000\n",
            "memory/docker/memory.usage_in_bytes": "1000\n",
            "memory/docker/memory.stat": "cache 1\ntotal_cache 300\n",
            "cpu/cpu.cfs_quota_us": "-1\n",
            "cpu/cpu.cfs_period_us": "100000\n",
            "cpu/docker/abc/cpu.cfs_quota_us": "250000\n",
            "cpu/docker/abc/cpu.cfs_period_us": "100000\n",
        },
    )
    assert cgroups.memory_limit(root) == 3000
    assert cgroups.memory_left(root) == 2300
    assert cgroups.cpu_quota(root) == 2.5


def test_no_limits(tmp_path: Path) -> None:
    root = tree(
        tmp_path, {"/proc/self/cgroup": "0::/a\n", "a/memory.max": "max\n", "a/cpu.max": "max 100000\n"}
    )
    assert cgroups.memory_limit(root) is None
    assert cgroups.cpu_quota(root) is None


def test_systemds_soft_limit_counts(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "/proc/self/cgroup": "0::/a\n",
            "a/memory.max": "9000\n",
            "a/memory.high": "5000\n",
            "a/memory.current": "1000\n",
        },
    )
    assert cgroups.memory_limit(root) == 5000
    assert cgroups.memory_left(root) == 4000


def test_slurms_limit() -> None:
    assert cgroups.slurm_limit({}) is None
    assert cgroups.slurm_limit({"SLURM_MEM_PER_NODE": "0"}) is None  # all of the node
    assert cgroups.slurm_limit({"SLURM_MEM_PER_NODE": "2048"}) == 2 << 30
    assert cgroups.slurm_limit({"SLURM_MEM_PER_CPU": "512", "SLURM_CPUS_ON_NODE": "4"}) == 2 << 30
    assert cgroups.slurm_limit({"SLURM_MEM_PER_NODE": "much"}) is None
