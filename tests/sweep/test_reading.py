"""A sweep file with mistakes: all are reported at once, each with its line, and nothing is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.sweeps import GRID, run, write_sweep

from mlp_cli.errors import ConfigError
from mlp_cli.sweep.definition import Confirm, Pruning
from mlp_cli.sweep.reading import read_sweep

MISTAKES = """\
config: mnis
set: {training.epochs: -2, training.epoch: 3}
search:
  optimizer.learning_rat: {low: 1e-3, high: 1.0, log: true}
  model.hidden: [[128], [0], foo, [512, 256]]
  model.activation: [relu, ReLU]
  regularisation.dropout: {low: 0.0, high: 1.5, step: 0.1}
  optimizer.momentum: {low: 0.9, high: 0.5, if: {optimizer.name: sgd}}
  optimizer.name: [sgd, adm]
  training.batch_size: {low: 1.5, high: 20}
  data.validation: [1, 2]
  optimizer: {learning_rate: [1, 2]}
  seed: [1, 2]
  optimizer.weight_decay: {low: 0.1, hihg: 1.0}
methd: random
method: rndom
trials: 0
prune: media
confirm: {top: -1, seed: 3}
minimise: loss
time_limit: -3
seeds: 0
"""


def fault(text: str, folder: Path) -> str:
    path = folder / "sweep.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_sweep(path)
    return str(caught.value).replace(f"{path}:", "line ")


def test_all_mistakes_are_reported_at_once_with_their_lines(tmp_path: Path) -> None:
    lines = fault(MISTAKES, tmp_path).splitlines()
    assert len(lines) > 20
    numbered = [int(line.split()[1].rstrip(":")) for line in lines[1:]]
    assert set(numbered) == {1, *range(2, 3), *range(4, 23)}
    assert numbered == sorted(numbered)


def test_a_sweep_file_with_mistakes_is_exit_2_and_makes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(MISTAKES)
    done = run(path, "--out", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("- 1\n", "not a mapping"),
        ("method: grid\n", "`search` is missing"),
        ("search: {}\n", "must be a mapping of dotted keys"),
        ("search: {model.activation: []}\n", "there is no value to choose"),
        ("search: {model.activation: [relu, relu]}\n", "relu is there twice"),
        ("search: {model.activation: {low: 1, high: 2}}\n", "a range is for numbers"),
        ("search: {training.epochs: {low: 2}}\n", "high of the range is missing"),
        ("search: {training.epochs: 3}\n", "must be a list of choices, or a range"),
        ("search: {optimizer.learning_rate: {low: 0, high: 1, log: true}}\n", "above 0"),
        (
            "search: {optimizer.learning_rate: {low: 0.1, high: 1}}\nmethod: grid\n",
            "a grid needs a list",
        ),
        (
            "search: {optimizer.learning_rate: {low: 0.1, high: 1}}\n",
            "`trials` is missing: random needs",
        ),
        (
            "search: {optimizer.learning_rate: [0.1]}\nmethod: grid\ntrials: 7\n",
            "a grid has its own number of trials, here 1",
        ),
        (
            "search: {optimizer.learning_rate: [0.1]}\nmethod: cmaes\ntrials: 7\n",
            "cmaes searches ranges",
        ),
        (
            "config: {optimizer: {momentum: 0.9}}\nsearch: {optimizer.name: [sgd, adam]}\n",
            "Write `optimizer.momentum: null` under `set` of the sweep.",
        ),
        (
            "config: {}\nsearch: {optimizer.name: [sgd, adam], optimizer.momentum: [0.5]}\n",
            "search it only `if: {optimizer.name: sgd}`",
        ),
        (
            "config: {}\nsearch:\n"
            "  optimizer.momentum: {choices: [0.5], if: {optimizer.name: adam}}\n",
            "never true: optimizer.name is sgd",
        ),
        (
            "search:\n  loss: {choices: [mse], if: {model.batch_norm: true}}\n"
            "  model.batch_norm: {choices: [true], if: {loss: mse}}\n",
            "depends on itself",
        ),
        ("set: {seed: 1}\nsearch: {seed: [1]}\n", "the seed is no hyperparameter"),
        ("set: {data.validation: 0}\nsearch: {loss: [mse]}\n", "data.validation is 0"),
        ("search: {data.stratify: [true, false]}\n", "compared on the same images"),
        ("set: {loss: mse}\nsearch: {loss: [mse]}\n", "it is searched too"),
        ("config: 3\nsearch: {loss: [mse]}\n", "must be a file"),
        ("search: {loss: [mse]}\nprune: {rule: median, factor: 3}\n", "unknown key"),
    ],
)
def test_a_mistake_is_named(text: str, message: str, tmp_path: Path) -> None:
    assert message in fault(text, tmp_path)


def test_combinations_that_do_not_go_together_are_found_before_anything_runs(
    tmp_path: Path,
) -> None:
    text = "search:\n  model.batch_norm: [true, false]\n  training.batch_size: [1, 32]\n"
    found = fault(text, tmp_path)
    assert "needs minibatches, but training.batch_size is 1" in found


def test_the_resolved_sweep_is_read_as_the_same_sweep(
    tmp_path: Path, own_images: Callable[..., Path]
) -> None:
    text = (
        "set: {training.epochs: 3}\nsearch:\n"
        "  optimizer.name: [sgd, adam]\n"
        "  optimizer.momentum: {low: 0.5, high: 0.99, if: {optimizer.name: sgd}}\n"
        "  regularisation.dropout: {low: 0.0, high: 0.5, step: 0.1}\n"
        "  optimizer.learning_rate: {low: 1e-4, high: 1, log: true}\n"
        "  model.hidden: [[4], [8, 4]]\n"
        "method: random\ntrials: 60\nseeds: 2\nminimise: val_loss\nprune: median\n"
        "confirm: {top: 2}\ntime_limit: 100\nseed: 3\n"
    )
    sweep = read_sweep(write_sweep(tmp_path, own_images(), text))
    copy = tmp_path / "copy.yaml"
    copy.write_text(sweep.to_yaml())
    assert read_sweep(copy) == sweep
    assert (sweep.prune, sweep.confirm) == (Pruning("median"), Confirm(2, 5))


def test_the_base_is_found_beside_the_sweep_file_and_among_the_shipped_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "base.yaml").write_text("model: {hidden: [3]}\n")
    path = tmp_path / "sweeps" / "sweep.yaml"
    path.write_text("config: base.yaml\nsearch: {loss: [mse]}\n")
    monkeypatch.chdir(tmp_path)
    assert read_sweep(path).base == {"model": {"hidden": [3]}}
    path.write_text("config: mnist\nsearch: {loss: [mse]}\n")
    assert read_sweep(path).base["model"] == {"hidden": [512, 256]}


def test_data_that_are_named_by_a_relative_path_stay_where_they_are(
    tmp_path: Path, own_images: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = own_images()
    monkeypatch.chdir(images.parent)
    sweep = read_sweep(write_sweep(tmp_path, Path(images.name), GRID))
    assert sweep.base["data"]["path"] == str(images)
