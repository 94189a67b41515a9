"""Sweeps on a Dask cluster, whose scheduler and workers are processes of their own."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.dask_cluster import Cluster
from helpers.proofs import Proof
from helpers.sweeps import run, start, table

pytest.importorskip("distributed", reason="needs the extra cluster")
pytestmark = pytest.mark.long

TRIALS = "search:\n  optimizer.learning_rate: {low: 0.01, high: 0.08, step: 0.01}\n"
ONE = "search:\n  optimizer.learning_rate: [0.05]\n"


@pytest.fixture(scope="module", autouse=True)
def numpy_kernels() -> Iterator[None]:
    """Train with NumPy's kernels: with compiled ones, the trainings would end too soon."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLP_KERNELS", "numpy")
        yield


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Give a cluster with two workers, for the tests that leave all its processes alive."""
    made = Cluster(tmp_path_factory.mktemp("cluster"), 2)
    yield made
    made.stop()


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Give a cluster with two workers, for a test that kills them."""
    made = Cluster(tmp_path / "cluster", 2)
    yield made
    made.stop()


def write_digits(folder: Path, text: str = TRIALS, epochs: int = 2, extra: str = "") -> Path:
    """Write a sweep file over the built-in digits, which every worker has."""
    path = folder / "digits.yaml"
    path.write_text(
        f"config: {{data: {{dataset: synthetic, validation: 100{extra}}}, model: {{hidden: [8]}}, "
        f"training: {{epochs: {epochs}, batch_size: 32}}}}\n{text}"
    )
    return path


def wait_for(path: Path, pattern: str, process: subprocess.Popen[str]) -> None:
    while not list(path.glob(pattern)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def test_a_cluster_gives_the_table_of_a_local_sweep(tmp_path: Path, cluster: Cluster) -> None:
    file = write_digits(tmp_path, f"{TRIALS}seeds: 2\nconfirm: {{top: 2, seeds: 2}}\n")
    assert run(file, "--out", tmp_path / "plain").returncode == 0
    done = run(file, "--out", tmp_path / "out", "--cluster", cluster.address)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 8 * 2 + 2 * 2  # the runs, and nothing of Dask
    assert table(tmp_path / "out") == table(tmp_path / "plain")


@pytest.mark.nightly
def test_a_long_run_is_trained_in_slices_to_the_same_end(tmp_path: Path, cluster: Cluster) -> None:
    file = write_digits(tmp_path, ONE, epochs=400)
    process = start(file, "--out", tmp_path / "out", "--cluster", cluster.address)
    wait_for(tmp_path / "out", "trials/*/*/last.npz", process)
    assert not list((tmp_path / "out").glob("trials/*/*/result.json"))
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert run(file, "--out", tmp_path / "plain").returncode == 0
    assert table(tmp_path / "out") == table(tmp_path / "plain")


def test_trials_are_pruned_at_the_ends_of_their_epochs(tmp_path: Path, cluster: Cluster) -> None:
    rule = "prune: {rule: halving, first: 1, factor: 4}\n"
    rates = ", ".join(f"0.0{i}" for i in range(8, 0, -1))  # a trial is worse than those before it
    text = f"search:\n  optimizer.learning_rate: [{rates}]\n{rule}"
    file, out = write_digits(tmp_path, text, epochs=5), tmp_path / "out"
    done = run(file, "--out", out, "--cluster", cluster.address)
    assert done.returncode == 0, done.stderr
    pruned = [path.parent for path in out.glob("trials/*/pruned.json")]
    finished = [path.parents[1] for path in out.glob("trials/*/*/result.json")]
    assert len(pruned) >= 2
    assert len(finished) >= 1
    assert sorted(pruned + finished) == sorted((out / "trials").iterdir())
    for folder in pruned:
        lines = (folder / "seed-0/metrics.jsonl").read_text().splitlines()
        assert len(lines) in (1, 4)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_sweep_keeps_what_came_back_and_dies_by_the_signal(
    number: signal.Signals, tmp_path: Path, cluster: Cluster
) -> None:
    file, out = write_digits(tmp_path, epochs=15), tmp_path / "out"
    assert run(file, "--out", tmp_path / "plain").returncode == 0
    process = start(file, "--out", out, "--cluster", cluster.address)
    wait_for(out, "trials/00001/*/result.json", process)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == -number
    assert err.endswith("Stopped and saved. The same command continues.\n")
    assert run(file, "--out", out, "--cluster", cluster.address).returncode == 0
    assert table(out) == table(tmp_path / "plain")


@pytest.mark.nightly
def test_a_lost_scheduler_is_one_message_and_the_same_command_continues(
    tmp_path: Path, own_cluster: Cluster
) -> None:
    file, out = write_digits(tmp_path, epochs=60), tmp_path / "out"
    process = start(file, "--out", out, "--cluster", own_cluster.address)
    wait_for(out, "trials/00000/*/result.json", process)
    own_cluster.stop()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 4
    assert err.count("Error: ") == 1
    assert "the connection to the Dask scheduler at tcp://127.0.0.1:" in err
    assert "the same command continues" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert run(file, "--out", out).returncode == 0  # on this machine
    assert len(table(out)) == 9


@pytest.mark.nightly
def test_a_sweep_waits_for_workers(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "cluster")
    try:
        file = write_digits(tmp_path)
        process = start(file, "--out", tmp_path / "out", "--cluster", cluster.address)
        wait_for(tmp_path / "out", "trials", process)
        time.sleep(3)
        cluster.start_worker()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0
        told = (
            f"There are no workers, and the sweep waits. Start some: dask worker {cluster.address}"
        )
        assert err.count(told) == 1
    finally:
        cluster.stop()


def test_a_worker_without_the_data_is_named(tmp_path: Path, mnist_source: Path) -> None:
    cluster = Cluster(tmp_path / "cluster")
    try:
        file = tmp_path / "mnist.yaml"
        file.write_text(f"config: {{data: {{download: false}}}}\n{TRIALS}")
        arguments = (file, "--out", tmp_path / "out", "--data-dir", mnist_source)
        nowhere = cluster.start_worker({"MLP_DATA_DIR": str(tmp_path / "nowhere")})
        done = run(*arguments, "--cluster", cluster.address)
        assert done.returncode == 3, done.stderr
        assert done.stderr.count("Error: worker tcp://127.0.0.1:") == 1
        assert f"{tmp_path / 'nowhere'}" in done.stderr
        assert not list((tmp_path / "out").glob("trials/*/failed.json")), nowhere
    finally:
        cluster.stop()


@pytest.mark.parametrize(
    ("at_start", "told"),
    [
        ("import mlp_cli._version as v; v.__version__ = '9'", ": it has 9. Install this version"),
        ("import sys; sys.modules['mlp_cli'] = None", "No module named"),
    ],
)
def test_a_worker_with_another_version_or_none_is_named(
    at_start: str, told: str, tmp_path: Path
) -> None:
    cluster = Cluster(tmp_path / "cluster")
    try:
        other = tmp_path / "other"
        other.mkdir()
        (other / "sitecustomize.py").write_text(at_start)
        path = f"{other}:{Path(__file__).parents[2]}"
        cluster.start_worker({"PYTHONPATH": path})
        file = write_digits(tmp_path)
        done = run(file, "--out", tmp_path / "out", "--cluster", cluster.address)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("Error: worker tcp://127.0.0.1:")
        assert told in done.stderr
        assert done.stderr.count("Error: ") == 1
    finally:
        cluster.stop()


def test_a_trial_that_kills_its_workers_is_a_failed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    deadly = tmp_path / "deadly.py"
    deadly.write_text(
        "import os\nfrom mlp_cli.sweep import cluster_task\n"
        "cluster_task.train_slice = lambda task: os._exit(9)\n"
    )
    cluster = Cluster(tmp_path / "cluster")
    try:
        cluster.start_worker(None, "--preload", str(deadly))
        arguments = ("--out", tmp_path / "out", "--cluster", cluster.address)
        process, deaths = start(write_digits(tmp_path, ONE), *arguments), 0
        while process.poll() is None:
            if cluster.workers[-1].poll() is not None:
                deaths += 1
                cluster.start_worker(None, "--preload", str(deadly))
            time.sleep(0.1)
        _, err = process.communicate()
        assert (process.returncode, deaths) == (1, 3)
        told = "WARNING: trial 0 failed: the workers that trained it died (1 in a row), as they do"
        assert told in err
    finally:
        cluster.stop()


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        ("tcp://127.0.0.1:9", 4, "no Dask scheduler answers at tcp://127.0.0.1:9. Start one with"),
        ("tcp://127.0.0.1", 2, "missing port number in address '127.0.0.1'."),
        ("foo://host:8786", 2, "unknown address scheme 'foo'"),
        ("scheduler.json", 2, "there is no such scheduler file. Give one, or the address of a"),
        ("digits.yaml", 2, "this is not a Dask scheduler file."),
    ],
)
def test_a_wrong_address_is_one_message(given: str, code: int, told: str, tmp_path: Path) -> None:
    file = write_digits(tmp_path)
    done = run(file.name, "--out", "out", "--cluster", given, cwd=tmp_path)
    assert done.returncode == code
    assert done.stderr.startswith(f"Error: --cluster {given}: {told}")
    assert done.stderr.count("\n") == 1


