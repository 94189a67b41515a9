"""`mlp config`: what configurations there are, what they say and may say, what a network sees."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import click

from mlp_cli.cli.completion.candidates import complete_config, complete_key
from mlp_cli.cli.config_options import (
    config_option,
    config_options,
    default_config,
    find_config_file,
    set_option,
)
from mlp_cli.cli.options import (
    GivenPath,
    HelpfulGroup,
    data_dir_option,
    examples,
    json_option,
    option,
)
from mlp_cli.cli.printing import show, show_json


@click.group(cls=HelpfulGroup, short_help="Describe and preview configurations.")
def config() -> None:
    """List, show, explain and preview configurations."""


@config.command(
    "list",
    short_help="List the shipped configurations.",
    epilog=examples("mlp config list", "mlp config list --json"),
)
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


@config.command(
    "show",
    short_help="Show a configuration with all its keys.",
    epilog=examples(
        "mlp config show mnist",
        "mlp config show mnist --changed",
        "mlp config show --set seed=1 > mine.yaml",
    ),
)
@config_options()
@option("--changed", is_flag=True, help="Show only the keys that differ from their defaults.")
@json_option
def show_config(config_path: Path, overrides: Sequence[str], changed: bool, as_json: bool) -> None:
    """Show a configuration with the values of all keys, as YAML that `mlp train` reads.

    CONFIG is a YAML file, or the name of a shipped configuration (see `mlp config list`); mnist if
    none is given. Beside each value stands where it comes from: its default, a line of a file, or
    --set. A value that differs from its default has the default beside it, too.
    """
    from mlp_cli.config.load import load_with_origins
    from mlp_cli.config.text import changed_keys, resolved_text
    from mlp_cli.runs.progress import ProgressObserver

    loaded, origins = load_with_origins(config_path, overrides, ProgressObserver().warn)
    if as_json:
        show_json(changed_keys(loaded) if changed else loaded.to_dict(), indent=2)
    else:
        show(resolved_text(loaded, origins, only_changed=changed).removesuffix("\n"))


@config.command(
    "explain",
    short_help="Explain keys of a configuration.",
    epilog=examples("mlp config explain", "mlp config explain optimizer.momentum data"),
)
@click.argument("keys", nargs=-1, shell_complete=complete_key, metavar="[KEY]...")
def explain_keys(keys: Sequence[str]) -> None:
    """Explain keys of a configuration: meaning, default and allowed values.

    KEY is a key, such as optimizer.momentum, or a section, such as optimizer, which means all of
    its keys. Without KEY, all keys are listed, with a line for each.
    """
    from mlp_cli.config.explain import WIDTH, explain, overview

    width = min(WIDTH, shutil.get_terminal_size((WIDTH, 0)).columns)
    show(explain(keys, width) if keys else overview(width))


@config.command(
    short_help="Print the JSON Schema, for editors.",
    epilog=examples("mlp config schema", "mlp config schema > mlp.schema.json"),
)
def schema() -> None:
    """Print the JSON Schema of a configuration, for editors."""
    from mlp_cli.config.describe import json_schema

    show_json(json_schema(), indent=2)


@config.command(
    short_help="Draw what a network sees.",
    epilog=examples(
        "mlp config preview mnist seen.png",
        "mlp config preview mnist a.png --set distortion.shift=3",
    ),
)
@config_option
@set_option
@data_dir_option
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=GivenPath(stream=True),
    shell_complete=complete_config,
    metavar="[CONFIG] FILE.png",
)
def preview(
    option: Path | None, overrides: Sequence[str], data_dir: Path, files: Sequence[Path]
) -> None:
    """Draw training images, and what the network sees of them in some epochs.

    CONFIG is a YAML file, or the name of a shipped configuration (see `mlp config list`); mnist if
    none is given. FILE may also end in .pdf or .svg. Nothing is trained or fetched.
    """
    *configs, picture = files
    if len(configs) > 1:
        raise click.UsageError("Give one configuration and one picture.")

    from mlp_cli.config.load import load_config
    from mlp_cli.data.dataset import load_dataset
    from mlp_cli.reports.figures import check_picture, draw_preview
    from mlp_cli.runs.progress import ProgressObserver

    path = find_config_file(configs[0] if configs else None, option)
    check_picture(picture)
    loaded = load_config(path or default_config(), overrides, warn=ProgressObserver().warn)
    draw_preview(picture, loaded, load_dataset(loaded, data_dir))
    show(picture)
