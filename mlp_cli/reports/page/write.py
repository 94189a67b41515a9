"""Write the page about a run, or about several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from mlp_cli.errors import ConfigError
from mlp_cli.reports.page.comparison_contents import comparison_contents
from mlp_cli.reports.page.render import render
from mlp_cli.reports.page.run_contents import run_contents
from mlp_cli.runs.folder import RunFolder, is_page
from mlp_cli.runs.listing import find_runs, read_runs
from mlp_cli.storage.files import atomic_write, exists

SUFFIXES = (".html", ".htm")


def check_page(out: Path) -> None:
    """Check that a page can be made at this path; call this before long work.

    Raises
    ------
    ConfigError
        If its name is not that of a page, if another file has this name, or if the extra `report`
        is not installed.
    StorageError
        If the file that is there cannot be read.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{out}: a report is a page. Give it a name that ends in .html.")
    _check_installed()
    if exists(out) and not out.is_dir() and not is_page(out):
        raise ConfigError(
            f"{out} is already there, and mlp did not make it. Choose another name, or move it."
        )


def check_run_report(run: Path | None) -> None:
    """Check that a run's folder, None for a new one, can get a page; call this before training.

    Raises
    ------
    ConfigError
        As `check_page`.
    """
    if run is None:
        _check_installed()
    else:
        check_page(RunFolder(run).report)


def _check_installed() -> None:
    if find_spec("matplotlib") is None or find_spec("jinja2") is None:
        raise ConfigError("a report needs the extra `report`: pip install 'mlp-cli[report]'")


def write_run_report(
    run: Path, data_dir: Path, data_path: Path | None, warn: Callable[[str], object]
) -> Path:
    """Write the page about a run into its folder, and return its path.

    The parameters and errors are those of `write_report` and `check_run_report`.
    """
    check_run_report(run)
    out = RunFolder(run).report
    write_report([run], out, data_dir, data_path, warn)
    return out


def write_report(
    paths: Sequence[Path],
    out: Path,
    data_dir: Path,
    data_path: Path | None,
    warn: Callable[[str], object],
) -> None:
    """Write the page about the runs in `paths`: one run in full, or several compared.

    Parameters
    ----------
    paths
        Folders of runs and sweeps, or folders that hold some.
    out
        The page. An older page that is there is replaced.
    data_dir, data_path
        Where MNIST lies, in a folder `mnist`; and where the data of one run with `data.path` are
        now, None if its configuration says it.
    warn
        Is told what is missing on the page.

    Raises
    ------
    ConfigError
        If there is no run, or as `check_page`.
    StorageError
        If a folder cannot be read, or the page cannot be written.
    """
    check_page(out)
    found = list(find_runs(paths))
    if len(found) == 1:
        run = run_contents(found[0], data_dir, data_path)
        for note in run.notes:
            warn(f"{found[0].path}: {note}")
        page = render("run.html", page=run)
    else:
        comparison = comparison_contents(paths, read_runs(found))
        for fault in comparison.faults:
            warn(f"{fault.path}: {fault.state}. {fault.reason}")
        page = render("comparison.html", page=comparison)
    atomic_write(out, page.encode(errors="backslashreplace"))
