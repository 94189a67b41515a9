"""`mlp train`: train one network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from mlp_cli.cli.options import (
    GivenPath,
    HelpfulCommand,
    all_mirrors,
    config_options,
    current_signals,
    data_dir_option,
    data_path_option,
    json_option,
    mirror_option,
    option,
)
from mlp_cli.cli.printing import show, show_json
from mlp_cli.cli.storage_warnings import storage_warnings_to


@click.command(cls=HelpfulCommand)
@config_options
@option(
    "--out",
    type=GivenPath(),
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
@option("--quiet", "-q", is_flag=True, help="Show no progress, only results and errors.")
@json_option
def train(
    config_path: Path,
    overrides: Sequence[str],
    out: Path | None,
    resume: bool,
    overwrite: bool,
    data_dir: Path,
    data_path: Path | None,
    mirrors: Sequence[str],
    threads: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train one network, then print its result and its run's folder.

    CONFIG is a YAML file, or the name of a shipped configuration (see `mlp config list`).
    """
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other.")
    if (resume or overwrite) and out is None:
        raise click.UsageError("--resume and --overwrite need --out, which names the run.")
    if data_path is not None and not resume:
        raise click.UsageError("--data-path needs --resume. For a new run: --set data.path=DIR.")

    from mlp_cli.compute.select import choose_engine, hold_blas
    from mlp_cli.config.load import load_config

    config = load_config(config_path, overrides)
    hidden, batch_size = config.model.hidden, config.training.batch_size
    engine = choose_engine(hidden, batch_size, os.environ, threads)
    hold_blas(os.environ)  # before anything imports NumPy

    from mlp_cli.reports.text import result_text
    from mlp_cli.runs.progress import ProgressObserver
    from mlp_cli.runs.train import RunOptions, train_run

    options = RunOptions(
        data_dir=data_dir,
        mirrors=all_mirrors(mirrors),
        out=out,
        mode="resume" if resume else "overwrite" if overwrite else "new",
        config_name=config_path.stem,
        engine=engine,
        data_path=data_path,
    )
    with ProgressObserver(quiet=quiet) as observer, storage_warnings_to(observer.warn):
        folder, result = train_run(config, options, observer, current_signals())
    assert result is not None  # a stopped training ends the process by its signal
    if as_json:
        show_json({**result, "run": str(folder)})
        return
    show(result_text(result))
    show(folder)
