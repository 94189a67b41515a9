"""The cores that may be used: CPU quotas of control groups, Slurm, and the allowed processors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlp_cli.compute import machine
from mlp_cli.compute.machine import available_cores
from mlp_cli.compute.select import choose_threads

ROOT = Path(__file__).parents[2]
V1 = "/sys/fs/cgroup/cpu"
V2 = "/sys/fs/cgroup"
NAMES = ("quota", "period")


def v1(folder: str, quota: int, period: int = 100_000) -> dict[str, str]:
    return {
        f"{folder}/cpu.cfs_quota_us": f"{quota}\n",
        f"{folder}/cpu.cfs_period_us": f"{period}\n",
    }


@pytest.fixture(autouse=True)
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("group", "files", "cores"),
    [
        ("0::/\n", {}, 8),
        ("0::/\n", {f"{V2}/cpu.max": "max 100000\n"}, 8),
        ("0::/a/b\n", {f"{V2}/a/b/cpu.max": "200000 100000\n"}, 2),
        ("0::/a/b\n", {f"{V2}/a/cpu.max": "300000 100000\n", f"{V2}/a/b/cpu.max": "max 100000"}, 3),
        ("0::/a/b\n", {f"{V2}/cpu.max": "150000 100000\n"}, 1),
        ("0::/a\n", {f"{V2}/a/cpu.max": "5000 100000\n"}, 1),
        ("0::/a\n", {f"{V2}/a/cpu.max": "9900000 100000\n"}, 8),
        ("0::/a\n", {f"{V2}/unified/a/cpu.max": "200000 100000\n"}, 2),
        ("0::/../x\n", {f"{V2}/cpu.max": "200000 100000\n"}, 2),
        ("3:cpu:/a\n", v1(f"{V1}/a", 400_000), 4),
        ("3:cpu:/a/b\n", v1(f"{V1}/a", 250_000) | v1(f"{V1}/a/b", -1), 2),
        ("3:cpu,cpuacct:/docker/1\n", v1("/sys/fs/cgroup/cpu,cpuacct", 100_000), 1),
        ("3:cpu,cpuacct:/docker/1\n", v1(f"{V1}/docker/1", 300_000, 50_000), 6),
        ("3:cpuset:/a\n", v1(f"{V1}/a", 100_000), 8),
        ("3:cpu:/a\n", v1(f"{V1}/a", 100_000, 0), 8),
        ("0::/a\n", {f"{V2}/a/cpu.max": "what?\n"}, 8),
        ("no group\n", {}, 8),
    ],
)
def test_the_least_quota_up_the_path_counts(
    group: str, files: dict[str, str], cores: int, tmp_path: Path
) -> None:
    for name, text in {"/proc/self/cgroup": group, **files}.items():
        (tmp_path / name[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name[1:]).write_text(text)
    assert available_cores(tmp_path, {}) == cores
    assert available_cores(tmp_path, {"SLURM_CPUS_PER_TASK": "1"}) == 1


@pytest.mark.parametrize(
    ("text", "cores"), [("3", 3), (" 3\n", 3), ("99", 8), ("", 8), ("0", 1), ("x", 8), ("²", 8)]
)
def test_slurm_gives_each_task_its_cores(text: str, cores: int, tmp_path: Path) -> None:
    assert available_cores(tmp_path, {"SLURM_CPUS_PER_TASK": text}) == cores


def test_a_training_takes_no_more_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert choose_threads(None, [2500, 2000], 128, False, {}) == 1
    assert machine.describe(1, "numpy")["cores"] == 1


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group with a quota of one core, made for real."""
    folder = Path(V1) / f"mlp-test-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / "cpu.cfs_quota_us").write_text("100000")
    except OSError as error:
        pytest.skip(f"no control group with a CPU quota can be made here: {error}")
    yield folder
    folder.rmdir()


def test_a_real_control_group_bounds_the_cores(group: Path) -> None:
    code = (
        "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid()))\n"
        "os.sched_getaffinity = lambda _: set(range(8))\n"
        "from mlp_cli.compute.machine import available_cores; print(available_cores())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, group / "cgroup.procs"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "PermissionError" in done.stderr:
        pytest.skip("this process may not join a control group")
    assert done.stdout == "1\n", done.stderr
