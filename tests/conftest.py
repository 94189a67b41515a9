"""Fixtures for several tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from helpers.browser import chromium
from helpers.killed_runs import Runs, make_runs
from helpers.loaded import Loaded
from helpers.own_images import write_own_images
from helpers.proofs import Proof, table
from helpers.quick_training import Train, train_quietly, write_quick_config
from helpers.servers import Server
from helpers.stand_ins import Fetch, serve_packed

from mlp_cli.data import download, transfer
from mlp_cli.runs.interruption import SIGNALS

PROOFS = pytest.StashKey[list[Proof]]()
ROOT = Path(__file__).parent.parent

# The user's settings must not affect a test, nor what a test module reads when it is imported.
for name in ("MLP_MIRROR", "MLP_DATA_DIR", "OMP_NUM_THREADS", "NO_COLOR", "FORCE_COLOR"):
    os.environ.pop(name, None)
os.environ["MLP_OVERSUBSCRIBE"] = "1"  # so that several threads are tested on any machine

# No test fails because the machine is busy.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")

# A shell that starts the tests in the background ignores SIGINT, and `nohup` ignores SIGHUP. The
# processes of the tests would inherit that, and `mlp` heeds it.
for number in SIGNALS:
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(
            number,
            signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL,
        )


@pytest.fixture(scope="session", autouse=True)
def compiled_kernels() -> None:
    """Compile the kernels, if there are any, so that no test meets the messages of a first run."""
    if find_spec("numba") is None:
        return
    program = ROOT / "tests" / "helpers" / "compile_kernels.py"
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, program], env=environ, capture_output=True, check=False)


@pytest.fixture(scope="session", autouse=True)
def loaded() -> Iterator[None]:
    """Have a process that has loaded `mlp`."""
    Loaded.current = Loaded()
    yield
    Loaded.current.close()


@pytest.fixture(scope="session")
def mnist_source() -> Path:
    """The folder with MNIST's four files, which MLP_TEST_MNIST names."""
    folder = os.environ.get("MLP_TEST_MNIST")
    if not folder:
        pytest.skip("needs the real MNIST: set MLP_TEST_MNIST to a folder with its four files")
    return Path(folder)


@pytest.fixture
def own_images(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder of images as `write_own_images` does."""
    return partial(write_own_images, tmp_path)


@pytest.fixture
def config(tmp_path: Path, own_images: Callable[..., Path]) -> Path:
    """The path of a configuration for small images."""
    path = tmp_path / "small.yaml"
    path.write_text(
        f"data: {{path: {own_images()}, validation: 100}}\n"
        "model: {hidden: [16]}\n"
        "optimizer: {name: adam, learning_rate: 0.01}\n"
        "training: {epochs: 3, batch_size: 32}\n"
    )
    return path


@pytest.fixture
def quick_config(tmp_path: Path, own_images: Callable[..., Path]) -> Path:
    """The path of a configuration that trains in a moment."""
    return write_quick_config(tmp_path, own_images(train=200))


@pytest.fixture
def train(tmp_path: Path, quick_config: Path) -> Train:
    """Run `mlp train --quiet` in an empty folder, for that configuration."""
    return train_quietly(tmp_path, quick_config)


@pytest.fixture(scope="session")
def killed_runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Runs to stop and to kill; those that are never stopped are trained once."""
    return make_runs(tmp_path_factory.mktemp("kill"))


@pytest.fixture
def mlp(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `mlp` as a separate process in an empty folder, with warnings as errors."""

    def run(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
        return Loaded.current.run(list(map(str, arguments)), tmp_path, environment)

    return run


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window."""
    with chromium() as found:
        yield found


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set short limits for downloads, and allow no mirror outside this machine."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    limits = {"CONNECT": 0.5, "PATIENCE": 0.5, "FIRST_ANSWER": 1.2, "RESERVE": 0.3, "BACKOFF": 0.01}
    for name, value in {**limits, "LONGEST_BACKOFF": 0.02, "MIRRORS": ()}.items():
        monkeypatch.setattr(transfer if hasattr(transfer, name) else download, name, value)


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    """A function that fetches the stand-ins for MNIST's files."""
    return Fetch(tmp_path / "data" / "mnist")


@pytest.fixture
def good() -> Iterator[Server]:
    """A mirror that serves these files correctly."""
    with Server(serve_packed) as server:
        yield server


@pytest.fixture
def proof(request: pytest.FixtureRequest) -> Iterator[Proof]:
    """The trials of the fault that the test's mark names."""
    (fault,) = request.node.get_closest_marker("proof").args
    proof = Proof(fault, long=request.config.option.markexpr == "proof")
    request.config.stash.setdefault(PROOFS, []).append(proof)
    yield proof
    assert proof.begun, "no trial was made"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of the proofs if all trials were run."""
    proofs = terminalreporter.config.stash.get(PROOFS, [])
    if proofs and terminalreporter.config.option.markexpr == "proof":
        terminalreporter.section("proofs")
        for line in table(proofs):
            terminalreporter.write_line(line)
