"""What the README, the configurations and the help say is what the program does."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import click
import pytest

import mlp_cli
from mlp_cli.cli.main import cli
from mlp_cli.config.describe import Option, options
from mlp_cli.config.load import load_config
from mlp_cli.config.sections import DistortionConfig

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CONFIGS = sorted((ROOT / "configs").glob("**/*.yaml"))


def shell_lines() -> list[str]:
    """The lines of the README's shell blocks, continued lines joined."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    return "\n".join(blocks).replace("\\\n", " ").splitlines()


def mlp_commands() -> list[str]:
    """Every call of `mlp` in them, without what comes before and behind it."""
    found = []
    for line in shell_lines():
        for part in re.split(r"&&|\||;|>|\bdo\b", line):
            words = part.split()
            if words and words[0].rpartition("/")[2] == "mlp":
                found.append(part.strip())
    return found


def commands(group: click.Group, path: str = "mlp") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(commands(cli))


@pytest.mark.parametrize("line", mlp_commands())
def test_the_commands_of_the_readme_parse(line: str) -> None:
    context, command = click.Context(cli, info_name="mlp"), cli
    arguments = shlex.split(line, comments=True)[1:]
    while isinstance(command, click.Group):
        name, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        context = found.make_context(name, list(arguments), parent=context)
        if not isinstance(found, click.Group):
            break
        command, arguments = found, context.protected_args + context.args
    for config in re.findall(r"--config (configs/\S+)", line):
        assert (ROOT / config).exists()


def test_a_wrong_command_would_not_parse() -> None:
    with pytest.raises(click.UsageError):
        COMMANDS["mlp train"].make_context("train", ["--config", "c.yaml", "--epochs", "3"])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_in_the_readme_and_has_help(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert f"`{name}" in README
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert f"`{parameter.opts[0]}" in README, parameter.opts[0]


def test_every_subcommand_of_the_interface_is_there() -> None:
    assert set(COMMANDS) == {
        "mlp config list",
        "mlp config preview",
        "mlp config schema",
        "mlp download-data",
        "mlp eval",
        "mlp gradcheck",
        "mlp train",
    }


def row(option: Option) -> str:
    return f"| `{option.key}` | {option.default} | {option.allowed} | {option.description} |"


def test_the_readme_lists_every_key_as_the_program_knows_it() -> None:
    missing = [row(option) for option in options() if row(option) not in README]
    assert not missing, "put these lines into the README's table:\n" + "\n".join(missing)
    listed = re.findall(r"^\| `([a-z0-9_.]+)` \|", README, re.MULTILINE)
    assert {option.key for option in options()} <= set(listed)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_is_right_and_says_what_it_shows(path: Path) -> None:
    load_config(path)
    comment = [line for line in path.read_text().splitlines() if line.startswith("# ")]
    assert comment[0].endswith((".", ":", ",")) or len(comment) > 1
    # A recipe says whose network it is, and what they had.
    expected = "% errors" if path.parent.name == "recipes" else "hows"
    assert any(expected in line for line in comment)


def test_the_changelog_knows_this_version() -> None:
    assert f"## {mlp_cli.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert f'version = "{mlp_cli.__version__}"' in (ROOT / "pyproject.toml").read_text()


def test_pages_and_recipes_hold_the_results_of_the_runs() -> None:
    spec = spec_from_file_location("results", ROOT / "scripts" / "results.py")
    assert spec is not None
    assert spec.loader is not None
    results = sys.modules["results"] = module_from_spec(spec)
    spec.loader.exec_module(results)
    files = results.updated()
    assert len(files) > 1
    for path, text in files.items():
        assert path.read_text() == text, f"{path}: run scripts/results.py"


@pytest.mark.parametrize(
    "run",
    sorted(result.parent for result in (ROOT / "results").glob("*/*/result.json")),
    ids=lambda run: f"{run.parent.name}-{run.name}",
)
def test_a_run_behind_a_result_is_its_recipe_s(run: Path) -> None:
    recipe = ROOT / "configs" / "recipes" / f"{run.parent.name}.yaml"
    trained = load_config(run / "config.yaml", [])
    assert trained == load_config(recipe, [f"seed={run.name}"])
    assert trained.data.test
    metrics = (run / "metrics.jsonl").read_text().splitlines()
    assert len(metrics) == json.loads((run / "result.json").read_text())["epochs"]


@pytest.mark.parametrize(
    "recipe",
    sorted((ROOT / "configs" / "recipes").glob("*-undistorted.yaml")),
    ids=lambda recipe: recipe.stem,
)
def test_an_undistorted_recipe_differs_by_its_distortions_only(recipe: Path) -> None:
    partner = load_config(recipe.with_name(recipe.name.replace("-undistorted", "")), [])
    assert not partner.distortion.is_none
    undistorted = partner.model_copy(update={"distortion": DistortionConfig()})
    assert load_config(recipe, []) == undistorted
