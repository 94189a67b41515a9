"""One transfer of one file from one mirror, which is a URL or a folder.

`download` decides which mirror is asked and when. Nothing that a server claims is trusted: every
wait has a limit, and so has every amount of data.
"""

from __future__ import annotations

import io
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.request import url2pathname

import requests
from urllib3.exceptions import HTTPError, ProtocolError, ProxySchemeUnknown
from urllib3.util import Retry

from mlp_cli.data.mnist import MnistFile, files_named
from mlp_cli.errors import reason

# Limits, in seconds, bytes and counts.
CONNECT = 3.0  # to connect to one address
PATIENCE = 10.0  # for the header, and for each chunk of the body
MIN_RATE, WINDOW = 10_000, 20.0  # bytes a second, measured over so many seconds
REDIRECTS = 5
CHUNK = 1 << 16  # bytes read at once

NETWORK_ERRORS = (OSError, HTTPError, HTTPException, ValueError)  # requests' are OSErrors
Progress = Callable[[str, int, int | None], None]


class MirrorError(Exception):
    """A mirror failed to send a file; `remedy` says what to try.

    "next": the next mirror. "dead": the next mirror, and never this one again. "setting": the same,
    because a setting of the user's makes every request fail. "name": this mirror with the other
    name of the file. "again": the same request, after at least `wait` seconds, which the mirror
    asked for.
    """

    Remedy = Literal["next", "dead", "setting", "name", "again"]

    def __init__(self, reason: str, remedy: Remedy = "next", wait: float = 0) -> None:
        super().__init__(reason)
        self.remedy = remedy
        self.wait = wait


class Header(NamedTuple):
    """What is known before the body arrives: its type, its length, and why it is refused, if so."""

    kind: str
    length: int | None
    refusal: MirrorError | None = None


Source = Generator[Header | bytes, None, None]  # the header, then the chunks of the body


class Body(io.RawIOBase):
    """The bytes of a source as they arrive; every read has a time limit.

    A separate thread reads the source, because a slow name server, or a header that arrives byte by
    byte, ignores the timeouts of sockets. It is a daemon thread: if it hangs, the process can still
    end.
    """

    def __init__(
        self, source: Source, file: MnistFile, deadline: float, progress: Progress
    ) -> None:
        self._file, self._deadline, self._progress = file, deadline, progress
        self._arrived: queue.SimpleQueue[Header | bytes | Exception] = queue.SimpleQueue()
        self._header: Header | None = None
        self._unread, self._received = b"", 0
        threading.Thread(target=self._collect, args=(source,), daemon=True).start()

    def _collect(self, source: Source) -> None:
        collected = 0
        try:
            with closing(source):
                for item in source:
                    self._arrived.put(item)
                    collected += len(item)
                    if self.closed or collected > self._file.largest:
                        break
            self._arrived.put(b"")
        except Exception as error:
            self._arrived.put(error)

    def _next(self, limit: float) -> Header | bytes:
        """Return what arrives next: the header, a chunk, or b"" at the end."""
        wait = max(min(limit - time.monotonic(), PATIENCE), 0)
        try:
            item = self._arrived.get(timeout=wait)
        except queue.Empty:
            item = TimeoutError(f"no data for {wait:.1f} s")
        if not isinstance(item, Exception):
            return item
        if not isinstance(item, NETWORK_ERRORS):  # a defect of the program
            raise item
        if self._header is not None:
            raise MirrorError(f"got {self.amount}: {_reason(item)}", "again") from item
        if setting := _wrong_setting(item):
            raise MirrorError(setting, "setting") from item
        broken = any(isinstance(cause, ProtocolError) for cause in item.args)
        raise MirrorError(_reason(item), "again" if broken else "dead") from item

    def open(self, limit: float) -> Header:
        """Return the header.

        Raises
        ------
        MirrorError
            If it does not arrive before `limit`, as `time.monotonic` counts it.
        """
        header = self._next(limit)
        assert isinstance(header, Header)
        self._header, self._window = header, (time.monotonic(), 0)
        return header

    def readinto(self, buffer: Any) -> int:
        """Move bytes that have arrived into the buffer; return their number, 0 at the end.

        Raises
        ------
        MirrorError
            If the transfer fails, stops, is too slow, or is larger than the file can be.
        """
        if not self._unread:
            self._unread = self._chunk()
        n = min(len(buffer), len(self._unread))
        buffer[:n], self._unread = self._unread[:n], self._unread[n:]
        return n

    def readable(self) -> bool:
        """Return True: the bytes can be read."""
        return True

    def _chunk(self) -> bytes:
        chunk = self._next(self._deadline)
        assert isinstance(chunk, bytes) and self._header is not None
        if not chunk:
            self._arrived.put(b"")  # so that a further read finds the end again
        self._received += len(chunk)
        self._progress(self._file.name, self._received, self._header.length)
        if self._received > self._file.largest:
            raise MirrorError(f"got {self.amount}, more than the file can be")
        now, (start, before) = time.monotonic(), self._window
        if now - start > WINDOW:
            if self._received - before < MIN_RATE * (now - start):
                raise MirrorError(
                    f"got {self.amount}: slower than {MIN_RATE / 1000:g} kB/s", "dead"
                )
            self._window = now, self._received
        return chunk

    @property
    def amount(self) -> str:
        """The bytes that have arrived, as in "4.1 of 9.9 MB"."""
        received, total = self._received, self._header.length if self._header else None
        scale, unit = (1e6, "MB") if max(received, total or 0) >= 1e6 else (1e3, "kB")
        of = "" if total in (None, received) else f" of {total / scale:.1f}"
        return f"{received / scale:.1f}{of} {unit}"


