"""`mlp --version`: what is installed, read from the packages' metadata without importing them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import metadata
from platform import python_version

import click

from mlp_cli._version import __version__
from mlp_cli.cli.options import Command, option
from mlp_cli.cli.printing import show


def version_option(command: Command) -> Command:
    """Add `--version`."""
    return option(
        "--version",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_version,
        help="Show the versions of mlp, Python, NumPy and the kernels.",
    )(command)


def version_text(environ: Mapping[str, str]) -> str:
    """Return the versions in a line; the kernels are the fastest that a training may use."""
    numba = _installed("numba")
    kernels = f"numba {numba}" if numba and environ.get("MLP_KERNELS") != "numpy" else "numpy"
    numpy = _installed("numpy") or "not installed"
    return f"mlp {__version__} (Python {python_version()}, NumPy {numpy}, kernels: {kernels})"


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        show(version_text(os.environ))
        context.exit()
