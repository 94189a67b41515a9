"""A folder of the images that a network saw, to look at."""

from __future__ import annotations

import re
from pathlib import Path

from mlp_cli.data.pictures.reading import as_png
from mlp_cli.errors import ConfigError
from mlp_cli.inference.predict import Seen
from mlp_cli.storage.files import storage_errors, write_new

LONGEST_STEM = 80  # characters of a picture's name


class InputFolder:
    """A new or empty folder, to which each image is written as a PNG file of its own."""

    def __init__(self, folder: Path) -> None:
        """Make the folder, if it is not there.

        Raises
        ------
        ConfigError
            If it holds files.
        StorageError
            If it cannot be made or read.
        """
        self._folder = folder
        self._written = 0
        with storage_errors("write", folder):
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise ConfigError(f"{folder} is not empty. Name a new folder.")

    def add(self, seen: Seen) -> None:
        """Write an image, under its number and the name of its picture.

        Raises
        ------
        ConfigError
            If the extra `images` is not installed, or if another process wrote that file.
        StorageError
            If it cannot be written.
        """
        if seen.image is None:
            return
        self._written += 1
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", Path(seen.picture).name)[:LONGEST_STEM]
        write_new(self._folder / f"{self._written:05}-{stem}.png", as_png(seen.image))
