"""`mlp runs`: what is in a folder of runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from mlp_cli.cli.compare import tell_faults
from mlp_cli.cli.options import GivenPath, HelpfulCommand, examples, json_option
from mlp_cli.cli.printing import show, show_json


@click.command(
    cls=HelpfulCommand,
    short_help="List the runs in a folder.",
    epilog=examples("mlp runs", "mlp runs runs --json"),
)
@click.argument("folder", default=Path("runs"), type=GivenPath(), metavar="[DIR]")
@json_option
def runs(folder: Path, as_json: bool) -> None:
    """List the runs in a folder, those written to last at the end.

    DIR is runs if it is not given. Each run has its state, when it was last written to, its best
    validation accuracy, how long it took, and the keys that differ from their defaults.
    """
    from mlp_cli.reports.run_list import ListEntry, run_list_text
    from mlp_cli.runs.listing import changed_settings, find_runs, last_change, read_runs

    found = list(find_runs([folder]))
    listed = read_runs(found)
    tell_faults(listed)
    entries = [
        ListEntry(run, last_change(each), changed_settings(run))
        for run, each in zip(listed, found, strict=True)
    ]
    entries.sort(key=lambda entry: entry.written or 0)
    if as_json:
        show_json([entry.to_dict() for entry in entries], indent=2)
    else:
        show(run_list_text(entries, folder, shutil.get_terminal_size().columns))
