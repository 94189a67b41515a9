"""The pictures of several paths, of which some may be unreadable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mlp_cli.data.pictures.reading import Picture, picture_files, read_pictures
from mlp_cli.errors import DataError, MlpError, StorageError


class Pictures:
    """All pictures of some paths, in their order. What cannot be read is told, and passed over.

    Attributes
    ----------
    failures
        What could not be read so far, and why.
    """

    def __init__(self, paths: Sequence[Path], warn: Callable[[str], object]) -> None:
        """Name the paths, and whom to warn of what cannot be read."""
        self.failures: list[MlpError] = []
        self._paths = paths
        self._warn = warn

    def __iter__(self) -> Iterator[Picture]:
        """Yield the pictures, each of which is read when it is needed.

        Raises
        ------
        ConfigError
            If the extra `images` is needed and not installed.
        DataError, StorageError
            If a single file is given, and it cannot be read.
        """
        for path in self._paths:
            try:
                files = picture_files(path)
            except (DataError, StorageError) as error:
                if len(self._paths) == 1:
                    raise
                self.fail(error)
                continue
            for file in files:
                try:
                    yield from read_pictures(file)
                except (DataError, StorageError) as error:
                    self.fail(error)

    def fail(self, error: MlpError) -> None:
        """Note that a picture cannot be used; if no other is given, that is the error."""
        if len(self._paths) == 1 and not self._paths[0].is_dir():
            raise error
        self.failures.append(error)
        self._warn(str(error))

    def check(self) -> None:
        """Raise an error of the first failure's class, if there were any."""
        if self.failures:
            n = len(self.failures)
            what = "1 of the pictures was" if n == 1 else f"{n} of the pictures were"
            raise type(self.failures[0])(f"{what} not read, for the reasons above.")
