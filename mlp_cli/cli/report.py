"""`mlp report`: a page about a run, or about several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from mlp_cli.cli.options import (
    GivenPath,
    HelpfulCommand,
    data_dir_option,
    data_path_option,
    examples,
    option,
    paths_argument,
)
from mlp_cli.cli.printing import show


@click.command(
    cls=HelpfulCommand,
    short_help="Make a page about runs.",
    epilog=examples("mlp report runs/a --out a.html", "mlp report runs --out all.html"),
)
@paths_argument
@option(
    "--out",
    required=True,
    type=GivenPath(dir_okay=False),
    metavar="FILE.html",
    help="The page. An older page that is there is replaced, any other file is not.",
)
@data_dir_option
@data_path_option
def report(paths: Sequence[Path], out: Path, data_dir: Path, data_path: Path | None) -> None:
    """Make an HTML page about a run, or about several: one file, which loads nothing.

    PATH is the folder of a run, of a sweep, or a folder that holds some. The page of one run has
    its result, learning curves, mistakes, weights and configuration; that of several compares them.
    """
    from mlp_cli.reports.page.write import write_report
    from mlp_cli.runs.progress import ProgressObserver

    write_report(paths, out, data_dir, data_path, ProgressObserver().warn)
    show(out)
