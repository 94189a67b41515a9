"""`mlp compare`: runs and sweeps in one table."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlp_cli.cli.completion.candidates import (
    complete_network,
    complete_sort,
)
from mlp_cli.cli.options import (
    GivenPath,
    HelpfulCommand,
    data_dir_option,
    examples,
    json_option,
    option,
    paths_argument,
)
from mlp_cli.cli.printing import show, show_json
from mlp_cli.errors import ConfigError

if TYPE_CHECKING:
    from mlp_cli.runs.listing import ListedRun

MAX_TOLD = 10  # runs whose damage or failure is told on stderr


@click.command(
    cls=HelpfulCommand,
    short_help="Compare runs and sweeps in one table.",
    epilog=examples(
        "mlp compare runs",
        "mlp compare runs --sort learning_rate --csv",
        "mlp compare runs --top 3 --against runs/a",
    ),
)
@paths_argument
@option(
    "--against",
    type=GivenPath(),
    shell_complete=complete_network,
    metavar="RUN",
    help="Compare each run with this one on the same images, by McNemar's exact test.",
)
@option(
    "--sort",
    default="val_error",
    show_default=True,
    shell_complete=complete_sort,
    metavar="KEY",
    help="Sort by run, state, n, val_error, test_error, seconds, or a key of the configuration.",
)
@option("--top", type=click.IntRange(1), metavar="N", help="Show only the first N lines.")
@option("--csv", "as_csv", is_flag=True, help="Print the table as CSV, with all figures.")
@option("--markdown", "as_markdown", is_flag=True, help="Print the table as Markdown.")
@json_option
@option(
    "--plot",
    type=GivenPath(dir_okay=False),
    metavar="FILE.png",
    help="Draw the learning curves, and how the keys and the error belong together. The file may "
    "also be .pdf or .svg.",
)
@data_dir_option
def compare(
    paths: Sequence[Path],
    against: Path | None,
    sort: str,
    top: int | None,
    as_csv: bool,
    as_markdown: bool,
    as_json: bool,
    plot: Path | None,
    data_dir: Path,
) -> None:
    """Compare runs in one table, with the keys in which they differ.

    PATH is the folder of a run, of a sweep, or a folder that holds some. Runs that differ only in
    their seed share a line, with mean and standard deviation; with --against, each run has a line.
    """
    if as_csv + as_markdown + as_json > 1:
        raise click.UsageError("--csv, --markdown and --json exclude each other.")

    from mlp_cli.reports import comparison as reports
    from mlp_cli.reports import comparison_text as texts
    from mlp_cli.runs.comparing import differing_keys, make_lines, sort_lines
    from mlp_cli.runs.listing import find_runs, read_runs
    from mlp_cli.runs.progress import ProgressObserver

    if plot is not None:
        from mlp_cli.reports import comparison_figures, figures

        figures.check_picture(plot)
    warn = ProgressObserver().warn
    reference = None
    if against is not None:
        reference = _only_run(read_runs(find_runs([against])), against)
    runs = read_runs(find_runs(paths if reference is None else [reference, *paths]))
    tell_faults(runs)
    lines = make_lines(runs, single=reference is not None)
    keys = differing_keys(lines)
    lines = sort_lines(lines, sort)
    if top is not None:
        lines = [
            line for rank, line in enumerate(lines) if rank < top or line.first.path == reference
        ]
    differences = {}
    if reference is not None:
        from mlp_cli.inference import against as inference

        others = [line.first.path for line in lines if line.first.path != reference]
        each = inference.differences(reference, others, data_dir, warn)
        differences = dict(zip(others, each, strict=True))
    comparison = reports.Comparison(lines, keys, reference, differences)
    if plot is not None:
        comparison_figures.draw_comparison(plot, comparison, warn)
    if as_json:
        show_json(reports.comparison_dict(comparison), indent=2)
    elif as_csv:
        show(reports.comparison_csv(comparison).removesuffix("\n"))
    elif as_markdown:
        show(texts.comparison_markdown(comparison))
    else:
        show(texts.comparison_text(comparison, shutil.get_terminal_size().columns))


def tell_faults(runs: Sequence[ListedRun]) -> None:
    """Tell on stderr which runs are damaged or failed, and why."""
    from mlp_cli.runs.progress import ProgressObserver

    faulty = [run for run in runs if run.reason]
    warn = ProgressObserver().warn
    for run in faulty[:MAX_TOLD]:
        warn(f"{run.path}: {run.state}. {run.reason}")
    if len(faulty) > MAX_TOLD:
        warn(f"{len(faulty) - MAX_TOLD:,} more runs are damaged or failed: --json says why.")


def _only_run(runs: Sequence[ListedRun], path: Path) -> Path:
    if len(runs) > 1:
        raise ConfigError(f"--against {path}: it holds {len(runs):,} runs. Give one of them.")
    return runs[0].path
