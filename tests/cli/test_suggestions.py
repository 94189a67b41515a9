"""A name that is misspelt, or written with capitals, is refused with the name that was meant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlp_cli import evaluate, load_config
from mlp_cli.cli import main
from mlp_cli.config.describe import options
from mlp_cli.config.shipped import shipped_configs
from mlp_cli.errors import ConfigError

CHOICES = {
    option.key: option.allowed.removeprefix("one of ").removesuffix(", or null").split(", ")
    for option in options()
    if option.allowed.startswith("one of ")
}
KEYS = [option.key for option in options()]


def misspelt(name: str) -> Iterator[str]:
    """Yield a name in other spellings, none of which is a name too."""
    yield name.upper()
    yield name.title()
    yield f" {name.title()} "
    yield f"{name}x"
    if "_" in name:
        yield name.replace("_", "-")
        yield name.title().replace("_", "")


def fault(*changes: str) -> str:
    with pytest.raises(ConfigError) as refused:
        load_config({}, changes)
    return str(refused.value)


@pytest.mark.long
@pytest.mark.parametrize("key", CHOICES)
def test_a_misspelt_choice_of_the_configuration_suggests_the_right_one(key: str) -> None:
    for name in CHOICES[key]:
        for wrong in misspelt(name):
            assert f". Did you mean {name}? Write `--set " in fault(f"{key}='{wrong}'"), wrong


def test_a_choice_in_place_of_its_section_suggests_the_section() -> None:
    for section in ("optimizer", "schedule"):
        for name in CHOICES[f"{section}.name"]:
            meant = f"must be a mapping of keys. Did you mean {{name: {name}}}?"
            assert meant in fault(f"{section}={name.upper()}")


def test_a_misspelt_key_or_section_suggests_the_right_one() -> None:
    for key in KEYS:
        section, dot, name = key.rpartition(".")
        wrong = {f"{section}{dot}{spelling.strip()}": key for spelling in misspelt(name)}
        if section:
            wrong |= {spelling.strip(): section for spelling in misspelt(section)}
        faults = fault(*(f"{spelling}=1" for spelling in wrong))
        for spelling, meant in wrong.items():
            assert f" {spelling}: unknown key. Did you mean {meant}?" in faults


def test_a_misspelt_shipped_configuration_suggests_the_right_one() -> None:
    for name in (each.name for each in shipped_configs()):
        parent, slash, last = name.rpartition("/")
        for wrong in (name.upper(), f"{parent}{slash}{last.title()}x"):
            with pytest.raises(ConfigError, match=rf"Did you mean ([\w/-]+ or )*{name}( or |\?)"):
                load_config(wrong)


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["TRAIN"], "train"),
        (["trian", "mnist"], "train"),
        (["Download-Data"], "download-data"),
        (["config", "Schema"], "schema"),
        (["train", "--JSON"], "--json"),
        (["train", "--thread", "2"], "--threads"),
        (["train", "-Q"], "-q"),
        (["--VERSION"], "--version"),
        (["config", "list", "--Json"], "--json"),
        (["eval", "run", "--split", "Test"], "test"),
        (["eval", "run", "--split", "VALIDATION"], "validation"),
        (["eval", "run", "--split=tran"], "train"),
    ],
)
def test_a_misspelt_word_of_the_command_line_suggests_the_right_one(
    arguments: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(arguments)
    assert ended.value.code == 2
    assert f". Did you mean {meant}?" in capsys.readouterr().err


def test_a_misspelt_name_of_kernels_suggests_the_right_one(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong, meant in (("NumPy", "numpy"), ("Fast", "fast"), ("nunpy", "numpy")):
        monkeypatch.setenv("MLP_KERNELS", wrong)
        with pytest.raises(SystemExit):
            main.main(["train", str(config)])
        assert capsys.readouterr().err.endswith(f"unset it. Did you mean {meant}?\n")


def test_a_misspelt_split_suggests_the_right_one_in_python() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean test\?"):
        evaluate("run", split="Test")
    with pytest.raises(ConfigError, match="split=3: give"):
        evaluate("run", split=3)  # type: ignore[arg-type]


def test_a_name_unlike_all_others_has_no_suggestion() -> None:
    assert "Did you mean" not in fault("model.activation=frobnicate")
    assert "Did you mean" not in fault("optimizer=3")
