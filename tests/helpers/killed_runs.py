"""Trainings in processes of their own, to be killed or stopped, and what they must be equal to."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from helpers.own_images import write_own_images
from helpers.runs import assert_same_run

ROOT = Path(__file__).parents[2]

# Most of them train 12 short epochs of 500 images, in about 0.3 s after their start.
CONFIGURATIONS = {
    "sgd, odd last batch": ["optimizer={name: sgd}", "training.batch_size=7"],
    "momentum, cosine": [
        "optimizer={name: sgd, momentum: 0.9}", "schedule={name: cosine, warmup: 2}",
    ],
    "nesterov, float64": [
        "optimizer={name: sgd, momentum: 0.9, nesterov: true}", "training.dtype=float64",
    ],
    "adam, early stopping": ["training.patience=3", "training.epochs=40"],
    "adamw, decay": ["optimizer={name: adamw, weight_decay: 0.01}", "training.batch_size=9"],
    "rmsprop, clipped": ["optimizer={name: rmsprop, clip_norm: 0.5}"],
    "two threads": ["model.hidden=[40,30]", "training.batch_size=20", "threads=2"],
    "steps of the rate": ["schedule={name: step, every: 3, factor: 0.5}"],
    "no validation": ["data.validation=0"],
    "batch 1, mse": ["training.batch_size=1", "loss=mse", "training.epochs=3"],
    "one batch an epoch": ["training.batch_size=1000", "training.epochs=200"],
    "every regulariser": [
        "model={hidden: [16, 12], batch_norm: true}", "training.batch_size=13",
        "regularisation={input_dropout: 0.1, dropout: 0.2, max_norm: 1, label_smoothing: 0.1, "
        "noise: 0.1, input_noise: 0.2, average: 2}",
    ],
    "distorted": [
        "distortion={rotation: 10, elastic: [2, 4], smoothness: [1, 2], thickness: 0.5, ease: 0.5}",
        "training.batch_size=9", "threads=2",
    ],
    "numpy": ["kernels=numpy", "model.hidden=[64]", "training.batch_size=5"],
}  # fmt: skip
NAMES = sorted(CONFIGURATIONS)

# As `mlp` does before it imports NumPy. With two threads, BLAS gives other bits.
HOLD_BLAS = "import os; from mlp_cli.compute.select import hold_blas; hold_blas(os.environ);"
# As `mlp`, but it saves almost all the time, also within epochs: every second kill hits a save.
BUSY = (
    f"{HOLD_BLAS} import sys, mlp_cli.runs.saver as s; s.SHARE, s.LONGEST = 1, 0.02;"
    "from mlp_cli.__main__ import main; sys.argv[0] = 'mlp'; main()"
)
CALM = "from mlp_cli.__main__ import main; main()"


class Runs:
    """Runs of the configurations in one folder."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.folder, self.config = folder, config
        self.straight: dict[str, tuple[Path, float]] = {}

    def start(self, name: str, out: Path, program: str = CALM) -> subprocess.Popen[str]:
        """Start or resume a training."""
        changes = dict(change.split("=", 1) for change in CONFIGURATIONS[name])
        threads, kernels = changes.pop("threads", "1"), changes.pop("kernels", "")
        sets = [word for item in changes.items() for word in ("--set", "=".join(item))]
        return subprocess.Popen(
            [
                sys.executable, "-c", program, "train", "--config", str(self.config),
                "--set", "training.epochs=12", *sets,
                "--threads", threads, "--out", str(out), "--resume",
            ],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "MLP_KERNELS": kernels},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )  # fmt: skip

    def start_and_kill(self, name: str, out: Path, seed: int) -> None:
        """Start a training and kill it at an instant that the seed gives."""
        process = self.start(name, out)
        time.sleep(next(instants(seed, self.reference(name)[1])))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def finish(self, name: str, out: Path) -> None:
        """Resume a training until its end."""
        process = self.start(name, out)
        _, stderr = process.communicate(timeout=300)
        assert process.returncode == 0, stderr

    def reference(self, name: str) -> tuple[Path, float]:
        """Return the run that was never stopped, and how long it took."""
        if name not in self.straight:
            out = self.folder / f"straight-{NAMES.index(name)}"
            started = time.monotonic()
            self.finish(name, out)
            self.straight[name] = out, time.monotonic() - started
        return self.straight[name]

    def compare(self, name: str, out: Path) -> None:
        """Check that a run equals the one that was never stopped, and remove it."""
        assert_same_run(self.reference(name)[0], out)
        assert not list(out.glob(".*.tmp"))
        shutil.rmtree(out)


def make_runs(folder: Path) -> Runs:
    """Return runs on a few images, which are written into the folder."""
    images = write_own_images(folder, 8, 8, 10, 600)
    config = folder / "c.yaml"
    config.write_text(
        f"data: {{path: {images}, validation: 100}}\n"
        "model: {hidden: [16]}\noptimizer: {name: adam, learning_rate: 0.003}\n"
        "training: {batch_size: 4}\n"
    )
    return Runs(folder, config)


def handles_signals(pid: int) -> bool:
    """Return whether a process handles SIGTERM, as the program does from its first lines on."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has ended
        return False
    caught = int(status.split("SigCgt:")[1].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def instants(seed: int, longest: float) -> Iterator[float]:
    generator = random.Random(seed)
    while True:
        yield generator.uniform(0.05, longest)
