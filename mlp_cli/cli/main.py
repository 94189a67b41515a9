"""The command line: parse, call one function of the library, print, and turn errors into codes.

Nothing is decided here. Results go to stdout, everything else to stderr. The library is imported
inside the commands, so that `mlp --help` and completion start at once, and so that `train` can fix
the number of threads before NumPy is loaded.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from mlp_cli._version import __version__
from mlp_cli.cli.options import (
    all_mirrors,
    config_option,
    data_dir_option,
    json_option,
    mirror_option,
    show,
)
from mlp_cli.cli.signals import Interrupted, Signals, die_by
from mlp_cli.errors import CheckFailedError, ConfigError, MlpError

EXIT_CODES = """\b
Exit codes: 0 done; 1 a check failed (--max-error, gradcheck); 2 usage or configuration; 3 data
missing or damaged; 4 a fetch failed, worth retrying; 5 checkpoint damaged; 6 training diverged;
7 disk or permission. SIGINT and SIGTERM save, then end the process by that signal.
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(__version__, prog_name="mlp")
def cli() -> None:
    """Train fully connected networks on MNIST, and score and check them."""


@cli.command("download-data")
@data_dir_option
@mirror_option
@click.option("--force", is_flag=True, help="Fetch the files even where they are already there.")
def download_data(data_dir: Path, mirrors: Sequence[str], force: bool) -> None:
    """Fetch MNIST's four files, verify them, and keep them unpacked in DIR/mnist."""
    from mlp_cli.cli.progress import TerminalObserver
    from mlp_cli.data.download import fetch_mnist

    folder = data_dir / "mnist"
    with TerminalObserver() as observer:
        fetched = fetch_mnist(
            folder, all_mirrors(mirrors), force=force, log=observer.log, progress=observer.download
        )
    observer.log(
        f"fetched {len(fetched)} files" if fetched else "all files were there, and verified"
    )
    show(folder)