@pytest.mark.nightly
@pytest.mark.proof("a sweep on a cluster whose processes are killed")
def test_a_cluster_whose_processes_are_killed_gives_the_table_of_an_undisturbed_sweep(
    tmp_path: Path, own_cluster: Cluster, proof: Proof
) -> None:
    rates, epochs = (500, 5) if proof.long else (20, 20)
    text = (
        f"search:\n  optimizer.learning_rate: {{low: 0.001, high: 0.{rates:03}, step: 0.001}}\n"
        "  model.hidden: [[2], [3]]\nconfirm: {top: 2, seeds: 2}\n"
    )
    file, out = write_digits(tmp_path, text, epochs=epochs), tmp_path / "out"
    assert run(file, "--out", tmp_path / "plain").returncode == 0
    own_cluster.start_worker()
    arguments = (file, "--out", out, "--cluster", own_cluster.address)
    process = start(*arguments)
    for trial in proof.trials(6, 60):
        time.sleep(random.Random(trial).uniform(1, 4))
        if trial == 3:  # `mlp sweep` dies
            process.kill()
            process.communicate()
            process = start(*arguments)
        elif trial == 5:  # the scheduler dies, and its workers end with it
            own_cluster.stop()
            _, err = process.communicate(timeout=60)
            assert process.returncode == 4, err
            own_cluster.start_scheduler()
            for _ in range(3):
                own_cluster.start_worker()
            process = start(*arguments)
        else:
            own_cluster.replace_worker()
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert table(out) == table(tmp_path / "plain")
    assert len(table(out)) == 1 + 2 * rates + 2 * 2
