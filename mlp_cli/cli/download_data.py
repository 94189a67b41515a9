"""`mlp download-data`: fetch MNIST."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from mlp_cli.cli.options import (
    HelpfulCommand,
    data_dir_option,
    examples,
    mirror_option,
    option,
)
from mlp_cli.cli.printing import show
from mlp_cli.cli.storage_warnings import storage_warnings_to
from mlp_cli.storage.paths import all_mirrors


@click.command(
    "download-data",
    cls=HelpfulCommand,
    short_help="Fetch and verify MNIST.",
    epilog=examples(
        "mlp download-data",
        "mlp download-data --data-dir ~/data",
    ),
)
@data_dir_option
@mirror_option
@option("--force", is_flag=True, help="Fetch the files even if they are already there.")
def download_data(data_dir: Path, mirrors: Sequence[str], force: bool) -> None:
    """Fetch MNIST's four files, verify them, and keep them unpacked in DIR/mnist.

    If DIR itself holds files with MNIST's names, and no folder mnist, they are kept in DIR.
    """
    from mlp_cli.data.download import fetch_mnist
    from mlp_cli.data.mnist import mnist_folder
    from mlp_cli.runs.progress import ProgressObserver

    folder = mnist_folder(data_dir)
    with ProgressObserver() as observer, storage_warnings_to(observer.warn):
        fetched = fetch_mnist(
            folder, all_mirrors(mirrors), force=force, log=observer.log, progress=observer.download
        )
    observer.log(
        f"fetched {len(fetched)} files" if fetched else "all files were already there; verified"
    )
    show(folder)
