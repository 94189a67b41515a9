"""`mlp sweep` from end to end: results, continuing, failures, confirmation and the test set."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.sweeps import GRID, run, stamps, start, table, write_sweep

Images = Callable[..., Path]


@pytest.fixture
def file(tmp_path: Path, own_images: Images) -> Path:
    """The path of a sweep file with a grid of six trials."""
    return write_sweep(tmp_path, own_images())


def result(out: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((out / "result.json").read_text())
    return found


def test_a_grid_is_trained_and_its_best_run_is_the_last_line(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(file, "--out", out)
    assert done.returncode == 0, done.stderr
    runs = sorted(out.glob("trials/*/seed-0"))
    accuracies = {path: json.loads((path / "result.json").read_text()) for path in runs}
    assert len(runs) == 6
    assert all(found["test_accuracy"] is None for found in accuracies.values())
    best = max(runs, key=lambda path: (accuracies[path]["val_accuracy"], -runs.index(path)))
    assert done.stdout.splitlines()[-1] == str(best)
    assert result(out)["finished"] == 6
    lines = [line for line in done.stderr.splitlines() if line.startswith("trial ")]
    assert len(lines) == 6


def test_the_same_command_continues_and_trains_nothing_twice(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(file, "--out", out)
    before, found = stamps(out), table(out)
    shutil.rmtree(out / "trials/00003")
    (out / "result.json").unlink()
    done = run(file, "--out", out, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["finished"] == 6
    assert table(out) == found
    after = stamps(out)
    assert [path for path in before if before[path] != after[path] and "00003" not in path] == []


@pytest.mark.long
def test_the_number_of_processes_does_not_change_the_table(file: Path, tmp_path: Path) -> None:
    run(file, "--out", tmp_path / "one", "--jobs", 1)
    several = [start(file, "--out", tmp_path / "many", "--jobs", 2) for _ in range(3)]
    outputs = [process.communicate(timeout=120) for process in several]
    assert [process.returncode for process in several] == [0, 0, 0], outputs
    assert table(tmp_path / "many") == table(tmp_path / "one")


@pytest.mark.long
def test_another_sweep_is_refused_and_more_trials_are_not(
    tmp_path: Path, own_images: Images
) -> None:
    text = "search: {optimizer.learning_rate: {low: 0.01, high: 1.0, log: true}}\ntrials: 2\n"
    file, out = write_sweep(tmp_path, own_images(), text, epochs=1), tmp_path / "out"
    assert run(file, "--out", out).returncode == 0
    first = table(out)
    file.write_text(file.read_text().replace("high: 1.0", "high: 2.0"))
    done = run(file, "--out", out)
    assert done.returncode == 2
    assert "differs from this one in search" in done.stderr
    file.write_text(
        file.read_text().replace("high: 2.0", "high: 1.0").replace("trials: 2", "trials: 3")
    )
    assert run(file, "--out", out).returncode == 0
    second = table(out)
    assert len(second) == 4
    assert {key: second[key] for key in first if key} == {key: first[key] for key in first if key}


@pytest.mark.long
def test_several_seeds_are_averaged_and_the_best_trials_confirmed_with_fresh_ones(
    tmp_path: Path, own_images: Images
) -> None:
    text = f"{GRID}seeds: 2\nconfirm: {{top: 2, seeds: 2}}\n"
    file, out = write_sweep(tmp_path, own_images(), text, epochs=1), tmp_path / "out"
    done = run(file, "--out", out, "--test")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in out.glob("trials/*/*")} == {"seed-0", "seed-1"}
    assert {path.name for path in out.glob("confirm/*/*")} == {"seed-2", "seed-3"}
    found = json.loads((out / "result.json").read_text())
    assert len(found["confirmed"]) == 2
    winner = found["confirmed"][0]["trial"]
    assert [scored["run"] for scored in found["test"]["runs"]] == [
        f"confirm/{winner:05}/seed-2",
        f"confirm/{winner:05}/seed-3",
    ]
    again = run(file, "--out", out)
    assert json.loads((out / "result.json").read_text()) == found
    assert again.returncode == 0
    for path in out.glob("confirm/*/*/result.json"):  # not one error
        path.write_text(json.dumps({**json.loads(path.read_text()), "val_accuracy": 1.0}))
    (out / "result.json").unlink()
    assert run(file, "--out", out).returncode == 0
    assert json.loads((out / "result.json").read_text())["confirmed"][0]["val_error"] == 0


@pytest.mark.long
def test_the_test_set_is_not_even_read_without_test(tmp_path: Path, own_images: Images) -> None:
    images = own_images()
    file = write_sweep(tmp_path, images, epochs=1)
    for path in images.glob("t10k*"):
        path.unlink()
    assert run(file, "--out", tmp_path / "out").returncode == 0


def test_the_test_set_is_for_a_confirmed_trial_only(file: Path, tmp_path: Path) -> None:
    done = run(file, "--out", tmp_path / "out", "--test")
    assert done.returncode == 2
    assert "--test needs `confirm`" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_a_diverged_trial_is_a_result(tmp_path: Path, own_images: Images) -> None:
    text = "search: {optimizer.learning_rate: [0.1, 1e+38]}\n"
    file, out = write_sweep(tmp_path, own_images(), text), tmp_path / "out"
    done = run(file, "--out", out)
    assert done.returncode == 0
    assert (result(out)["finished"], result(out)["diverged"]) == (1, 1)
    assert done.stdout.splitlines()[-1].endswith("00000/seed-0")


@pytest.mark.long
def test_a_failed_trial_is_named_and_does_not_stop_the_rest(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    damaged = out / "trials/00001/seed-0"
    run(file, "--out", out)
    for name in ("result.json", "best.npz"):
        (damaged / name).unlink()
    (damaged / "last.npz").write_bytes(b"torn")
    shutil.rmtree(out / "trials/00005")
    done = run(file, "--out", out)
    assert done.returncode == 1
    assert "trial 1 failed" in done.stderr
    assert "Traceback" not in done.stderr
    assert (result(out)["finished"], result(out)["failed"]) == (5, 1)
    assert (out / "trials/00005/seed-0/result.json").exists()
    assert run(file, "--out", out).returncode == 1  # it is not tried again in silence
    shutil.rmtree(damaged)
    assert run(file, "--out", out, "--retry-failed").returncode == 0
    assert result(out)["finished"] == 6


@pytest.mark.long
def test_fail_fast_stops_at_the_first_failure(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "trials/00000/seed-0").mkdir(parents=True)
    (out / "sweep.yaml").write_text(file.read_text())
    (out / "trials/00000/seed-0/best.npz").write_bytes(b"torn")
    done = run(file, "--out", out, "--fail-fast", "--jobs", 1)
    assert done.returncode == 1
    assert "trial 0 failed" in done.stderr
    assert not (out / "trials/00005").exists()


@pytest.mark.parametrize("name", ["letter.txt", ".lock"])
def test_a_folder_that_holds_something_else_is_refused(
    name: str, file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    done = run(file, "--out", out)
    assert done.returncode == 2
    assert "holds no sweep" in done.stderr
    assert [path.name for path in out.iterdir()] == [name]


@pytest.mark.long
def test_a_torn_file_of_the_sweep_is_one_message(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(file, "--out", out)
    (out / "trials/00002/seed-0/result.json").write_text('{"dataset": "x')
    assert run(file, "--out", out).returncode == 0  # written again from its checkpoint
    shutil.rmtree(out / "trials/00002/seed-0")
    (out / "trials/00002/failed.json").write_text("{")
    done = run(file, "--out", out)
    assert done.returncode == 7
    assert "failed.json is damaged" in done.stderr
    assert "Traceback" not in done.stderr
    (out / "trials/00002/failed.json").unlink()
    assert run(file, "--out", out).returncode == 0
    assert result(out)["finished"] == 6


@pytest.mark.long
def test_other_images_are_refused(tmp_path: Path, own_images: Images) -> None:
    images, out = own_images(), tmp_path / "out"
    file = write_sweep(tmp_path, images, epochs=1)
    run(file, "--out", out)
    shutil.rmtree(out / "trials/00004")
    path = next(images.glob("train-images*"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    done = run(file, "--out", out)
    assert done.returncode == 3
    assert "not the images that the sweep" in done.stderr


@pytest.mark.long
def test_images_that_have_moved_are_the_same_images(tmp_path: Path, own_images: Images) -> None:
    images, out = own_images(), tmp_path / "out"
    file = write_sweep(tmp_path, images, epochs=1)
    run(file, "--out", out)
    shutil.rmtree(out / "trials/00004")
    moved = images.rename(tmp_path / "elsewhere")
    file.write_text(file.read_text().replace(str(images), str(moved)))
    assert run(file, "--out", out).returncode == 0
    assert result(out)["finished"] == 6
    assert run(file, "--out", out).returncode == 0


@pytest.mark.long
def test_a_sweep_that_fell_back_on_the_drawn_digits_stays_on_them(
    tmp_path: Path, mnist_source: Path
) -> None:
    file, out = tmp_path / "sweep.yaml", tmp_path / "out"
    file.write_text(
        "config: {data: {download: false, fallback: synthetic}, model: {hidden: [4]}, "
        "training: {epochs: 1}}\nsearch: {optimizer.learning_rate: [0.1, 0.2]}\n"
    )
    done = run(file, "--out", out, "--data-dir", tmp_path / "none")
    assert done.returncode == 0, done.stderr
    assert "NOT MNIST" in done.stderr
    shutil.rmtree(out / "trials/00001")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mnist").symlink_to(mnist_source)
    assert run(file, "--out", out, "--data-dir", tmp_path / "data").returncode == 0
    record = json.loads((out / "trials/00001/seed-0/result.json").read_text())
    assert record["dataset"] == "synthetic"
    file.write_text(file.read_text().replace("fallback: synthetic", "dataset: mnist"))
    assert run(file, "--out", out, "--data-dir", tmp_path / "data").returncode == 2


@pytest.mark.long
def test_halving_prunes_trials_and_their_further_seeds(tmp_path: Path, own_images: Images) -> None:
    text = (
        "search: {optimizer.learning_rate: [0.3, 0.1, 0.0001, 0.00001]}\nseeds: 2\n"
        "prune: {rule: halving, first: 1, factor: 2}\n"
    )
    file, out = write_sweep(tmp_path, own_images(), text, epochs=4), tmp_path / "out"
    assert run(file, "--out", out, "--jobs", 1).returncode == 0
    pruned = {path.parent.name for path in out.glob("trials/*/pruned.json")}
    assert {"00002", "00003"} <= pruned
    assert "00000" not in pruned
    for name in pruned:
        assert not (out / "trials" / name / "seed-1").exists()
        assert len((out / f"trials/{name}/seed-0/metrics.jsonl").read_text().splitlines()) < 4


@pytest.mark.long
def test_no_trial_starts_after_the_time_limit(tmp_path: Path, own_images: Images) -> None:
    file, out = write_sweep(tmp_path, own_images(), f"{GRID}time_limit: 1e-6\n"), tmp_path / "out"
    done = run(file, "--out", out, "--jobs", 1)
    assert done.returncode == 0
    assert (result(out)["finished"], result(out)["not_started"]) == (1, 5)
