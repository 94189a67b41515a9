"""Every command in the documents is one that the program has, and the other way round."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from pathlib import Path

import click
import pytest
from helpers.documents import DOCS, GUIDE, ROOT, blocks, commands, first_column, name, prose

from mlp_cli.cli.main import EXIT_CODES, cli
from mlp_cli.errors import MlpError

COMMANDS = dict(commands())
PAGE = DOCS / "commands.md"


def calls(page: Path) -> list[str]:
    """Every call of `mlp` in a page's shell blocks, without what comes before and after it."""
    found = []
    for block in blocks(page, "sh"):
        text = block.replace("\\\n", " ").replace('"$@"', "")  # these words are not known
        for part in re.split(r"&&|\|\|?|:::|;|>|\bdo\b|\n", text):  # ::: is GNU parallel's
            call = re.search(r"(?:^|\s)(?:\S*/)?(mlp(?:\s.*)?)$", part.rstrip())
            if call is not None:
                found.append(call[1])
    return found


CALLS = [pytest.param(call, id=f"{name(page)}: {call}") for page in GUIDE for call in calls(page)]


def parse(call: str) -> None:
    """Parse a call as the program does, down to the command that it names."""
    name, command, words = "mlp", cli, shlex.split(call, comments=True)[1:]
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(click.Context(command), words)
    command.make_context(name, list(words))


@pytest.mark.parametrize("call", CALLS)
def test_a_command_in_the_documents_parses(call: str) -> None:
    parse(call)
    for config in re.findall(
        r"^mlp (?:train|gradcheck|config preview) (?:--config )?(\w[\w/.-]*)", call
    ):
        assert (ROOT / config).is_file() or (ROOT / "configs" / f"{config}.yaml").is_file()


@pytest.mark.parametrize("page", GUIDE, ids=name)
def test_a_command_named_in_the_text_is_one(page: Path) -> None:
    for call in re.findall(r"`(mlp [a-z][^`A-Z\[…]*)`", prose(page)):
        with suppress(click.MissingParameter):  # `mlp eval`, without what it is to score
            parse(call)


@pytest.mark.parametrize(
    "call", ["mlp train --config c.yaml --epochs 3", "mlp config scheme", "mlp trian c.yaml"]
)
def test_a_wrong_command_does_not_parse(call: str) -> None:
    with pytest.raises(click.UsageError):
        parse(call)


def test_the_page_has_a_section_for_each_command_and_no_other() -> None:
    assert sorted(sections()) == sorted(COMMANDS)


def sections() -> dict[str, str]:
    """The sections of the page by their commands."""
    found = re.findall(
        r"^## `(mlp [a-z -]*[a-z])[^`]*`\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.M | re.S
    )
    return dict(found)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_and_option_has_help_and_is_on_the_page(name: str) -> None:
    command, section = COMMANDS[name], sections()[name]
    assert command.help
    options = {option for option in command.params if isinstance(option, click.Option)}
    for option in options:
        assert option.help, option.name
        assert f"`{option.opts[0]}" in section, option.opts[0]
    written = set(re.findall(r"`(--[a-z-]+)", "".join(re.findall(r"^\| (.*?) \|", section, re.M))))
    assert written == {option.opts[0] for option in options}


def test_the_tables_of_exit_codes_have_the_codes_of_the_errors() -> None:
    codes = {"0", "1", *(str(error.exit_code) for error in MlpError.__subclasses__())}
    listed = first_column(PAGE, "exit code")
    assert listed == [*sorted(codes), "signal"]
    assert set(re.findall(r"\b(\d) ", EXIT_CODES)) == codes
