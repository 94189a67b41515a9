"""Configurations can be discovered: shown, explained, and written to start from."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mlp_cli.config.checking import SECTIONS
from mlp_cli.config.choices import CHOICES
from mlp_cli.config.describe import options
from mlp_cli.config.load import load_config
from mlp_cli.config.shipped import shipped_configs
from mlp_cli.config.text import changed_keys, resolved_text, starting_text
from mlp_cli.config.yaml12 import parse

Mlp = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]
SHIPPED = [each.name for each in shipped_configs()]
DEFAULT_LINE = "No configuration is given: this is the shipped mnist. See `mlp config list`.\n"


def done(mlp: Mlp, *arguments: object, **environ: str) -> str:
    """Run a command that should succeed without a word on stderr, and return what it printed."""
    found = mlp(*arguments, **environ)
    assert (found.returncode, found.stderr) == (0, "")
    return found.stdout


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("only_changed", [False, True], ids=["all keys", "changed keys"])
def test_what_is_shown_is_read_as_the_same_configuration(
    name: str, only_changed: bool, tmp_path: Path
) -> None:
    config = load_config(name)
    file = tmp_path / "shown.yaml"
    file.write_text(resolved_text(config, {}, only_changed=only_changed))
    assert load_config(file) == config


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer.name": "adam"},
        {"optimizer": {"name": "adamw", "learning_rate": 0.1}},
        {"schedule.name": "exponential", "schedule.factor": 0.1},
        {"model.activation": "tanh"},
        {"model.activation": "tanh", "model.init": "he_normal"},
        {"model.hidden": []},
        {"data.path": "/a\nb #c: \t'd' \"e\""},
        {"data.path": "null"},
        {"seed": 2**63 - 1, "optimizer.learning_rate": 1e38},
    ],
    ids=str,
)
def test_what_is_shown_of_changes_is_read_as_the_same_configuration(
    changes: dict[str, object], tmp_path: Path
) -> None:
    load = partial(load_config, warn=[].append)  # of a rate that is far from the usual ones
    config = load({}, set=changes)
    for only_changed in (False, True):
        (tmp_path / "shown.yaml").write_text(resolved_text(config, {}, only_changed=only_changed))
        assert load(tmp_path / "shown.yaml") == config
    assert load(changed_keys(config)) == config


def test_only_what_differs_from_its_default_is_marked_and_the_default_is_that_of_the_choice(
    mlp: Mlp,
) -> None:
    chosen = ("--set", "optimizer.name=adam", "--set", "schedule.name=cosine")
    shown = mlp("config", "show", "softmax", *chosen).stdout
    marked = re.findall(r"^ *(\w+: .*?)  +# .*(default: .*)$", shown, re.MULTILINE)
    assert marked == [
        ("hidden: []", "default: [512, 256]"),
        ("name: adam", "default: sgd"),
        ("learning_rate: 0.2", "default: 0.001"),
        ("name: cosine", "default: constant"),
    ]
    assert re.search("beta1: 0.9 +# default\n", shown)


@pytest.mark.long
def test_the_changed_keys_alone_are_shown_and_no_key_if_there_is_none(
    mlp: Mlp, tmp_path: Path
) -> None:
    expected = (
        "model:\n  hidden: []          # shipped softmax:4; default: [512, 256]\n"
        "optimizer:\n  learning_rate: 0.2  # shipped softmax:6; default: 0.1\n"
    )
    assert done(mlp, "config", "show", "softmax", "--changed") == expected
    (tmp_path / "all-defaults.yaml").write_text("{}")
    assert done(mlp, "config", "show", "all-defaults.yaml", "--changed") == "{}\n"
    assert done(mlp, "config", "show", "all-defaults.yaml", "--changed", "--json") == "{}\n"


@pytest.mark.long
def test_the_shown_configuration_is_trained_and_is_that_of_the_run(
    mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    change = ("--set", "training.epochs=1")
    (tmp_path / "shown.yaml").write_text(done(mlp, "config", "show", config, *change))
    assert mlp("train", "--config", "shown.yaml", "--out", "run", "--quiet").returncode == 0
    stored = (tmp_path / "run" / "config.yaml").read_text()
    shown = re.sub(r" +# .*", "", (tmp_path / "shown.yaml").read_text())
    assert stored == shown
    as_json = done(mlp, "config", "show", config, *change, "--json")
    assert json.loads(as_json) == parse(stored).value


def test_a_wrong_configuration_is_not_shown(mlp: Mlp) -> None:
    found = mlp("config", "show", "mnist", "--set", "training.epochs=0")
    assert (found.returncode, found.stdout) == (2, "")
    assert "--set training.epochs=0" in found.stderr


def test_a_file_to_start_from_is_the_shipped_configuration(mlp: Mlp, tmp_path: Path) -> None:
    found = mlp("init")
    assert (found.returncode, found.stdout) == (0, "mlp.yaml\n")
    assert found.stderr == "next: mlp train --config mlp.yaml\n"
    text = (tmp_path / "mlp.yaml").read_text()
    assert text == starting_text() == done(mlp, "init", "-")
    assert load_config(tmp_path / "mlp.yaml") == load_config("mnist")
    assert max(map(len, text.splitlines())) <= 100


def test_each_line_of_the_file_to_start_from_may_lose_its_comment_sign(tmp_path: Path) -> None:
    file, sign = tmp_path / "all.yaml", re.compile(r"^( *)#(?=\w)", re.MULTILINE)
    file.write_text(sign.sub(r"\1", starting_text()))
    config = load_config(file)
    assert config == load_config("mnist")
    shown = parse(file.read_text()).value
    # Every key that the chosen optimizer and schedule have, with its default.
    assert shown.keys() == config.to_dict().keys()
    for key in SECTIONS:
        assert shown[key].keys() == config.to_dict()[key].keys()
    # One at a time, too.
    text = starting_text()
    lines = list(sign.finditer(text))
    assert len(lines) > 30
    for line in lines:
        file.write_text(text[: line.start()] + line[1] + text[line.end() :])
        assert load_config(file) == config


@pytest.mark.long
def test_the_file_to_start_from_explains_every_key_in_it_and_names_the_others() -> None:
    words = " ".join(re.sub(r"^ *# *", "", starting_text(), flags=re.MULTILINE).split())
    for option in options():
        name = option.key.rpartition(".")[2]
        if re.search(rf"^ *#?{name}: ", starting_text(), re.MULTILINE):
            assert option.description in words, option.key
            assert f"allowed: {option.allowed}" in words, option.key
        else:
            assert re.search(rf"Its keys: [\w, ]*\b{name}\b", words), option.key


@pytest.mark.long
@pytest.mark.parametrize("kind", ["file", "empty file", "broken link", "device"])
def test_a_file_that_is_there_is_not_replaced_by_one_to_start_from(
    kind: str, mlp: Mlp, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    if kind == "broken link":
        path.symlink_to("nowhere")
    elif kind == "device":
        path = Path("/dev/null")
    else:
        path.write_text("mine" if kind == "file" else "")
    found = mlp("init", path)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == f"Error: {path} is already there. Choose another name.\n"
    if kind == "broken link":
        assert path.readlink() == Path("nowhere")
    elif kind != "device":
        assert path.read_text() == ("mine" if kind == "file" else "")


@pytest.mark.parametrize(("name", "code"), [("folder", 2), ("none/mine.yaml", 7)])
def test_a_file_to_start_from_needs_a_place(name: str, code: int, mlp: Mlp, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    found = mlp("init", name)
    assert (found.returncode, found.stdout) == (code, "")
    assert found.stderr.splitlines()[-1].startswith("Error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_disk_that_is_full_leaves_no_file_to_start_from(tmp_path: Path) -> None:
    limited = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from mlp_cli.cli.main import main\n"
        "main(['init'])"
    )
    found = subprocess.run(
        [sys.executable, "-B", "-c", limited], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 7, found.stderr
    assert found.stderr.startswith("Error: cannot write mlp.yaml: File too large.")
    assert not list(tmp_path.iterdir())


def test_the_overview_has_one_line_of_at_most_80_columns_for_each_key(mlp: Mlp) -> None:
    lines = done(mlp, "config", "explain").splitlines()
    assert [line.split()[0] for line in lines] == [option.key for option in options()]
    assert all(len(line) <= 80 for line in lines)


def test_a_key_is_explained_for_each_choice(mlp: Mlp) -> None:
    assert done(mlp, "config", "explain", "schedule.factor", "optimizer.name") == (
        "schedule.factor\n"
        "  Factor by which the rate is multiplied at each drop.\n"
        "  default: 0.1 (step), 0.95 (exponential)\n"
        "  allowed: a number above 0 and at most 1\n"
        "  only if: schedule.name is step or exponential\n"
        "\n"
        "optimizer.name\n"
        "  The rule by which a step changes the parameters.\n"
        "  default: sgd\n"
        "  allowed: one of sgd, rmsprop, adam, adamw\n"
        "    sgd: Stochastic gradient descent. Its keys: momentum, nesterov.\n"
        "    rmsprop: Steps divided by a running root mean square of the gradient\n"
        "             (Tieleman and Hinton, 2012). Its keys: rho, epsilon.\n"
        "    adam: Adaptive moments (Kingma and Ba, 2015). Its keys: beta1, beta2,\n"
        "          epsilon.\n"
        "    adamw: Adam with decoupled weight decay (Loshchilov and Hutter, 2019). Its\n"
        "           keys: beta1, beta2, epsilon.\n"
    )


def test_all_choices_mean_the_same_by_a_key_so_one_meaning_is_enough() -> None:
    for models in CHOICES.values():
        schemas = [model.model_json_schema()["properties"] for model in models.values()]
        for key in set().union(*schemas) - {"name"}:
            found = [{**schema[key], "default": None} for schema in schemas if key in schema]
            assert all(entry == found[0] for entry in found), key


@pytest.mark.long
@pytest.mark.parametrize("section", sorted(SECTIONS))
def test_a_section_is_explained_by_all_its_keys(section: str, mlp: Mlp) -> None:
    lines = done(mlp, "config", "explain", section).splitlines()
    keys = [option.key for option in options() if option.key.startswith(f"{section}.")]
    assert [line for line in lines if line and not line.startswith(" ")] == keys
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("lr", "optimizer.learning_rate"),
        ("optimizer.momentun", "optimizer.momentum"),
        ("epochs", "training.epochs"),
        ("regularization.dropout", "regularisation.dropout"),
        ("optimiser", "optimizer"),
    ],
)
def test_a_misspelt_key_gets_the_nearest(name: str, meant: str, mlp: Mlp) -> None:
    found = mlp("config", "explain", "seed", name)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == f"Error: {name}: unknown key. Did you mean {meant}?\n"


def test_all_unknown_keys_are_reported_at_once(mlp: Mlp) -> None:
    found = mlp("config", "explain", "lr", "zzz", "a.b\x1b")
    assert found.returncode == 2
    assert found.stderr.count("unknown key") == 3
    assert "zzz: unknown key. `mlp config explain` lists all keys." in found.stderr
    assert "\x1b" not in found.stderr


@pytest.mark.long
def test_without_a_configuration_the_default_one_is_shown_and_checked(mlp: Mlp) -> None:
    for command in (["config", "show"], ["gradcheck", "--set", "model.hidden=[4]", "--json"]):
        found = mlp(*command)
        assert (found.returncode, found.stderr) == (0, DEFAULT_LINE)
        assert found.stdout
    named = mlp("config", "show", "mnist")
    assert (named.stdout, named.stderr) == (mlp("config", "show").stdout, "")


@pytest.mark.long
def test_without_a_configuration_the_default_one_is_trained(mlp: Mlp, tmp_path: Path) -> None:
    (tmp_path / "mnist").write_text("not the shipped one")
    small = ("--set", "data.dataset=synthetic", "--set", "model.hidden=[4]")
    found = mlp("train", *small, "--set", "training.epochs=1")
    assert found.returncode == 0, found.stderr
    assert found.stderr.startswith(DEFAULT_LINE)
    assert found.stdout.endswith("\nruns/mnist-1\n")


def test_without_a_configuration_a_preview_is_of_the_default_one(mlp: Mlp) -> None:
    found = mlp("config", "preview", "p.png")
    assert found.returncode in (2, 3)  # without matplotlib, or without MNIST
    assert "No configuration is given.\n" not in found.stderr
    if found.returncode == 3:
        assert found.stderr.startswith(DEFAULT_LINE)
