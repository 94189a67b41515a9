"""`mlp sweep`: search hyperparameters."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from mlp_cli.cli.options import (
    GivenPath,
    HelpfulCommand,
    all_mirrors,
    current_signals,
    data_dir_option,
    examples,
    json_option,
    mirror_option,
    option,
)
from mlp_cli.cli.printing import show, show_json
from mlp_cli.cli.storage_warnings import storage_warnings_to
from mlp_cli.errors import CheckFailedError


@click.command(
    cls=HelpfulCommand,
    short_help="Search hyperparameters.",
    epilog=examples(
        "mlp sweep rates.yaml --out sweeps/rates",
        "mlp sweep rates.yaml --out sweeps/rates --jobs 1 --json",
    ),
)
@click.argument("file", type=GivenPath(dir_okay=False), metavar="SWEEP.yaml")
@option(
    "--out",
    type=GivenPath(file_okay=False),
    metavar="DIR",
    help="The sweep's folder, which is needed. The same command continues the sweep there.",
)
@option(
    "--jobs",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Runs that train at once. Default: one for each core.",
)
@option("--test", is_flag=True, help="Score the confirmed trial on the test set.")
@option("--fail-fast", is_flag=True, help="Stop at the first run that fails.")
@option("--retry-failed", is_flag=True, help="Train the runs again that failed.")
@data_dir_option
@mirror_option
@option("--quiet", "-q", is_flag=True, help="Show no progress, only results and errors.")
@json_option
def sweep(
    file: Path,
    out: Path | None,
    jobs: int | None,
    test: bool,
    fail_fast: bool,
    retry_failed: bool,
    data_dir: Path,
    mirrors: Sequence[str],
    quiet: bool,
    as_json: bool,
) -> None:
    """Train a network for each trial of a sweep, and print the best one.

    Any number of these commands may work on one folder at the same time. If one is stopped or
    killed, the same command continues.
    """
    if out is None:
        raise click.UsageError("--out is missing: the folder of the sweep, as in --out sweeps/a.")

    from mlp_cli.compute.machine import available_cores
    from mlp_cli.compute.select import choose_engine, hold_blas, want_fast
    from mlp_cli.sweep.progress import SweepProgress
    from mlp_cli.sweep.reading import read_sweep

    with SweepProgress(quiet=quiet) as progress, storage_warnings_to(progress.warn):
        found = read_sweep(file)
        # One thread for each run, unless the user says more: so the results do not depend on jobs.
        threads = None if os.environ.get("OMP_NUM_THREADS") else 1
        kernels = "fast" if want_fast(os.environ) else "numpy"
        engine = choose_engine((), 1, os.environ, threads, kernels, progress.warn)
        hold_blas(os.environ)  # before anything imports NumPy

        from mlp_cli.sweep.driver import SweepOptions, run_sweep
        from mlp_cli.sweep.outcome import outcome_text

        options = SweepOptions(
            out=out,
            data_dir=data_dir,
            mirrors=all_mirrors(mirrors),
            jobs=jobs or max(1, available_cores() // engine.threads),
            engine=engine,
            test=test,
            fail_fast=fail_fast,
            retry_failed=retry_failed,
        )
        result = run_sweep(found, options, progress, current_signals())
    assert result is not None  # a stopped sweep ends the process by its signal
    if as_json:
        show_json({**result, "sweep": str(out)})
    else:
        show(outcome_text(result, out, found.minimise))
        if result["best"] is not None:
            show(out / result["best"]["run"])
    if result["failed"]:
        raise CheckFailedError(
            f"{result['failed']} of the runs failed; {out / 'trials'}/*/failed.json says why. "
            "--retry-failed trains them again."
        )
