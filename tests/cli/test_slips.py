"""Typical slips: the message holds the line that was meant, and that line works when it is pasted.

A slip is a whole command line, a `--set`, or a line of a configuration. The tests take the line out
of the message, between backticks, and run it by the real program.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

import click
import pytest
from helpers.own_images import write_own_images
from helpers.selection import few
from helpers.slips import CHANGES, COMMAND_LINES, FILES

from mlp_cli import SilentObserver, load_config, train
from mlp_cli.cli.main import cli, main
from mlp_cli.compute.select import THREAD_VARIABLES
from mlp_cli.errors import ConfigError


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the configuration of a small training, and its run."""
    folder = tmp_path_factory.mktemp("slips")
    (folder / "c.yaml").write_text(
        f"data: {{path: {write_own_images(folder)}, validation: 100}}\n"
        "model: {hidden: [8]}\ntraining: {epochs: 1}\n"
    )
    train(folder / "c.yaml", out=folder / "runs" / "a", observer=SilentObserver())
    return folder


@pytest.fixture
def folder(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder as the working directory."""
    shutil.copy(kept / "c.yaml", tmp_path)
    shutil.copytree(kept / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLP_KERNELS", "numpy")
    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, "1")  # `train` sets them, and they must not outlive the test
    return tmp_path


def exit_code(words: list[str]) -> object:
    """Run the program in this process."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    return ended.value.code or 0


def parse(words: list[str]) -> None:
    """Parse the words as the program does, without running the command."""
    name, command, rest = "mlp", cli, words
    while isinstance(command, click.Group):
        name, command, rest = command.resolve_command(click.Context(command), rest)
    command.make_context(name, list(rest))


@pytest.mark.long
@pytest.mark.parametrize(("slip", "meant"), COMMAND_LINES)
def test_the_message_about_a_command_line_holds_one_that_runs(
    slip: str, meant: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(shlex.split(slip)) == 2
    message = capsys.readouterr().err
    line = re.findall(r"`mlp ([^`]*)`", message)[-1]
    assert line == meant, message
    if line.startswith("download-data"):  # which would ask the network
        parse(shlex.split(line))
    else:
        assert exit_code(shlex.split(line)) == 0, capsys.readouterr().err


@pytest.mark.parametrize(("slip", "meant"), few([pytest.param(*case) for case in CHANGES], 3))
def test_the_message_about_a_change_holds_one_that_is_accepted(
    slip: str, meant: str, folder: Path
) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config("c.yaml", [slip])
    assert f"--set {slip}: " in str(refused.value)
    (line,) = {*re.findall(r"Write `(--set .*?)`", str(refused.value))}
    assert line == f"--set {meant}"
    changes = shlex.split(line)[1::2]
    assert load_config("c.yaml", changes)


@pytest.mark.parametrize("slip", ["zzz=1", "optimizer.frob=1", "training.epochs=many"])
def test_a_change_that_is_not_understood_gets_no_line(slip: str, folder: Path) -> None:
    for changes in ({"overrides": [slip]}, {"set": dict([slip.split("=")])}):
        with pytest.raises(ConfigError) as refused:
            load_config("c.yaml", **changes)  # type: ignore[arg-type]
        assert "Write" not in str(refused.value)


@pytest.mark.parametrize("slip", ["optimizer.beta1=0.8", "schedule.every=3"])
def test_a_key_of_another_choice_is_answered_by_the_choice(slip: str, folder: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config("c.yaml", [slip])
    (line,) = re.findall(r"or add `--set (.*?)`", str(refused.value))
    assert load_config("c.yaml", [slip, line])


@pytest.mark.parametrize(("text", "meant"), few([pytest.param(*case) for case in FILES], 3))
def test_the_message_about_a_file_holds_the_lines_to_write(
    text: str, meant: dict[str, str], folder: Path
) -> None:
    path = folder / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_config(path)
    found = re.findall(r"Write `(.*?)`", str(refused.value))
    assert sorted({*found}) == sorted({*filter(None, meant.values())} | {*found[1:]})
    for (wrong, right), line in zip(meant.items(), found, strict=True):
        assert right in ("", line)
        text = text.replace(wrong, right)
    path.write_text(text)
    assert load_config(path)


def test_a_key_is_put_under_the_section_that_the_file_has(folder: Path) -> None:
    path = folder / "wrong.yaml"
    path.write_text("epochs: 3\ntraining:\n  batch_size: 9\n")
    with pytest.raises(ConfigError, match=r"Write `epochs: 3` under training \(.*wrong.yaml:2\)"):
        load_config(path)
    path.write_text("training:\n  epochs: 3\n  batch_size: 9\n")
    assert load_config(path).training.epochs == 3


def test_a_folder_of_runs_lists_the_newest_last(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, name in enumerate(["c", "b", *(f"x{i}" for i in range(9))], 1):
        shutil.copytree("runs/a", f"runs/{name}")
        os.utime(f"runs/{name}/best.npz", ns=(0, 10**18 * 2 + number))
    for line in ("eval runs", "export runs net.c", "predict runs picture.png"):
        assert exit_code(line.split()) == 2
        message = capsys.readouterr().err
        assert "It holds 2 others, b, x0, x1, x2, x3, x4, x5, x6, x7, x8." in message
        assert message.endswith("Did you mean runs/x8?\n")


def test_a_folder_of_a_sweep_lists_its_runs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree("runs/a", "sweep/trials/00003/seed-0")
    assert exit_code(["eval", "sweep"]) == 2
    message = capsys.readouterr().err
    assert message.endswith(
        "It holds trials/00003/seed-0. Did you mean sweep/trials/00003/seed-0?\n"
    )


@pytest.mark.parametrize(
    "line",
    ["frobnicate", "train c.yaml --frob 3", "train c.yaml extra", "train c.yaml --lr often",
     "train c.yaml --set lr", "eval runs/a --lr 3", "train nowhere.yaml"],
)  # fmt: skip
def test_what_is_not_understood_gets_no_line(
    line: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(line.split()) == 2
    assert "Write `mlp" not in capsys.readouterr().err


def test_without_a_run_the_message_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code(["test"]) == 2
    assert capsys.readouterr().err.endswith("There is no run yet. Write `mlp train mnist`.\n")


def test_a_file_with_an_equals_sign_in_its_name_is_a_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy("c.yaml", "seed=1")
    assert exit_code(["train", "seed=1", "--lr", "0.01"]) == 2
    line = re.findall(r"`mlp ([^`]*)`", capsys.readouterr().err)[-1]
    assert line == "train seed=1 --set optimizer.learning_rate=0.01"
    assert exit_code(line.split()) == 0


def test_a_name_that_is_only_spelt_alike_is_not_suggested_beside_the_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["train", "c.yaml", "--lr", "0.01"]) == 2
    assert "Did you mean" not in capsys.readouterr().err
    assert exit_code(["train", "c.yaml", "--threds", "1"]) == 2
    message = capsys.readouterr().err
    assert "Did you mean --threads? Write `mlp train c.yaml --threads 1`." in message
