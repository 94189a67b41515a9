"""Trainings of configurations drawn from the whole schema, killed several times, end the same.

A killed training saves after every chunk. Resumed to its end, it must equal the training that was
never disturbed: every array byte for byte, and all metrics and results but the times.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.drawing import draw_config
from helpers.killed_runs import HOLD_BLAS
from helpers.networks import KERNELS
from helpers.own_images import write_own_images
from helpers.proofs import Proof
from helpers.runs import assert_equal_position, assert_same_run

from mlp_cli.compute.kernels import Kernels, NumPyKernels
from mlp_cli.config.describe import options
from mlp_cli.config.load import dump_config, from_dict

ROOT = Path(__file__).parents[2]
KILLS = 3  # of each training
DIVERGED = 6

CALM = "from mlp_cli.__main__ import main; main()"
# As `mlp`, but it saves after every chunk.
BUSY = f"{HOLD_BLAS} import mlp_cli.runs.saver as s; s.SHARE = s.LONGEST = 0; {CALM}"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images for three chunks an epoch, if some are held out."""
    return write_own_images(tmp_path_factory.mktemp("images"), 6, 5, classes=7, train=2600)


class Training:
    """A training of the command line in a folder `out`."""

    def __init__(self, config: Path, out: Path, kernels: str, threads: int) -> None:
        self.out = out
        self._command = ["train", config, "--out", out, "--resume", "--threads", threads, "--quiet"]
        self._environ = {**os.environ, "PYTHONPATH": str(ROOT), "MLP_KERNELS": kernels}

    def start(self, program: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program, *map(str, self._command)],
            env=self._environ, cwd=self.out.parent,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def finish(self) -> int:
        """Train to the end; return the exit code, which is 0 or that of a divergence."""
        process = self.start(CALM)
        _, stderr = process.communicate(timeout=300)
        assert process.returncode in (0, DIVERGED), stderr
        return process.returncode

    @property
    def begun(self) -> int:
        """The time at which the last sitting wrote its first file, in nanoseconds; 0 for never."""
        env = self.out / "env.json"
        return env.stat().st_mtime_ns if env.exists() else 0

    @property
    def seconds(self) -> float:
        """The duration of the only sitting of a finished training, without its start."""
        return ((self.out / "result.json").stat().st_mtime_ns - self.begun) / 1e9

    def kill(self, wait: float) -> bool:
        """Start or resume, and kill so many seconds later; return False if it ended before."""
        before, process = self.begun, self.start(BUSY)
        while process.poll() is None and self.begun == before:
            time.sleep(0.001)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        _, stderr = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), stderr
        return process.returncode != 0


@pytest.mark.long
def test_every_key_is_drawn_with_several_values(images: Path) -> None:
    found: dict[str, set[str]] = {option.key: set() for option in options()}
    for seed in range(100):
        drawn: dict[str, Any] = draw_config(random.Random(seed), path=str(images))
        sections = {key: value for key, value in drawn.items() if isinstance(value, dict)}
        leaves = drawn | {f"{s}.{key}": v for s in sections for key, v in sections[s].items()}
        for key in found.keys() & leaves.keys():
            found[key].add(repr(leaves[key]))
    assert {key for key in found if len(found[key]) < 2} == {"data.path", "logging.tensorboard"}


@pytest.mark.long
@pytest.mark.proof("C13, C14 SIGKILL at random instants of any configuration")
@pytest.mark.parametrize("kernels", KERNELS)
def test_a_killed_training_of_any_configuration_resumes_to_the_same_bits(
    kernels: type[Kernels], proof: Proof, images: Path, tmp_path: Path
) -> None:
    name, killed = "numpy" if kernels is NumPyKernels else "fast", 0
    for seed in proof.trials(quick=2, long=30):
        draw = random.Random(f"{name} {seed}")
        code, threads = DIVERGED, 1 + seed % 3
        while code == DIVERGED:
            config = tmp_path / "drawn.yaml"
            drawn = draw_config(draw, path=str(images))
            config.write_text(dump_config(from_dict(drawn, "the drawn configuration")))
            straight = Training(config, tmp_path / "straight", name, threads)
            shutil.rmtree(straight.out, ignore_errors=True)
            code = straight.finish()
        again = Training(config, tmp_path / "killed", name, threads)
        for _ in range(KILLS):
            killed += again.kill(draw.uniform(0, straight.seconds))
        assert again.finish() == 0
        assert_same_run(straight.out, again.out)
        assert_equal_position(straight.out, again.out)
        assert not list(again.out.glob(".*.tmp"))
        shutil.rmtree(again.out)
    assert killed > proof.begun  # most of the kills hit a training
