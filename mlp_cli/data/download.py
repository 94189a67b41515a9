"""Fetch MNIST from mirrors, which may be dead, slow, wrong or hidden by a captive portal.

A file is kept only if it is complete and verified. The user's mirrors are tried first, then the
built-in ones. The SHA-256 of the decoded bytes alone decides whether a file is kept. What a mirror
claims (status, length, type, encoding) decides only whether it is asked again. Every wait has a
limit: if no mirror answers at all, everything ends within 10 seconds.
"""

from __future__ import annotations

import io
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mlp_cli.data.mnist import MNIST_FILES, CutShortError, MnistFile, find, rejected, verified
from mlp_cli.data.replacing import refuse_to_replace
from mlp_cli.data.transfer import (
    CHUNK,
    Body,
    Header,
    MirrorError,
    Progress,
    is_url,
    printable,
    shown,
    source_of,
)
from mlp_cli.errors import ConfigError, DataError, DownloadError
from mlp_cli.storage.files import atomic_writer, storage_errors
from mlp_cli.storage.folders import prepare_folder, wait_for_other_fetchers

# MNIST's first site, http://yann.lecun.com/exdb/mnist/, is left out: since 2026 it answers every
# request with status 200 and an HTML page.
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)

# Limits, in seconds and counts.
DEADLINE = 900.0  # for everything
FETCHER_PATIENCE = 1.0  # for another process that shows no progress
FIRST_ANSWER = 7.5  # until any mirror answers; below 10 with FETCHER_PATIENCE and the start-up
RESERVE = 1.5  # of FIRST_ANSWER, kept for each mirror that is still to be tried
TRIES, BACKOFF, LONGEST_BACKOFF = 3, 1.0, 10.0

Log = Callable[[str], None]


class SettingError(ConfigError, DownloadError):
    """No fetch was possible with the user's proxy or certificates: trying again is no use."""


def fetch_mnist(
    folder: Path,
    mirrors: Sequence[str],
    *,
    files: Sequence[MnistFile] = MNIST_FILES,
    force: bool = False,
    log: Log,
    progress: Progress,
) -> list[Path]:
    """Fetch the files that are missing or damaged in `folder`, and store them unpacked.

    Several processes may fetch into one folder at once. A file of the user's is never replaced.

    Parameters
    ----------
    folder
        Where the files are stored; it is made if it is missing.
    mirrors
        Base URLs or folders, which are tried before the built-in mirrors.
    files, force
        The files that are needed; `force` fetches them even if verified copies are there.
    log
        Called with a line of text.
    progress
        Called with a file's name, the bytes that have arrived, and the expected total, which is
        None if it is unknown.

    Returns
    -------
    The paths of the fetched files.

    Raises
    ------
    DataError
        If a file in the folder has a name of `files`, but is neither MNIST's nor a damaged copy.
    DownloadError
        If every mirror failed for one of the files; a `SettingError` if a setting is the cause.
    StorageError
        If the folder cannot be read or written.
    """

    def wanted() -> list[MnistFile]:
        return [file for file in files if force or find(folder, file) is None]

    missing = wanted()
    if not missing:
        return []
    refuse_to_replace(folder, missing)
    deadline = time.monotonic() + DEADLINE
    prepare_folder(folder, [file.name for file in files])
    waiting = f"waiting for another process that is fetching into {folder}"
    with wait_for_other_fetchers(folder, FETCHER_PATIENCE, deadline, on_wait=lambda: log(waiting)):
        fetcher = _Fetcher([*mirrors, *MIRRORS], folder, deadline, log, progress)
        # The smallest first: a faulty mirror is found before the transfer of a large file.
        return [fetcher.fetch(file) for file in sorted(wanted(), key=lambda file: file.size)]


