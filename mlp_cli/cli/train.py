"""`mlp train`: train one network."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click
from click.core import ParameterSource

from mlp_cli.cli.completion.candidates import complete_out
from mlp_cli.cli.config_options import config_options, default_config, run_config
from mlp_cli.cli.options import (
    GivenPath,
    HelpfulCommand,
    current_signals,
    data_dir_option,
    data_path_option,
    examples,
    json_option,
    mirror_option,
    option,
)
from mlp_cli.cli.printing import show, show_json
from mlp_cli.cli.storage_warnings import storage_warnings_to
from mlp_cli.storage.paths import all_mirrors


@click.command(
    cls=HelpfulCommand,
    short_help="Train one network.",
    epilog=examples(
        "mlp train mnist",
        "mlp train mnist --set training.epochs=3 --out runs/a",
        "mlp train --resume --out runs/a",
    ),
)
@config_options(has_default=False)
@option(
    "--out",
    type=GivenPath(),
    shell_complete=complete_out,
    metavar="DIR",
    help="The run's folder. Without it, the run gets a new folder runs/<config name>-1, -2, …",
)
@option("--resume", is_flag=True, help="Continue the run in --out, or start it.")
@option("--overwrite", is_flag=True, help="Replace the run in --out.")
@data_dir_option
@data_path_option
@mirror_option
@option(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Number of threads. Default: OMP_NUM_THREADS, or else by the network's size.",
)
@option("--report", is_flag=True, help="At the end, write a page about the run into its folder.")
@option("--quiet", "-q", is_flag=True, help="Show no progress, only results and errors.")
@json_option
def train(
    config_path: Path | None,
    overrides: Sequence[str],
    out: Path | None,
    resume: bool,
    overwrite: bool,
    data_dir: Path,
    data_path: Path | None,
    mirrors: Sequence[str],
    threads: int | None,
    report: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train one network, then print its result and its run's folder.

    CONFIG is a YAML file, or the name of a shipped configuration (see `mlp config list`); mnist if
    none is given.
    """
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other.")
    if (resume or overwrite) and out is None:
        raise click.UsageError("--resume and --overwrite need --out, which names the run.")
    if overwrite and config_path is None:  # the default would replace a run of another one
        raise click.UsageError("--overwrite needs a configuration. Name it, as in mlp train mnist.")
    if data_path is not None and not resume:
        raise click.UsageError("--data-path needs --resume. For a new run: --set data.path=DIR.")

    from mlp_cli.compute.select import choose_engine, hold_blas
    from mlp_cli.config.load import load_config
    from mlp_cli.runs.progress import ProgressObserver

    with ProgressObserver(quiet=quiet) as observer, storage_warnings_to(observer.warn):
        if config_path is None:
            config_path = run_config(out) if resume and out else default_config(observer.log)
        config = load_config(config_path, overrides, warn=observer.warn)
        hidden, batch_size = config.model.hidden, config.training.batch_size
        engine = choose_engine(hidden, batch_size, os.environ, threads, warn=observer.warn)
        hold_blas(os.environ)  # before anything imports NumPy

        from mlp_cli.runs.claim import run_name
        from mlp_cli.runs.train import RunOptions, train_run

        if report:
            from mlp_cli.reports.page.write import check_run_report

            check_run_report(out)
        options = RunOptions(
            data_dir=data_dir,
            mirrors=all_mirrors(mirrors),
            out=out,
            mode="resume" if resume else "overwrite" if overwrite else "new",
            config_name=run_name(config_path),
            engine=engine,
            data_path=data_path,
            resume_with=_given(data_dir=data_dir, threads=threads),
        )
        folder, result = train_run(config, options, observer, current_signals())
    assert result is not None  # a stopped training ends the process by its signal
    if not quiet:
        _show_curve(folder)
    if as_json:
        show_json({**result, "run": str(folder)})
    else:
        from mlp_cli.reports.text import result_text

        show(result_text(result))
        show(folder)
    if report:
        from mlp_cli.reports.page.write import write_run_report

        observer = ProgressObserver(quiet=quiet)
        observer.log(f"report: {write_run_report(folder, data_dir, data_path, observer.warn)}")


def _show_curve(folder: Path) -> None:
    """Show a small learning curve on stderr, if that is a terminal that can show it."""
    from mlp_cli.errors import StorageError
    from mlp_cli.reports.curve import error_curve
    from mlp_cli.runs.colour import shows_blocks
    from mlp_cli.runs.progress import ProgressObserver
    from mlp_cli.runs.records import read_metrics

    if not shows_blocks(sys.stderr):
        return
    with suppress(StorageError):  # damaged metrics of a finished run do not spoil its result
        records = read_metrics(folder / "metrics.jsonl")
        if curve := error_curve(records, shutil.get_terminal_size().columns):
            ProgressObserver().log(curve)


def _given(**values: object) -> list[str]:
    """Return the options among these that stand on the command line, as words."""
    context = click.get_current_context()
    words = []
    for name, value in values.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return words