@cli.command()
@config_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The run's folder; without it runs/<config name>-1, -2, … is made.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out, or start it.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --out.")
@data_dir_option
@mirror_option
@click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Threads to compute with; else OMP_NUM_THREADS, else by the network's size.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress; results and errors stay.")
@json_option
def train(
    config_path: Path,
    overrides: Sequence[str],
    out: Path | None,
    resume: bool,
    overwrite: bool,
    data_dir: Path,
    mirrors: Sequence[str],
    threads: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train one network, and print its result and its run's folder."""
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other.")
    if (resume or overwrite) and out is None:
        raise click.UsageError("--resume and --overwrite need --out: which run is meant?")

    from mlp_cli.compute.select import choose_threads, hold_blas, want_fast
    from mlp_cli.config.load import load_config

    config, fast = load_config(config_path, overrides), want_fast(os.environ)
    hidden, batch_size = config.model.hidden, config.training.batch_size
    threads = choose_threads(threads, hidden, batch_size, fast, os.environ)
    hold_blas(os.environ)  # before anything imports NumPy

    from mlp_cli.cli.progress import TerminalObserver
    from mlp_cli.reports.text import result_text
    from mlp_cli.runs.train import RunOptions, train_run
    from mlp_cli.storage.strict_json import to_json

    options = RunOptions(
        data_dir=data_dir,
        mirrors=all_mirrors(mirrors),
        out=out,
        mode="resume" if resume else "overwrite" if overwrite else "new",
        config_name=config_path.stem,
    )
    with TerminalObserver(
        quiet=quiet, epochs=config.training.epochs, signals=_signals()
    ) as observer:
        folder, result = train_run(config, options, threads, fast, observer)
    assert result is not None  # a training that was stopped ends the process by its signal
    if as_json:
        show(to_json({**result, "run": str(folder)}))
        return
    show(result_text(result))
    show(folder)


@cli.command("eval")
@click.argument("checkpoints", nargs=-1, required=True, metavar="RUN_OR_CHECKPOINT...")
@click.option(
    "--split",
    type=click.Choice(["test", "validation", "train"]),
    default="test",
    show_default=True,
    help="Which images to score.",
)
@data_dir_option
@click.option(
    "--max-error",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Exit with 1 where the error rate is above this.",
)
@click.option(
    "--predictions",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.csv",
    help="Write each image's label, prediction and probability.",
)
@click.option(
    "--mistakes",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Draw the images that are taken for another class; .pdf and .svg do as well.",
)
@json_option
def evaluate(
    checkpoints: Sequence[str],
    split: str,
    data_dir: Path,
    max_error: float | None,
    predictions: Path | None,
    mistakes: Path | None,
    as_json: bool,
) -> None:
    """Score a trained network, or several as one committee (mean of their log-probabilities)."""
    from mlp_cli.inference.evaluate import evaluate_checkpoints
    from mlp_cli.reports import text
    from mlp_cli.storage.strict_json import to_json

    if mistakes is not None:
        from mlp_cli.reports import figures

        figures.check_picture(mistakes)
    evaluation = evaluate_checkpoints([Path(name) for name in checkpoints], split, data_dir)
    if predictions is not None:
        text.write_predictions(predictions, evaluation)
    if mistakes is not None:
        figures.draw_mistakes(mistakes, evaluation)
    show(to_json(evaluation.to_dict()) if as_json else text.evaluation_text(evaluation))
    error = 100 * evaluation.scores.errors / evaluation.scores.n
    if max_error is not None and error > max_error:
        raise CheckFailedError(f"the error is {error:.2f} %, above --max-error {max_error:g} %.")


@cli.command()
@config_option
@json_option
def gradcheck(config_path: Path, overrides: Sequence[str], as_json: bool) -> None:
    """Prove the batched gradient ΔW = δᵀ a on the network of a configuration.

    In float64, on drawn inputs, the gradient that `train` computes is compared with the sum over
    single examples, with outer products by tiling, and with central differences.
    """
    from mlp_cli.compute.select import choose_threads, hold_blas, want_fast
    from mlp_cli.config.load import load_config

    config, fast = load_config(config_path, overrides), want_fast(os.environ)
    hidden, batch_size = config.model.hidden, config.training.batch_size
    threads = choose_threads(None, hidden, batch_size, fast, os.environ)
    hold_blas(os.environ)  # before anything imports NumPy

    from mlp_cli.compute.select import choose_kernels
    from mlp_cli.compute.threads import ThreadTeam
    from mlp_cli.gradcheck.check import check_gradient
    from mlp_cli.reports import text
    from mlp_cli.storage.strict_json import to_json

    found = check_gradient(config, ThreadTeam(threads), choose_kernels(fast))
    show(to_json(found.to_dict()) if as_json else text.gradcheck_text(found))
    if found.wrong:
        raise CheckFailedError(f"the gradient is wrong in {', '.join(found.wrong)}.")


@cli.group("config")
def config_group() -> None:
    """Describe configurations."""


@config_group.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of a configuration, for editors."""
    from mlp_cli.config.describe import json_schema
    from mlp_cli.storage.strict_json import to_json

    show(to_json(json_schema(), indent=2))


@config_group.command("preview")
@config_option
@data_dir_option
@click.argument("picture", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.png")
def config_preview(
    config_path: Path, overrides: Sequence[str], data_dir: Path, picture: Path
) -> None:
    """Draw training images, and what the network is shown of them: distorted anew in each epoch.

    FILE may end in .pdf or .svg as well. Nothing is trained or fetched.
    """
    from mlp_cli.config.load import load_config
    from mlp_cli.data.dataset import load_dataset
    from mlp_cli.reports.figures import check_picture, draw_preview

    config = load_config(config_path, overrides)
    check_picture(picture)
    draw_preview(picture, config, load_dataset(config, data_dir))
    show(picture)


def _signals() -> Signals:
    found = click.get_current_context().find_object(Signals)
    return found if found is not None else Signals()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and exit: the one place where errors become messages and exit codes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # it is None where the caller closed it
            stream.reconfigure(errors="backslashreplace")
    try:
        with Signals() as signals:
            code = cli.main(arguments, prog_name="mlp", standalone_mode=False, obj=signals)
    except Interrupted as interruption:
        die_by(interruption.number)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except MlpError as error:
        click.echo(f"Error: {error}", err=True)
        code = error.exit_code
    except MemoryError as error:
        click.echo(
            f"Error: not enough memory. {error or 'None is left'}. Choose a smaller model.hidden "
            "or training.batch_size, or a machine with more.",
            err=True,
        )
        code = ConfigError.exit_code
    sys.exit(code)
