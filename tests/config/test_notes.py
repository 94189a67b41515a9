"""A changed choice says what it leaves behind, and a rate far from the usual ones is a warning."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mlp_cli import SilentObserver, load_config, train
from mlp_cli.config.schema import Config
from mlp_cli.config.shipped import shipped_configs
from mlp_cli.errors import ConfigError

STEPS = "schedule: {name: step, every: 3, factor: 0.5, warmup: 2}\ntraining: {epochs: 9}\n"
MOMENTS = "optimizer:\n  name: adam\n  learning_rate: 0.002\n  clip_norm: 5\n  epsilon: 1e-4\n"
MNIST = "optimizer:\n  learning_rate: 0.1\n  momentum: 0.9\n  weight_decay: 5e-4\n"

# A file, the change of a choice, what stays with its line and default, and the keys to reset.
CHANGED = [
    (
        MNIST,
        "optimizer.name=adam",
        [("learning_rate 0.1", 2, "0.001"), ("weight_decay 0.0005", 4, "0.0")],
        "learning_rate momentum weight_decay",
    ),
    (
        MOMENTS,
        "optimizer.name=rmsprop",
        [("learning_rate 0.002", 3, "0.001"), ("clip_norm 5", 4, "null"),
         ("epsilon 0.0001", 5, "1.0e-08")],
        "learning_rate clip_norm epsilon",
    ),
    (
        "optimizer: {momentum: 0.9, nesterov: true}\n",
        "optimizer={name: adamw}",
        [],
        "momentum nesterov",
    ),
    (
        STEPS,
        "schedule.name=exponential",
        [("factor 0.5", 1, "0.95"), ("warmup 2", 1, "0.0")],
        "every factor warmup",
    ),
    (STEPS, "schedule.name=constant", [("warmup 2", 1, "0.0")], "every factor warmup"),
    (
        "model:\n  activation: sigmoid\n  init: nielsen\n",
        "model.activation=relu",
        [("init nielsen", 3, "he_normal")],
        "init",
    ),
    (
        "loss: mse\noptimizer: {learning_rate: 3.0}\n",
        "loss=cross_entropy",
        [("learning_rate 3.0", 2, "0.1")],
        "learning_rate",
    ),
]  # fmt: skip


def load(path: Path, *changes: str) -> tuple[Config | None, str]:
    """Return the configuration, if there is one, and its warnings or the message of its faults."""
    told: list[str] = []
    try:
        return load_config(path, changes, warn=told.append), "\n".join(told)
    except ConfigError as error:
        return None, str(error)


@pytest.mark.parametrize(("text", "change", "kept", "reset"), CHANGED)
def test_a_changed_choice_names_what_stays_and_one_line_takes_all_defaults(
    text: str, change: str, kept: list[tuple[str, int, str]], reset: str, tmp_path: Path
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    _, message = load(path, change)
    for value, line, default in kept:
        assert f".{value} ({path}:{line}; the default is {default})" in message
    (line,) = re.findall(r"To take the defaults, add `(--set .*)`\.", message)
    resets = shlex.split(line)[1::2]
    assert sorted(key.rpartition(".")[2] for key in resets) == sorted(
        f"{name}=null" for name in reset.split()
    )
    config, silence = load(path, change, *resets)
    assert silence == ""
    assert config is not None
    (tmp_path / "empty.yaml").write_text("{}")
    fresh, _ = load(tmp_path / "empty.yaml", change)
    section = change.partition("=")[0].partition(".")[0]
    section = "optimizer" if section == "loss" else section
    assert getattr(config, section) == getattr(fresh, section)


@pytest.mark.parametrize(
    "changes",
    [
        ["optimizer.momentum=0.5"],
        ["optimizer.name=sgd"],
        ["optimizer.name=adam", "optimizer.learning_rate=0.01", "optimizer.momentum=null",
         "optimizer.weight_decay=5e-4"],
        ["optimizer={name: rmsprop, learning_rate: 0.01, momentum: null, weight_decay: null}"],
    ],
)  # fmt: skip
def test_what_the_user_gives_with_the_choice_is_not_reported(
    changes: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(MNIST)
    config, message = load(path, *changes)
    assert config is not None
    assert message == ""


def test_python_is_shown_python() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("mnist", set={"optimizer.name": "adam"})
    (line,) = re.findall(r"To take the defaults, add `set=(.*)`\.", str(caught.value))
    resets = ast.literal_eval(line)
    config = load_config("mnist", set={"optimizer.name": "adam", **resets})
    assert config.optimizer.learning_rate == 0.001


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("optimizer: {name: adam, learning_rate: 0.1}", "above"),
        ("optimizer: {name: adamw, learning_rate: 1}", "above"),
        ("optimizer: {name: rmsprop, learning_rate: 1e-8}", "below"),
        ("optimizer: {learning_rate: 3}", "above"),
        ("optimizer: {learning_rate: 1e-6}", "below"),
        ("loss: mse\noptimizer: {learning_rate: 30}", "above"),
        ("loss: mse\noptimizer: {learning_rate: 3}", None),
        ("optimizer: {name: adam, learning_rate: 0.03}", None),
        ("optimizer: {name: adam}", None),
        ("{}", None),
    ],
)
def test_a_rate_far_from_the_usual_ones_of_its_rule_is_a_warning(
    text: str, side: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    config, message = load(path)
    assert config is not None
    if side is None:
        assert message == ""
    else:
        assert f" is far {side} the usual rates of {config.optimizer.name}, " in message


@pytest.mark.parametrize("name", [shipped.name for shipped in shipped_configs()])
def test_no_shipped_configuration_warns(name: str) -> None:
    _, message = load(Path(name))
    assert message == ""


@pytest.mark.long
@pytest.mark.parametrize("command", ["train --quiet", "gradcheck"])
def test_the_command_warns_before_anything_else_even_if_quiet(
    command: str, mlp: Callable[..., subprocess.CompletedProcess[str]], config: Path
) -> None:
    change = ("--set", "training.epochs=1", "--set", "optimizer.name=sgd")
    done = mlp(*command.split(), config, *change)
    assert done.returncode == 0, done.stderr
    first = done.stderr.splitlines()[0]
    assert first.startswith("WARNING: optimizer.name changes from adam to sgd, but")
    assert first.endswith("To take the defaults, add `--set optimizer.learning_rate=null`.")


def test_train_of_python_tells_its_observer(config: Path, tmp_path: Path) -> None:
    class Warnings(SilentObserver):
        told: list[str] = []  # noqa: RUF012

        def warn(self, message: str) -> None:
            self.told.append(message)

    changes = {"training.epochs": 1, "optimizer.name": "sgd"}
    train(config, out=tmp_path / "run", set=changes, observer=Warnings())
    assert "optimizer.learning_rate 0.01" in Warnings.told[0]
    assert "set={'optimizer.learning_rate': None}" in Warnings.told[0]


@pytest.mark.parametrize(
    "change", ["model.activation=null", "loss=null", "loss=[1]", "optimizer.name={a: 1}"]
)
def test_a_choice_that_does_not_exist_is_a_fault_and_no_crash(change: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"{MNIST}model: {{activation: tanh, init: nielsen}}\nloss: mse\n")
    config, message = load(path, change)
    assert config is None
    assert f"--set {change}: {change.partition('=')[0]}: found " in message
