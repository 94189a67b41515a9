"""Empty, blank and unprintable text: stripped, or refused by name, and always shown escaped."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import click
import pytest
from helpers.craft import opened, sealed
from helpers.documents import commands

from mlp_cli import SilentObserver, evaluate, load, load_config, train
from mlp_cli.cli.options import GivenPath
from mlp_cli.errors import ConfigError, visible, visible_lines
from mlp_cli.storage.paths import given_mirror

Mlp = Callable[..., CompletedProcess[str]]
ROOT = Path(__file__).parents[2]
ESCAPE = "\x1b]0;owned\x07\x9b2J\u202e"  # a title, a cleared screen, and text that runs backwards
SHOWN = r"\x1b]0;owned\x07\x9b2J\u202e"

PATHS = [
    pytest.param(command, parameter, id=f"{name} {parameter.opts[0]}")
    for name, command in commands()
    for parameter in command.params
    if isinstance(parameter.type, click.Path) or parameter.name == "mirrors"
]
ODD = [
    ("", "the path '' is empty. Name"),
    (" \t", r"the path ' \t' is empty. Name"),
    ("run\r", r"the path 'run\r' begins or ends with a blank character. Give the script"),
    (" run", "the path ' run' begins or ends with a blank character. Remove it"),
    ("run\n", r"the path 'run\n' begins or ends with a blank character. Remove it"),
]


@pytest.mark.parametrize(("command", "parameter"), PATHS)
def test_every_path_is_refused_by_name_if_it_is_empty_or_blank(
    command: click.Command, parameter: click.Parameter
) -> None:
    for given, said in ODD:
        if isinstance(parameter, click.Option):
            words = [f"{parameter.opts[0]}={given}", "x.png"]
        else:
            arguments = [each for each in command.params if isinstance(each, click.Argument)]
            words = [*["x.png"] * arguments.index(parameter), given]
        with pytest.raises(click.BadParameter) as caught:
            command.make_context("mlp", words)
        assert said in caught.value.format_message()
        assert caught.value.param is parameter


@pytest.mark.parametrize(("command", "parameter"), PATHS)
def test_a_stream_is_refused_where_none_is_possible(
    command: click.Command, parameter: click.Parameter
) -> None:
    takes_streams = ("argument", "file", "files", "paths")
    if not isinstance(parameter.type, GivenPath) or parameter.name in takes_streams:
        return
    if parameter.opts[0] in ("--config", "--predictions"):
        return
    words = ["-"] if isinstance(parameter, click.Argument) else [parameter.opts[0], "-", "x.png"]
    with pytest.raises(click.BadParameter, match=r"a stream \(-\) is not possible here"):
        command.make_context("mlp", words)


def test_a_blank_at_the_end_of_what_exists_is_meant(tmp_path: Path) -> None:
    (tmp_path / "run ").mkdir()
    command = dict(commands())["mlp eval"]
    words = [str(tmp_path / "run ")]
    assert command.make_context("mlp", words).params["checkpoints"] == (tmp_path / "run ",)


def test_an_empty_out_is_not_the_working_folder(mlp: Mlp, config: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    done = mlp("train", config, "--out", "")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Invalid value for '--out': the path '' is empty." in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_script_with_windows_line_ends_is_told_so(config: Path, tmp_path: Path) -> None:
    script = tmp_path / "train.sh"
    words = [sys.executable, "-m", "mlp_cli", "train", str(config), "--quiet", "--out", "run"]
    script.write_bytes(f"{shlex.join(words)}\r\n".encode())
    done = subprocess.run(
        ["bash", script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert rb"the path 'run\r' begins or ends with a blank character" in done.stderr
    assert b"\r" not in done.stderr
    assert not list(tmp_path.glob("run*"))


@pytest.mark.parametrize(
    "change",
    [" training.epochs=7", "training.epochs =7", "\ttraining. epochs = 7 ", "training.epochs=7\r"],
)
def test_blanks_around_a_key_and_a_value_do_not_count(change: str, config: Path) -> None:
    assert load_config(config, [change]).training.epochs == 7
    key, _, value = change.partition("=")
    assert load_config(config, set={key: int(value)}).training.epochs == 7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("se\red=1", r"--set se\red=1: not of the form KEY=VALUE"),
        ("seed\x1b=1", r"--set seed\x1b=1: not of the form KEY=VALUE"),
        (" =1", "--set  =1: not of the form KEY=VALUE"),
        ("training. =1", "not of the form KEY=VALUE"),
        ('loss=" mse"', "found ' mse'; must be one of cross_entropy, mse. Did you mean mse?"),
        ('loss="mse\\r"', r"found 'mse\r'; must be one of cross_entropy, mse. Did you mean mse?"),
        ('data.path=" "', "the path ' ' is empty"),
        ('data.path="/own\\r"', r"the path '/own\r' begins or ends with a blank"),
    ],
)
def test_what_is_not_stripped_is_refused_and_shown(change: str, said: str, config: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(config, [change])
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_key_with_blanks_is_shown_in_quotes(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text('" seed": 1\n')
    with pytest.raises(ConfigError, match=r"c.yaml:1: ' seed': unknown key. Did you mean seed\?"):
        load_config(file)


@pytest.mark.parametrize("section", ["data", "model", "optimizer", "schedule", "regularisation"])
@pytest.mark.parametrize("null", ["null", "~", "", " # all"])
def test_no_section_is_reset_by_null(section: str, null: str, config: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(config, [f"{section}={null}"])
    assert f"{section}: null would reset the whole section. Change its keys, as in " in str(
        caught.value
    )
    with pytest.raises(ConfigError, match="null would reset the whole section"):
        load_config(config, set={section: None})


def test_an_empty_mapping_changes_nothing(config: Path) -> None:
    assert load_config(config, ["model={}", "data={}"]) == load_config(config)
    assert load_config({}, ["model={}"]) == load_config({})


def test_a_section_without_lines_still_means_its_defaults(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("model:\n  # hidden: [3]\n")
    assert load_config(tmp_path / "c.yaml") == load_config({})


@pytest.mark.parametrize("empty", ["", " ", "x\r", "x\0"])
def test_paths_from_python_are_refused_too(empty: str, config: Path) -> None:
    for call in (
        lambda: train(config, out=empty),
        lambda: train(config, data_dir=empty),
        lambda: train(config, mirrors=[empty]),
        lambda: train(empty),
        lambda: load_config(empty),
        lambda: load_config({"data": {"path": empty}}) if empty else given_mirror(empty),
        lambda: load(empty),
        lambda: evaluate(empty),
    ):
        with pytest.raises(ConfigError, match="the path '"):
            call()


@pytest.mark.long
@pytest.mark.parametrize(
    "arguments",
    [
        [f"tr{ESCAPE}ain"],
        ["train", f"{ESCAPE}.yaml"],
        ["train", "mnist", f"x{ESCAPE}"],
        ["train", "mnist", f"--x{ESCAPE}=3"],
        ["train", "mnist", "--threads", ESCAPE],
        ["train", "mnist", "--set", ESCAPE],
        ["train", "mnist", "--set", f"loss={ESCAPE}"],
        ["train", "mnist", "--config", ESCAPE],
        ["train", "--config", "a", "--config", ESCAPE],
        ["eval", ESCAPE],
        ["eval", "x", "--split", ESCAPE],
    ],
    ids=range(11),
)
def test_arguments_are_shown_escaped(arguments: list[str], mlp: Mlp, tmp_path: Path) -> None:
    done = mlp(*arguments, MLP_DATA_DIR=str(tmp_path / "data"), no_proxy="*")
    assert done.returncode == 2
    assert visible_lines(done.stderr) == done.stderr
    assert SHOWN[:12] in done.stderr.replace("\\\\", "\\")


@pytest.mark.long
def test_texts_of_files_reach_the_terminal_escaped(mlp: Mlp, config: Path, tmp_path: Path) -> None:
    run = train(config, out=tmp_path / "run", set={"training.epochs": 1},
                observer=SilentObserver()).path  # fmt: skip
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({**result, "dataset": ESCAPE}))
    arguments = ["train", run / "config.yaml", "--out", run, "--resume"]
    text, as_json = mlp(*arguments), mlp(*arguments, "--json")
    assert f"  {SHOWN}\n" in text.stdout
    assert json.loads(as_json.stdout)["dataset"] == ESCAPE
    arrays, header = opened(run / "best.npz")
    header["config"]["data"]["path"] = f"/own{ESCAPE}"
    (run / "best.npz").write_bytes(sealed(arrays, header))
    missing = mlp("eval", run)
    assert missing.returncode == 3
    assert f"/own{SHOWN}" in missing.stderr
    odd = tmp_path / f"own{ESCAPE}"
    config.parent.joinpath("own-8x8-10").rename(odd)
    header["config"]["data"]["path"] = str(odd)
    (run / "best.npz").write_bytes(sealed(arrays, header))
    scored = mlp("eval", run)
    assert scored.returncode == 0, scored.stderr
    for done in (text, as_json, missing, scored):
        assert visible_lines(done.stdout + done.stderr) == done.stdout + done.stderr


def test_text_that_can_be_printed_is_shown_as_it_is() -> None:
    assert visible("日本 é δᵀ a\\r") == "日本 é δᵀ a\\r"
    assert visible("\r\n\t\x00\x7f\x85\u2028\udcff\U000e0001") == (
        r"\r\n\t\x00\x7f\x85\u2028\udcff\U000e0001"
    )
