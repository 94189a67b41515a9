"""An option that is given twice is refused, because one of its values would be dropped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import click
import pytest
from helpers.documents import commands

Mlp = Callable[..., CompletedProcess[str]]

OPTIONS = [
    pytest.param(command, option, id=f"{name} {option.opts[0]}")
    for name, command in commands()
    for option in command.params
    if isinstance(option, click.Option)
]


def values(option: click.Option) -> tuple[str, str]:
    if isinstance(option.type, click.Choice):
        return option.type.choices[0], option.type.choices[1]
    if isinstance(option.type, click.FloatRange) and option.type.max == 1:
        return "0.3", "0.4"
    known = {"integer range": ("3", "4"), "float range": ("3", "4"), "size": ("3x4", "4x3")}
    return known.get(option.type.name, ("a=1", "b=2"))


def parse(command: click.Command, *words: str) -> click.Context:
    """Parse the words, with what else the command needs."""
    given = list(words)
    for each in command.params:
        if each.required and isinstance(each, click.Argument):
            given.append("x.png")
        elif each.required and not any(word.startswith(each.opts[0]) for word in words):
            given += [each.opts[0], "x.html"]
    return command.make_context("mlp", given)


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_each_option_is_repeatable_or_refused_with_both_values(
    command: click.Command, option: click.Option
) -> None:
    name = option.opts[0]
    if option.is_flag:
        assert parse(command, name, name).params[str(option.name)] is True
        return
    first, second = values(option)
    if option.multiple:
        assert "May be repeated" in str(option.help)
        found = parse(command, name, first, name, second).params[str(option.name)]
        assert list(found) == [first, second]
        return
    assert parse(command, name, second)
    for words in ([name, first, name, second], [f"{name}={first}", f"{name}={second}"]):
        with pytest.raises(click.UsageError) as caught:
            parse(command, *words)
        assert caught.value.exit_code == 2
        assert f"{name} is given twice: {first} and {second}. " in str(caught.value)


def test_a_repeated_configuration_trains_nothing(mlp: Mlp, config: Path, tmp_path: Path) -> None:
    done = mlp("train", "--config", config, "--config", "other.yaml", "--out", "run")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"--config is given twice: {config} and other.yaml. Give it once." in done.stderr
    assert not (tmp_path / "run").exists()


def test_every_value_of_several_is_named(mlp: Mlp) -> None:
    done = mlp("eval", "run", "--split", "test", "--split", "train", "--split", "test")
    assert done.returncode == 2
    assert "--split is given 3 times: test and train and test. Give it once." in done.stderr


def test_a_value_of_the_environment_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLP_DATA_DIR", "there")
    command = dict(commands())["mlp download-data"]
    assert command.make_context("mlp", []).params["data_dir"] == Path("there")
    assert command.make_context("mlp", ["--data-dir", "x"]).params["data_dir"] == Path("x")
