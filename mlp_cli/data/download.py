"""MNIST from mirrors that may be dead, slow, wrong or hidden behind a captive portal.

A file arrives whole and verified, or not at all. The user's mirrors are tried first, then the
built-in ones. What a mirror claims (status, length, type, encoding) decides at most whether it is
asked again; the SHA-256 of the decoded bytes decides what is kept. No wait is without a limit:
where no mirror answers at all, everything ends within 10 seconds.
"""

from __future__ import annotations

import io
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mlp_cli.data.mnist import MNIST_FILES, CutShortError, MnistFile, find, verified
from mlp_cli.data.transfer import PIECE, Body, MirrorError, Progress, is_url, shown, source_of
from mlp_cli.errors import DataError, DownloadError
from mlp_cli.storage.files import (
    atomic_writer,
    prepare_folder,
    storage_errors,
    wait_for_other_fetchers,
)

# Without http://yann.lecun.com/exdb/mnist/, MNIST's first home: since 2026 it answers 200 with a
# page of HTML, whatever the name.
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)

# Limits, in seconds and counts.
DEADLINE = 900.0  # for everything
TURN = 1.0  # for another process that shows no sign of a transfer
FIRST_ANSWER = 7.5  # until any mirror has answered; with TURN and the start-up it is below 10
RESERVE = 1.5  # of FIRST_ANSWER, for each mirror that is still to be tried
TRIES, BACKOFF, LONGEST_BACKOFF = 3, 1.0, 10.0

Log = Callable[[str], None]


def fetch_mnist(
    folder: Path,
    mirrors: Sequence[str],
    *,
    files: Sequence[MnistFile] = MNIST_FILES,
    force: bool = False,
    log: Log,
    progress: Progress,
) -> list[Path]:
    """Fetch what `folder` lacks or has damaged, to be kept unpacked; return the fetched paths.

    `mirrors`, base URLs or folders, are tried before the built-in ones. `log` is called with a line
    of text; `progress` with a file's name, the bytes that have arrived, and those that will have,
    None where nobody knows. Several processes may fetch into one folder at once.

    Raises
    ------
    DownloadError
        If no mirror gave one of the files.
    StorageError
        If the folder cannot be read or written.
    """

    def wanted() -> list[MnistFile]:
        return [file for file in files if force or find(folder, file) is None]

    if not wanted():
        return []
    deadline = time.monotonic() + DEADLINE
    prepare_folder(folder, [file.name for file in files])
    waiting = f"waiting for another process that fetches into {folder}"
    with wait_for_other_fetchers(folder, TURN, deadline, on_wait=lambda: log(waiting)):
        fetcher = _Fetcher([*mirrors, *MIRRORS], folder, deadline, log, progress)
        # The smallest first: a mirror's faults show before the large one is under way.
        return [fetcher.fetch(file) for file in sorted(wanted(), key=lambda file: file.size)]


class _Fetcher:
    """Fetches files into a folder, each from the first of its mirrors that gives it."""

    def __init__(
        self, mirrors: Sequence[str], folder: Path, deadline: float, log: Log, progress: Progress
    ) -> None:
        self._mirrors, self._folder, self._deadline = mirrors, folder, deadline
        self._log, self._progress = log, progress
        self._first_answer, self._answered = deadline, False
        self._dead: dict[str, str] = {}  # mirrors, and why

    def fetch(self, file: MnistFile) -> Path:
        """Fetch one file, and return its path."""
        reasons = []
        self._first_answer = min(time.monotonic() + FIRST_ANSWER, self._deadline)
        for number, mirror in enumerate(self._mirrors, 1):
            reason = self._dead.get(mirror)
            if reason is None:
                try:
                    return self._from_mirror(mirror, file, others=self._mirrors[number:])
                except MirrorError as error:
                    reason = shown(f"{mirror}: {error}")
                    self._log(reason)
                    if error.remedy == "dead":
                        self._dead[mirror] = reason
            reasons.append(f"  {reason}\n")
        raise DownloadError(
            f"no mirror gave {file.name}:\n{''.join(reasons)}Check the connection and the proxy "
            "(HTTPS_PROXY), or name another source with --mirror URL_OR_DIR or MLP_MIRROR, or put "
            f"MNIST's four files, raw or gzipped, into {self._folder}."
        )

    def _from_mirror(self, mirror: str, file: MnistFile, others: Sequence[str]) -> Path:
        """Try a mirror, again where that may help, and under the raw file's name too."""
        name, tries = f"{file.name}.gz", 1
        while True:
            try:
                return self._try(mirror, name, file, self._limit(others))
            except MirrorError as error:
                # Drawn, so that the processes of a sweep do not come back in step.
                backoff = BACKOFF * 2 ** (tries - 1) * secrets.SystemRandom().uniform(0.5, 1)
                wait = min(max(backoff, error.wait), LONGEST_BACKOFF)
                in_time = tries < TRIES and time.monotonic() + wait < self._limit(others)
                repeat = error.remedy == "again" and is_url(mirror) and in_time
                if error.remedy == "name" and name != file.name:
                    name = file.name
                elif repeat:
                    tries += 1
                    self._log(shown(f"{mirror}: {error}; trying again in {wait:.1f} s"))
                    time.sleep(wait)
                else:
                    raise

    def _limit(self, others: Sequence[str]) -> float:
        """Return when to leave a mirror to `others`: soon, as long as none has ever answered."""
        if self._answered:
            return self._deadline
        now, left = time.monotonic(), len(set(others) - set(self._dead))
        fair = now + (self._first_answer - now) / (left + 1)
        return max(self._first_answer - RESERVE * left, fair)

    def _try(self, mirror: str, name: str, file: MnistFile, limit: float) -> Path:
        """Fetch a file from one place, once."""
        if limit <= time.monotonic():
            raise MirrorError("not asked, no time was left")
        path = self._folder / file.name
        with Body(source_of(mirror, name), file, self._deadline, self._progress) as body:
            header = body.open(limit)
            self._answered = self._answered or is_url(mirror)
            if header.refusal is not None:
                raise header.refusal
            try:
                with storage_errors("write", path), atomic_writer(path) as target:
                    for piece in verified(io.BufferedReader(body, PIECE), file, layers=2):
                        target.write(piece)
            except CutShortError as error:
                raise MirrorError(f"got {body.amount}: {error}", "again") from error
            except DataError as error:
                raise MirrorError(f"{error} ({header.kind}, {body.amount})") from error
            self._log(shown(f"{file.name}: {body.amount} from {mirror}"))
        return path