class _Fetcher:
    """Fetches files into a folder, each from the first mirror that has it."""

    def __init__(
        self, mirrors: Sequence[str], folder: Path, deadline: float, log: Log, progress: Progress
    ) -> None:
        self._mirrors, self._folder, self._deadline = mirrors, folder, deadline
        self._log, self._progress = log, progress
        self._first_answer, self._answered = deadline, False
        self._skipped: list[str] = []  # why mirrors failed; logged only if another one serves
        self._dead: dict[str, str] = {}  # a mirror that is not asked again: the reason
        self._misconfigured: set[str] = (
            set()
        )  # those of them that failed by a setting of the user's

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
                    reason = f"{shown(mirror)}: {printable(str(error))}"
                    self._skipped.append(reason)
                    if error.remedy in ("dead", "setting"):
                        self._dead[mirror] = reason
                    if error.remedy == "setting":
                        self._misconfigured.add(mirror)
            reasons.append(f"  {reason}\n")
        damaged = [
            f"{path} is damaged: {fault}.\n" for path, fault in rejected(self._folder, file).items()
        ]
        urls = set(filter(is_url, self._mirrors))
        misconfigured = bool(urls) and urls <= self._misconfigured
        check = "Check the connection and the proxy (HTTPS_PROXY)"
        if misconfigured:
            check = "Correct the setting"
        elif re.search("certificate|SSL|_ssl", "".join(reasons)):
            check += ", and the file of trusted certificates (SSL_CERT_FILE or REQUESTS_CA_BUNDLE)"
        raise (SettingError if misconfigured else DownloadError)(
            f"cannot fetch {file.name} from any mirror:\n{''.join([*reasons, *damaged])}"
            f"{check}, or name another source with --mirror URL_OR_DIR or MLP_MIRROR, or put "
            f"MNIST's four files, raw or gzipped, into {self._folder}."
        )

    def _from_mirror(self, mirror: str, file: MnistFile, others: Sequence[str]) -> Path:
        """Fetch a file from one mirror; try the raw file's name too, and again if that may help."""
        name, tries = f"{file.name}.gz", 1
        while True:
            try:
                return self._try(mirror, name, file, self._limit(others))
            except MirrorError as error:
                # The wait is random, so that the processes of a sweep do not all retry at once.
                backoff = BACKOFF * 2 ** (tries - 1) * secrets.SystemRandom().uniform(0.5, 1)
                wait = min(max(backoff, error.wait), LONGEST_BACKOFF)
                in_time = tries < TRIES and time.monotonic() + wait < self._limit(others)
                repeat = error.remedy == "again" and is_url(mirror) and in_time
                if error.remedy == "name" and name != file.name:
                    name = file.name
                elif repeat:
                    tries += 1
                    self._log(
                        f"{shown(mirror)}: {printable(str(error))}; trying again in {wait:.1f} s"
                    )
                    time.sleep(wait)
                else:
                    raise

    def _limit(self, others: Sequence[str]) -> float:
        """Return the time at which to give up on a mirror, as `time.monotonic` counts it.

        Until any mirror has answered, it is early enough to try `others` too.
        """
        if self._answered:
            return self._deadline
        now, left = time.monotonic(), len(set(others) - set(self._dead))
        fair = now + (self._first_answer - now) / (left + 1)
        return max(self._first_answer - RESERVE * left, fair)

    def _try(self, mirror: str, name: str, file: MnistFile, limit: float) -> Path:
        """Fetch a file from one mirror under one name, once."""
        if limit <= time.monotonic():
            raise MirrorError("not tried, because no time was left")
        path = self._folder / file.name
        with Body(source_of(mirror, name), file, self._deadline, self._progress) as body:
            header = body.open(limit)
            self._answered = self._answered or is_url(mirror)
            if header.refusal is not None:
                raise header.refusal
            with storage_errors("write", path), atomic_writer(path) as output:
                for chunk in _content(body, header, file):
                    output.write(chunk)
                refuse_to_replace(self._folder, [file])  # it may have come there meanwhile
            for line in (*self._skipped, f"{file.name}: {body.amount} from {shown(mirror)}"):
                self._log(line)
            self._skipped.clear()
        return path


def _content(body: Body, header: Header, file: MnistFile) -> Iterator[bytes]:
    """Yield the verified content of a file that a mirror sends."""
    try:
        yield from verified(io.BufferedReader(body, CHUNK), file, layers=2)
    except CutShortError as error:
        raise MirrorError(f"got {body.amount}: {error}", "again") from error
    except DataError as error:
        raise MirrorError(f"{error} ({header.kind}, {body.amount})") from error
