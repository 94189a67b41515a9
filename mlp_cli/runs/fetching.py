"""The data of a run: loaded, or fetched first if that is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlp_cli.config.data_section import DataConfig
from mlp_cli.config.schema import Config
from mlp_cli.data.dataset import Source, load_source, needed_files
from mlp_cli.data.mnist import mnist_folder
from mlp_cli.data.replacing import unused_files
from mlp_cli.errors import DataError, DownloadError, visible
from mlp_cli.training.observer import Observer


def obtain_source(
    config: Config, data_dir: Path, mirrors: Sequence[str], observer: Observer
) -> tuple[Config, Source]:
    """Load the images that a configuration names, fetching MNIST where that is allowed.

    Returns the configuration too. If MNIST cannot be had and `data.fallback` allows it, that
    configuration says `dataset: synthetic`.

    Raises
    ------
    DataError, DownloadError
        If the images cannot be had.
    """
    data = config.data
    try:
        return config, _load(data, data_dir, mirrors, observer)
    except (DataError, DownloadError) as error:
        if data.path is not None or data.fallback is None:
            raise
        observer.warn(
            f"{error}\nThis is NOT MNIST: training on the built-in SYNTHETIC digits instead, "
            "as the configuration's data.fallback says."
        )
    synthetic = data.model_copy(update={"dataset": "synthetic"})
    return config.model_copy(update={"data": synthetic}), load_source(synthetic, data_dir)


def _load(data: DataConfig, data_dir: Path, mirrors: Sequence[str], observer: Observer) -> Source:
    folder, files = mnist_folder(data_dir), needed_files(data.test)
    try:
        source = load_source(data, data_dir)
    except DataError:
        if data.path is not None or not data.download:
            raise
        from mlp_cli.data.download import fetch_mnist  # only if needed: its import takes 0.2 s

        fetch_mnist(folder, mirrors, files=files, log=observer.log, progress=observer.download)
        source = load_source(data, data_dir)
    if source.name == "mnist" and (unused := unused_files(folder, files)):
        observer.warn(unused)
    return source


def tell_found(source: Source, observer: Observer) -> None:
    """Say what `data.path` holds, if it is where the images come from."""
    if source.found is not None:
        observer.log(visible(str(source.found)))
