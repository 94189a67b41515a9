"""`mlp config`: what configurations there are, what they may say, and what they show a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from mlp_cli.cli.options import (
    GivenPath,
    HelpfulGroup,
    config_option,
    data_dir_option,
    find_config_file,
    json_option,
    set_option,
)
from mlp_cli.cli.printing import show, show_json


@click.group(cls=HelpfulGroup)
def config() -> None:
    """List, describe and preview configurations."""


@config.command("list")
@json_option
def list_configs(as_json: bool) -> None:
    """List the shipped configurations, which `mlp train` finds by name."""
    from mlp_cli.config.shipped import shipped_configs

    found = shipped_configs()
    if as_json:
        show_json([{**each._asdict(), "path": str(each.path)} for each in found], indent=2)
        return
    width = max((len(each.name) for each in found), default=0)
    for each in found:
        show(f"{each.name:<{width}}  {each.description}")


@config.command()
def schema() -> None:
    """Print the JSON Schema of a configuration, for editors."""
    from mlp_cli.config.describe import json_schema

    show_json(json_schema(), indent=2)


@config.command()
@config_option
@set_option
@data_dir_option
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=GivenPath(stream=True),
    metavar="[CONFIG] FILE.png",
)
def preview(
    option: Path | None, overrides: Sequence[str], data_dir: Path, files: Sequence[Path]
) -> None:
    """Draw training images, and what the network sees of them in some epochs.

    CONFIG is a YAML file, or the name of a shipped configuration (see `mlp config list`). FILE may
    also end in .pdf or .svg. Nothing is trained or fetched.
    """
    *configs, picture = files
    if len(configs) > 1:
        raise click.UsageError("Give one configuration and one picture.")

    from mlp_cli.config.load import load_config
    from mlp_cli.data.dataset import load_dataset
    from mlp_cli.reports.figures import check_picture, draw_preview

    path = find_config_file(configs[0] if configs else None, option)
    loaded = load_config(path, overrides)
    check_picture(picture)
    draw_preview(picture, loaded, load_dataset(loaded, data_dir))
    show(picture)