def is_url(mirror: str) -> bool:
    """Whether a mirror is a URL, not a folder."""
    return mirror.lower().startswith(("http:", "https:"))


def shown(mirror: str) -> str:
    """Return a mirror as it may be shown: without the values of a query, which may be secret."""
    base, mark, _ = printable(mirror).partition("?")
    return f"{base}{mark}…" if mark and is_url(mirror) else printable(mirror)


def source_of(mirror: str, name: str) -> Source:
    """Return the file called `name` of a mirror, which is a base URL or a folder.

    A URL's query, such as an access token, is sent with each request.
    """
    if is_url(mirror):
        base, mark, query = mirror.partition("#")[0].partition("?")
        return _from_url(f"{base.rstrip('/')}/{name}{mark}{query}")
    if mirror.startswith("file:"):
        mirror = url2pathname(mirror.removeprefix("file:").removeprefix("//"))
    return _from_folder(Path(mirror), name)


def _from_folder(folder: Path, name: str) -> Source:
    if not folder.is_dir():
        raise NotADirectoryError("there is no such folder")
    raw = name.removesuffix(".gz")
    paths = [path for path in files_named(folder, raw) if (path.suffix == ".gz") == (raw != name)]
    if not paths:
        yield Header("", None, MirrorError(f"there is no {raw}, gzipped or raw", "name"))
        return
    with paths[0].open("rb", buffering=0) as file:
        yield Header("file", paths[0].stat().st_size)
        while chunk := file.read(CHUNK):
            yield chunk


def _from_url(url: str) -> Source:
    with requests.Session() as session:
        # A redirect may lead from https to http: the digest protects the content, and requests
        # drops a password at such a redirect.
        session.max_redirects = REDIRECTS
        # As other programs do; requests itself heeds its own variables only, which go first.
        session.verify = os.environ.get("SSL_CERT_FILE") or True
        with session.get(
            url,
            headers={"Accept-Encoding": "identity"},
            hooks={"response": _drop_redirect},
            timeout=(CONNECT, PATIENCE),
            stream=True,
        ) as response:
            kind = response.headers.get("Content-Type", "no type")
            yield Header(kind, response.raw.length_remaining, _refusal(response))
            while chunk := response.raw.read1(CHUNK, decode_content=False):
                yield chunk


def _drop_redirect(response: requests.Response, **_: Any) -> None:
    if response.is_redirect:  # otherwise requests reads its body, of any size
        response.close()


def _refusal(response: requests.Response) -> MirrorError | None:
    """Return the error that a response's status means, None if the body should be the file."""
    status, text = response.status_code, f"HTTP {response.status_code} {response.reason}".rstrip()
    if status in (408, 425, 429) or status >= 500:
        try:
            wait = Retry().parse_retry_after(response.headers.get("Retry-After", "0"))
        except (HTTPError, ValueError, OverflowError):
            wait = 0
        return MirrorError(text, "again", wait)
    return None if status == 200 else MirrorError(text, "name" if status >= 400 else "next")


def _reason(error: BaseException) -> str:
    """Return the innermost cause in words; requests wraps it in several exceptions."""
    proxy = "the proxy: " if isinstance(error, requests.exceptions.ProxyError) else ""
    causes = [error]
    while causes:
        error = causes[0]
        inner = (getattr(error, "reason", None), error.__cause__, *error.args)
        causes = [cause for cause in inner if isinstance(cause, BaseException)]
    if isinstance(error, IncompleteRead):
        return "the connection ended"
    return proxy + re.sub(r"\?\S+", "?…", reason(error))  # a query may be secret


def _wrong_setting(error: BaseException) -> str | None:
    """Return the reason if a request failed by a setting of the environment, and what to do."""
    if isinstance(error, requests.exceptions.InvalidSchema) and "SOCKS" in str(error):
        return "the proxy is a SOCKS proxy, which needs a package: pip install 'requests[socks]'"
    if isinstance(error, requests.exceptions.InvalidProxyURL) or any(
        isinstance(cause, ProxySchemeUnknown) for cause in error.args
    ):
        return f"{_reason(error)} (set by HTTPS_PROXY, HTTP_PROXY or ALL_PROXY)"
    if "CA certificate bundle" in str(error):
        return f"{_reason(error)} (set by SSL_CERT_FILE, REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE)"
    return None


def printable(text: str) -> str:
    """Return a line without passwords in URLs and without a mirror's control characters."""
    text = re.sub("//[^/ ]*@", "//", text)
    return "".join(c if c.isprintable() else " " for c in text)[:400]
