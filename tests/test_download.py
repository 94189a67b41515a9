"""Downloads from real, hostile servers: whole and verified, or not at all, and in time."""

from __future__ import annotations

import email.utils
import fcntl
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, idx
from servers import Client, Server, black_hole, closed_port

from mlp_cli import download, mnist, transfer
from mlp_cli.download import fetch_mnist
from mlp_cli.errors import DataError, DownloadError, StorageError
from mlp_cli.mnist import CutShortError, MnistFile

# Two files in the place of MNIST's: noise, which does not compress, and labels, which do.
DRAWN = np.random.default_rng(5)
RAW = {
    "images": idx(DRAWN.integers(0, 256, (40, 28, 28)).astype(np.uint8)),
    "labels": idx(np.arange(900, dtype=np.uint8) % 10),
}
PACKED = {name: gzip.compress(content, mtime=0) for name, content in RAW.items()}
FILES = [
    MnistFile(name, len(content), hashlib.sha256(content).hexdigest())
    for name, content in RAW.items()
]
IMAGES, LABELS = FILES


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No way out of this machine, and short limits."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    limits = {"CONNECT": 0.5, "PATIENCE": 0.5, "FIRST_ANSWER": 1.2, "RESERVE": 0.3, "BACKOFF": 0.01}
    for name, value in {**limits, "LONGEST_BACKOFF": 0.02, "MIRRORS": ()}.items():
        monkeypatch.setattr(transfer if hasattr(transfer, name) else download, name, value)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Fetch:
    """`fetch_mnist` into a folder, with what it told on the way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self.progress: list[tuple[str, int, int | None]] = []

    def __call__(self, *mirrors: object, **options: Any) -> list[str]:
        paths = fetch_mnist(
            self.folder,
            [str(mirror) for mirror in mirrors],
            **{"files": FILES, **options},
            log=self.lines.append,
            progress=lambda *step: self.progress.append(step),
        )
        return [path.name for path in paths]

    def fails(self, *mirrors: object, **options: Any) -> str:
        """The message, where nothing can be had; nothing may be left behind."""
        with pytest.raises(DownloadError) as caught:
            self(*mirrors, **options)
        assert names(self.folder) == []
        for mirror in mirrors:
            assert f"  {mirror}: " in str(caught.value)
        assert "--mirror" in str(caught.value)
        assert str(self.folder) in str(caught.value)
        return str(caught.value)

    def check(self) -> None:
        """Exactly the right files are there."""
        assert {path.name: path.read_bytes() for path in self.folder.iterdir()} == RAW


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    return Fetch(tmp_path / "data" / "mnist")


def name_of(client: Client) -> str:
    return client.request.path.rsplit("/", 1)[1]


def serve_packed(client: Client) -> None:
    content = PACKED.get(name_of(client).removesuffix(".gz"))
    if content is None or not name_of(client).endswith(".gz"):
        client.answer(b"no", status="404 Not Found")
    else:
        client.answer(content)


@pytest.fixture
def good() -> Iterator[Server]:
    with Server(serve_packed) as server:
        yield server


# ---------------------------------------------------------------- servers that are wrong

HTML = b"<!doctype html><title>Hotel Wi-Fi: please sign in</title>"


def drip(client: Client, content: bytes) -> None:
    client.reply(b"", f"Content-Length: {len(content)}")
    for at in range(len(content)):
        client.send(content[at : at + 1])
        if not client.stall(0.05):
            return


def drip_header(client: Client, content: bytes) -> None:
    client.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(1000):
        client.send(b"X-%d: y\r\n" % number)
        if not client.stall(0.05):
            return


def reset_within(client: Client, content: bytes) -> None:
    client.reply(content[: len(content) // 2], f"Content-Length: {len(content)}")
    client.reset()


def stall_within(client: Client, content: bytes) -> None:
    client.reply(content[: len(content) // 2], f"Content-Length: {len(content)}")
    client.stall()


def endless(client: Client, content: bytes) -> None:
    client.reply(b"")
    empty = gzip.compress(b"") * 1000  # it decodes to nothing, for ever
    for _ in range(1000):
        client.send(empty)


def chunked(content: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content) + end


def flip(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


BOMB = gzip.compress(b"\0\0\x08\x03" + bytes(30_000_000))


def length(value: object) -> Callable[[Client, bytes], None]:
    return lambda client, content: client.reply(content[:-9], f"Content-Length: {value}")


def status(text: str, *headers: str) -> Callable[[Client, bytes], None]:
    return lambda client, content: client.answer(content, *headers, status=text)


def redirect(target: str) -> Callable[[Client, bytes], None]:
    return lambda client, content: client.answer(b"", f"Location: {target}", status="302 Found")


def body(change: Callable[[bytes], bytes], *headers: str) -> Callable[[Client, bytes], None]:
    return lambda client, content: client.answer(change(content), *headers)


# What a server does, words of the reason, and the requests for one file (None: not counted).
WRONG: dict[str, tuple[Callable[[Client, bytes], None], str, int | None]] = {
    "short": (lambda c, x: c.reply(x[:-9], f"Content-Length: {len(x)}"), " of ", 3),
    "short without a length": (lambda c, x: c.reply(x[:-9]), "ends early", 3),
    "empty": (lambda c, x: c.answer(b""), "ends after 0 of 31,376 bytes", 3),
    "long without a length": (lambda c, x: c.reply(x + b"junk"), "damaged gzip", 1),
    "cut chunk": (
        lambda c, x: c.reply(chunked(x)[:-99], "Transfer-Encoding: chunked"),
        "the connection ended",
        3,
    ),
    "no last chunk": (
        lambda c, x: c.reply(chunked(x, b""), "Transfer-Encoding: chunked"),
        "the connection ended",
        3,
    ),
    "no chunks": (lambda c, x: c.reply(x, "Transfer-Encoding: chunked"), "got 0.0 kB", 3),
    "length in words": (length("many"), "ends early", 3),
    "length below 0": (length(-5), "ends early", 3),
    "length of 1 TB": (length(10**12), "of 1000000.0 MB", 3),
    "two lengths": (length("100\r\nContent-Length: 200"), "Content-Length", 1),
    "captive portal": (body(lambda x: HTML, "Content-Type: text/html"), "text/html, 0.1 kB", 1),
    "control characters": (body(lambda x: b"\x1b[2J"), "no IDX file", 1),
    "flipped bit": (body(lambda x: flip(x, len(x) // 2)), "", None),
    "flipped bit in the raw file": (body(lambda x: flip(gzip.decompress(x), 99)), "SHA-256", 1),
    "the other file": (body(lambda x: RAW["labels"][:8] + bytes(5000)), "", None),
    "bomb": (body(lambda x: BOMB), "longer than 31,376 bytes", 1),
    "bomb by encoding": (
        body(lambda x: gzip.compress(BOMB), "Content-Encoding: gzip"),
        "longer than 31,376 bytes",
        1,
    ),
    "too many layers": (body(lambda x: gzip.compress(gzip.compress(x))), "no IDX file", 1),
    "endless": (endless, "more than the file can have", 1),
    "no answer": (lambda c, x: c.stall() and None, "nothing came for|timed out", 1),
    "header by the byte": (drip_header, "nothing came for", 1),
    "header of 1 MB": (lambda c, x: c.send(b"HTTP/1.1 200 " + b"x" * 10**6), "", None),
    "no HTTP": (lambda c, x: c.send(b"220 ftp.example.org\r\n"), "", None),
    "nothing": (lambda c, x: None, "closed connection", 3),
    "reset at once": (lambda c, x: c.reset(), "reset by peer", 3),
    "reset within": (reset_within, "got ", 3),
    "stall within": (stall_within, "got .* of ", 3),
    "404": (status("404 Not Found"), "HTTP 404 Not Found", 2),
    "403": (status("403 Forbidden"), "HTTP 403", 2),
    "410": (status("410 Gone"), "HTTP 410", 2),
    "416": (status("416 Range Not Satisfiable"), "HTTP 416", 2),
    "206": (status("206 Partial Content"), "HTTP 206", 1),
    "304": (status("304 Not Modified"), "HTTP 304", 1),
    "500": (status("500 Internal Server Error"), "HTTP 500", 3),
    "502": (status("502 Bad Gateway"), "HTTP 502", 3),
    "503, 1 s": (status("503 No", "Retry-After: 1"), "HTTP 503", 3),
    "503, 10⁶ s": (status("503 No", "Retry-After: 1000000"), "HTTP 503", 3),
    "503, 10⁵⁰⁰⁰ s": (status("503 No", "Retry-After: " + "9" * 5000), "HTTP 503", 3),
    "503, a date": (status("503 No", "Retry-After: Fri, 31 Dec 2100 23:59:59 GMT"), "503", 3),
    "429, past": (status("429 No", "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT"), "429", 3),
    "429, garbage": (status("429 Slow down", "Retry-After: soon, 31"), "HTTP 429", 3),
    "redirect loop": (lambda c, x: redirect(c.request.path)(c, x), "redirects", 6),
    "redirect to a file": (redirect("file:///etc/passwd"), "file:///etc/passwd", 1),
    "redirect to ftp": (redirect("ftp://127.0.0.1/x"), "ftp://127.0.0.1/x", 1),
    "redirect to nowhere": (redirect("http://[::1"), "IPv6", 1),
}


def wrong_server(fault: str) -> Server:
    behave = WRONG[fault][0]

    def answer(client: Client) -> None:
        behave(client, PACKED[name_of(client).removesuffix(".gz")])

    return Server(answer)


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_mirror_is_named_and_leaves_nothing(fault: str, fetch: Fetch) -> None:
    _, words, requests = WRONG[fault]
    with wrong_server(fault) as server:
        message = fetch.fails(server.url, files=[IMAGES])
        assert requests in (None, len(server.requests))
    assert re.search(words, message)
    assert message.replace("\n", "").isprintable()


@pytest.mark.parametrize("fault", WRONG)
def test_a_good_mirror_behind_a_wrong_one_wins(fault: str, fetch: Fetch, good: Server) -> None:
    with wrong_server(fault) as server:
        assert fetch(server.url, good.url, files=[IMAGES]) == ["images"]
    assert (fetch.folder / "images").read_bytes() == RAW["images"]
    assert any(line.startswith(f"{server.url}: ") for line in fetch.lines)
    assert all("Range" not in request.headers for request in server.requests + good.requests)


def test_the_reason_says_what_came(fetch: Fetch) -> None:
    def cut(client: Client) -> None:
        client.reply(bytes(4_100_000), "Content-Length: 9900000")

    large = MnistFile("large", 40_000_000, "")
    with Server(cut) as server:
        assert "got 4.1 of 9.9 MB: the connection ended" in fetch.fails(server.url, files=[large])


def test_a_body_cut_anywhere_is_not_taken(fetch: Fetch, monkeypatch) -> None:
    monkeypatch.setattr(download, "BACKOFF", 0)
    content = PACKED["images"]
    for part in range(64):
        at = part * len(content) // 64
        with Server(lambda c, at=at: c.reply(content[:at])) as server:  # type: ignore[misc]
            fetch.fails(server.url, files=[IMAGES])


def test_a_bit_flipped_anywhere_is_not_taken(fetch: Fetch) -> None:
    content = PACKED["labels"]
    for at in range(10, len(content)):  # the header before is not part of what is decoded
        with Server(lambda c, at=at: c.answer(flip(content, at))) as server:  # type: ignore[misc]
            fetch.fails(server.url, files=[LABELS])


# ---------------------------------------------------------------- servers that are odd

ODD: dict[str, Callable[[Client, bytes], None]] = {
    "raw": lambda c, x: c.answer(gzip.decompress(x)),
    "raw under its name only": lambda c, x: (
        c.answer(b"", status="404 Not Found")
        if name_of(c).endswith(".gz")
        else c.answer(gzip.decompress(x))
    ),
    "no length": lambda c, x: c.reply(x),
    "chunks": lambda c, x: c.reply(chunked(x), "Transfer-Encoding: chunked"),
    "more than its length": lambda c, x: c.reply(x + b"junk", f"Content-Length: {len(x)}"),
    "encoding of the .gz itself": body(lambda x: x, "Content-Encoding: gzip"),
    "encoding of a raw file": body(gzip.decompress, "Content-Encoding: gzip"),
    "encoding around the .gz": body(gzip.compress, "Content-Encoding: gzip"),
    "two members": lambda c, x: c.answer(
        gzip.compress(gzip.decompress(x)[:99]) + gzip.compress(gzip.decompress(x)[99:])
    ),
    "stored": lambda c, x: c.answer(gzip.compress(gzip.decompress(x), 0)),
    "a type that lies": body(lambda x: x, "Content-Type: text/html"),
    "redirect": lambda c, x: (
        c.answer(x) if "moved" in c.request.path else redirect(f"/moved/{name_of(c)}")(c, x)
    ),
    "in pieces": lambda c, x: (
        [c.send(b"") if i else c.reply(b"") for i in range(2)]
        and [c.send(x[i : i + 999]) for i in range(0, len(x), 999)]
        and None
    ),
}


@pytest.mark.parametrize("oddity", ODD)
def test_the_right_bytes_are_taken_however_they_come(oddity: str, fetch: Fetch) -> None:
    with Server(lambda c: ODD[oddity](c, PACKED[name_of(c).removesuffix(".gz")])) as server:
        fetch(server.url + "/")
        assert all(request.path.count("//") == 0 for request in server.requests)
    fetch.check()


def test_the_body_of_a_redirect_is_not_read(fetch: Fetch) -> None:
    def answer(client: Client) -> None:
        if "moved" in client.request.path:
            serve_packed(client)
        else:
            client.reply(b"", f"Location: /moved/{name_of(client)}", status="302 Found")
            for _ in range(1000):
                client.send(bytes(1 << 20))

    with Server(answer) as server:
        fetch(server.url)
        assert len(server.requests) == 4
    fetch.check()


def test_the_request_asks_for_the_bytes_as_they_are(fetch: Fetch, good: Server) -> None:
    fetch(good.url)
    paths = [request.path for request in good.requests]
    assert paths == ["/mnist/labels.gz", "/mnist/images.gz"]  # the small one first
    assert {request.headers["Accept-Encoding"] for request in good.requests} == {"identity"}


def test_progress_ends_at_the_length(fetch: Fetch, good: Server) -> None:
    fetch(good.url)
    for name, content in PACKED.items():
        steps = [(done, total) for step, done, total in fetch.progress if step == name]
        assert steps == sorted(steps)
        assert steps[-1] == (len(content), len(content))


def test_one_line_a_file(fetch: Fetch, good: Server) -> None:
    fetch(good.url)
    assert fetch.lines == [f"labels: 0.0 kB from {good.url}", f"images: 31.4 kB from {good.url}"]


# ---------------------------------------------------------------- time


def times(fetch: Fetch, *headers: str) -> list[float]:
    """The times between three requests that are all answered by 503."""
    with Server(lambda c: c.answer(b"", *headers, status="503 No")) as server:
        fetch.fails(server.url, files=[LABELS])
        asked = [request.time for request in server.requests]
    return [later - earlier for earlier, later in pairwise(asked)]


def test_retry_after_is_heeded_up_to_a_limit(fetch: Fetch, monkeypatch) -> None:
    monkeypatch.setattr(download, "LONGEST_BACKOFF", 0.3)
    assert max(times(fetch)) < 0.3
    for value in ("1", "1000000", email.utils.formatdate(time.time() + 100, usegmt=True)):
        found = times(fetch, f"Retry-After: {value}")
        assert min(found) >= 0.3
        assert max(found) < 0.9


def test_waits_grow_and_are_not_in_step(fetch: Fetch, monkeypatch) -> None:
    monkeypatch.setattr(download, "BACKOFF", 0.1)
    monkeypatch.setattr(download, "LONGEST_BACKOFF", 1.0)
    first, second = times(fetch)
    assert 0.05 <= first < 0.15
    assert 0.1 <= second < 0.3
    assert first != times(fetch)[0]


def test_a_slow_mirror_is_left_for_good(fetch: Fetch, good: Server, monkeypatch) -> None:
    monkeypatch.setattr(transfer, "WINDOW", 0.3)
    with Server(lambda c: drip(c, PACKED["images"])) as slow:
        started = time.monotonic()
        fetch(slow.url, good.url)
        assert time.monotonic() - started < 1.5
        assert len(slow.requests) == 1
    fetch.check()
    assert "below 10 kB/s" in fetch.lines[0]


def test_everything_has_a_deadline(fetch: Fetch, monkeypatch) -> None:
    monkeypatch.setattr(download, "DEADLINE", 0.6)
    with (
        Server(lambda c: drip(c, PACKED["images"])) as slow,
        Server(lambda c: drip(c, PACKED["images"])) as next_one,
    ):
        started = time.monotonic()
        assert "no time was left" in fetch.fails(slow.url, next_one.url, files=[IMAGES])
        assert time.monotonic() - started < 1.2


def test_closed_ports_end_at_once(fetch: Fetch) -> None:
    started = time.monotonic()
    assert fetch.fails(*(closed_port() for _ in range(5))).count("Connection refused") == 5
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("mirrors", [1, 4])
def test_where_nothing_answers_the_first_answer_has_a_limit(
    mirrors: int, fetch: Fetch, monkeypatch
) -> None:
    monkeypatch.setattr(transfer, "CONNECT", 5.0)
    monkeypatch.setattr(transfer, "PATIENCE", 5.0)
    started = time.monotonic()
    with Server(lambda c: c.stall() and None) as silent, black_hole() as hole:
        fetch.fails(*[f"{url}/{n}" for n in range(mirrors) for url in (silent.url, hole)])
    assert 1.1 < time.monotonic() - started < 1.8


def test_a_good_mirror_behind_silent_ones_still_gets_its_time(
    fetch: Fetch, good: Server, monkeypatch
) -> None:
    monkeypatch.setattr(transfer, "PATIENCE", 5.0)
    with Server(lambda c: c.stall() and None) as silent, black_hole() as hole:
        fetch(silent.url, hole, silent.url + "/2", good.url)
        assert len(silent.requests) == 2  # and not again for the second file
    fetch.check()


def test_a_name_server_that_hangs_has_a_limit(fetch: Fetch, monkeypatch) -> None:
    ended = threading.Event()
    resolve = socket.getaddrinfo

    def hang(host: str, *arguments: Any, **options: Any) -> Any:
        if host == "mirror.invalid":
            ended.wait(20)
        return resolve(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(transfer, "PATIENCE", 5.0)
    started = time.monotonic()
    try:
        fetch.fails("http://mirror.invalid/mnist", "https://mirror.invalid/mnist")
        assert time.monotonic() - started < 2
    finally:
        ended.set()


def test_once_a_mirror_has_answered_others_have_more_time(fetch: Fetch, monkeypatch) -> None:
    monkeypatch.setattr(download, "FIRST_ANSWER", 0.3)
    monkeypatch.setattr(transfer, "PATIENCE", 5.0)

    def slow(client: Client) -> None:
        if client.stall(0.4):
            serve_packed(client)

    with Server(lambda c: c.answer(b"", status="404 Not Found")) as empty, Server(slow) as server:
        fetch(empty.url, server.url)
    fetch.check()


def test_a_transfer_that_is_given_up_ends(fetch: Fetch) -> None:
    ended = threading.Event()

    def send_for_ever(client: Client) -> None:
        client.reply(HTML)
        try:
            while client.stall(0.01):
                client.connection.sendall(b"more")
        except OSError:
            ended.set()

    with Server(send_for_ever) as server:
        fetch.fails(server.url, files=[LABELS])
        assert ended.wait(5)


# ---------------------------------------------------------------- ways to a mirror


def test_the_proxy_of_the_environment_is_used(fetch: Fetch, good: Server, monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{good.port}")
    fetch("http://mirror.invalid/mnist")
    assert good.requests[0].path == "http://mirror.invalid/mnist/labels.gz"
    fetch.check()


def test_a_proxy_that_refuses_is_named(fetch: Fetch, monkeypatch) -> None:
    monkeypatch.setenv("https_proxy", closed_port())
    assert "the proxy: Connection refused" in fetch.fails("https://mirror.invalid/mnist")


def test_a_certificate_that_nobody_vouches_for_is_refused(fetch: Fetch, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -keyout"
    subprocess.run([*command.split(), key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Server(serve_packed, context) as server:
        assert "self-signed certificate" in fetch.fails(server.url, files=[LABELS])
        assert server.requests == []


def test_a_password_in_a_mirror_is_not_shown(fetch: Fetch) -> None:
    with Server(lambda c: c.answer(b"", status="401 Unauthorized")) as server:
        with pytest.raises(DownloadError) as caught:
            fetch(server.url.replace("//", "//me:secret@"))
        assert "Authorization" in server.requests[0].headers
    assert "secret" not in str(caught.value) + "".join(fetch.lines)
    assert f"  {server.url}: HTTP 401" in str(caught.value)


def test_a_defect_keeps_its_traceback(fetch: Fetch, good: Server, monkeypatch) -> None:
    monkeypatch.setattr(transfer, "_refusal", lambda response: response.no_such_attribute)
    with pytest.raises(AttributeError):
        fetch(good.url)


# ---------------------------------------------------------------- folders as mirrors


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder with the gzipped files."""
    folder = tmp_path / "a shelf"
    folder.mkdir()
    for name, content in PACKED.items():
        (folder / f"{name}.gz").write_bytes(content)
    return folder


def test_a_folder_is_a_mirror(fetch: Fetch, shelf: Path, good: Server) -> None:
    fetch(shelf, good.url)
    fetch.check()
    assert good.requests == []


def test_a_folder_of_raw_files_given_as_a_url_is_a_mirror(fetch: Fetch, shelf: Path) -> None:
    for name, content in RAW.items():
        (shelf / f"{name}.gz").unlink()
        (shelf / name).write_bytes(content)
    fetch(shelf.as_uri())
    fetch.check()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (PACKED["images"][:-9], "ends early"),
        (flip(PACKED["images"], 999), "damaged gzip|SHA-256"),
        (HTML, "no IDX file"),
        (None, "it has no images, gzipped or raw"),
    ],
)
def test_a_wrong_folder_is_left_for_the_next_mirror(
    content: bytes | None, words: str, fetch: Fetch, shelf: Path, good: Server
) -> None:
    (shelf / "images.gz").unlink() if content is None else (shelf / "images.gz").write_bytes(
        content
    )
    fetch(shelf, good.url)
    fetch.check()
    assert [request.path for request in good.requests] == ["/mnist/images.gz"]
    assert len(fetch.lines) == 3  # two files, and once the reason
    assert re.search(words, fetch.lines[1])


def test_a_folder_that_is_not_there_is_a_reason(fetch: Fetch, tmp_path: Path) -> None:
    for mirror in (tmp_path / "none", "s3://bucket/mnist", "file:///none", "file://["):
        assert f"{mirror}: there is no such folder" in fetch.fails(mirror)


@pytest.mark.parametrize("mirror", ["http://[", "http:/x", "https://", "http://a b", "http://é..x"])
def test_a_url_that_is_none_is_a_reason(mirror: str, fetch: Fetch) -> None:
    fetch.fails(mirror)


# ---------------------------------------------------------------- the folder that is filled


def test_what_is_there_and_right_is_not_fetched(fetch: Fetch, good: Server) -> None:
    fetch.folder.mkdir(parents=True)
    (fetch.folder / "images").write_bytes(RAW["images"])
    (fetch.folder / "labels.gz").write_bytes(PACKED["labels"])
    assert fetch(closed_port()) == []
    assert fetch.lines == []
    assert fetch(good.url, force=True) == ["labels", "images"]
    assert (fetch.folder / "labels").read_bytes() == RAW["labels"]


@pytest.mark.parametrize("content", [b"", HTML, RAW["images"][:-1], flip(RAW["images"], 5000)])
def test_what_is_damaged_is_replaced(content: bytes, fetch: Fetch, good: Server) -> None:
    fetch(good.url)
    (fetch.folder / "images").write_bytes(content)
    with pytest.raises(DownloadError):
        fetch(closed_port())
    assert (fetch.folder / "images").read_bytes() == content
    assert fetch(good.url) == ["images"]
    fetch.check()


def test_the_mode_follows_the_umask(fetch: Fetch, good: Server) -> None:
    before = os.umask(0o027)
    try:
        fetch(good.url)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in fetch.folder.iterdir()} == {0o640}


def test_old_temporary_files_are_swept(fetch: Fetch, good: Server) -> None:
    fetch.folder.mkdir(parents=True)
    old, new, foreign = (fetch.folder / n for n in (".images.a1.tmp", ".images.b2.tmp", ".my.tmp"))
    for path in (old, new, foreign):
        path.write_bytes(b"")
        os.utime(path, (time.time() - 2 * 86_400,) * 2)
    os.utime(new)
    fetch(good.url)
    assert names(fetch.folder) == [".images.b2.tmp", ".my.tmp", "images", "labels"]


def test_a_read_only_folder_serves_until_something_is_missing(fetch: Fetch, good: Server) -> None:
    fetch(good.url)
    fetch.folder.chmod(0o555)
    if os.access(fetch.folder, os.W_OK):
        pytest.skip("root may write everywhere")
    try:
        assert fetch(good.url) == []
        with pytest.raises(StorageError, match=str(fetch.folder)):
            fetch(good.url, force=True)
    finally:
        fetch.folder.chmod(0o755)


def test_a_folder_that_cannot_be_is_found_out_before_anything_is_fetched(
    tmp_path: Path, good: Server
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="file/mnist"):
        Fetch(tmp_path / "file" / "mnist")(good.url)
    assert good.requests == []


def test_an_interruption_leaves_nothing(fetch: Fetch, good: Server) -> None:
    class Stop(BaseException):
        pass

    def stop(*_: object) -> None:
        raise Stop

    with pytest.raises(Stop):
        fetch_mnist(fetch.folder, [good.url], files=FILES, log=print, progress=stop)
    assert names(fetch.folder) == []


# ---------------------------------------------------------------- several processes

PROCESS = """
import fcntl, json, sys
from pathlib import Path
from mlp_cli import download
from mlp_cli.mnist import MnistFile
folder, url, files, locks = json.loads(sys.argv[1])
download.MIRRORS, download.TURN = (), 20.0
if not locks:
    fcntl.flock = lambda *_: None
print("ready", flush=True)
sys.stdin.readline()
files = [MnistFile(*file) for file in files]
download.fetch_mnist(Path(folder), [url], files=files, log=print, progress=lambda *_: None)
"""


@pytest.mark.parametrize("locks", [True, False])
def test_processes_do_not_disturb_each_other(locks: bool, fetch: Fetch) -> None:
    def answer(client: Client) -> None:
        client.stall(0.2)  # so that all come before the first is done
        serve_packed(client)

    with Server(answer) as server:
        arguments = json.dumps([str(fetch.folder), server.url, FILES, locks])
        processes = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "-c", PROCESS, arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(8)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        told = [process.communicate(timeout=60) for process in processes]
        assert [process.returncode for process in processes] == [0] * 8, told
        assert all(errors == "" for _, errors in told)
        assert len(server.requests) == 2 if locks else len(server.requests) > 2
    fetch.check()


def test_a_lock_without_a_transfer_is_not_waited_for(
    fetch: Fetch, good: Server, monkeypatch
) -> None:
    monkeypatch.setattr(download, "TURN", 0.3)
    fetch.folder.mkdir(parents=True)
    descriptor = os.open(fetch.folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        started = time.monotonic()
        fetch(good.url)
        assert 0.3 < time.monotonic() - started < 1
        fetch.check()
        assert fetch.lines[0].startswith("waiting for another process")
    finally:
        os.close(descriptor)


def test_a_transfer_is_waited_for_and_its_files_are_taken(
    fetch: Fetch, good: Server, monkeypatch
) -> None:
    monkeypatch.setattr(download, "TURN", 0.3)
    fetch.folder.mkdir(parents=True)
    temporary = fetch.folder / ".images.x.tmp"
    temporary.write_bytes(b"")
    descriptor = os.open(fetch.folder, os.O_RDONLY)

    def finish() -> None:
        for name, content in RAW.items():
            (fetch.folder / name).write_bytes(content)
        temporary.unlink()
        os.close(descriptor)

    fcntl.flock(descriptor, fcntl.LOCK_EX)
    timer = threading.Timer(0.8, finish)
    timer.start()
    assert fetch(good.url) == []
    timer.join()
    assert good.requests == []


# ---------------------------------------------------------------- what lies in the folder


@pytest.mark.parametrize("name", ["images-idx3", "images-idx3.gz", "images.idx3", "images.idx3.gz"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
def test_a_copy_is_found_by_its_bytes(name: str, pack, tmp_path: Path) -> None:
    file = IMAGES._replace(name="images-idx3")
    assert mnist.find(tmp_path / "none", file) is None
    assert mnist.find(tmp_path, file) is None
    (tmp_path / name).write_bytes(pack(RAW["images"]))
    assert mnist.find(tmp_path, file) == tmp_path / name
    assert mnist.damaged(tmp_path, file) == []
    for wrong in (pack(RAW["images"])[:-1], pack(RAW["images"][:-1]), pack(RAW["images"] + b"0")):
        (tmp_path / name).write_bytes(wrong)
        assert mnist.find(tmp_path, file) is None
        assert mnist.damaged(tmp_path, file) == [tmp_path / name]


def test_a_right_copy_is_found_beside_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(flip(RAW["images"], 700))
    (tmp_path / "images.gz").write_bytes(PACKED["images"])
    assert mnist.find(tmp_path, IMAGES) == tmp_path / "images.gz"
    assert mnist.damaged(tmp_path, IMAGES) == [tmp_path / "images"]


def test_what_the_reader_of_idx_files_would_refuse_is_not_found(tmp_path: Path) -> None:
    for content in (gzip.compress(PACKED["images"]), PACKED["images"] + b"junk"):
        (tmp_path / "images.gz").write_bytes(content)
        assert mnist.find(tmp_path, IMAGES) is None


def test_a_copy_of_absurd_size_is_not_even_read(tmp_path: Path) -> None:
    padded = gzip.compress(b"") * (IMAGES.size // 10) + PACKED["images"]  # it would verify
    (tmp_path / "images.gz").write_bytes(padded)
    with (tmp_path / "images").open("wb") as file:
        file.truncate(1 << 40)
    assert mnist.find(tmp_path, IMAGES) is None


def test_what_cannot_be_read_is_a_matter_of_storage(tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to("/proc/self/mem")  # a file whose first byte cannot be read
    with pytest.raises(StorageError, match=str(tmp_path / "images")):
        mnist.find(tmp_path, IMAGES)


@pytest.mark.parametrize("layers", [1, 2])
def test_no_more_is_decoded_than_the_file_has(layers: int) -> None:
    content = b"\0" + bytes(5_000_000)
    for _ in range(layers):
        content = gzip.compress(content)
    decoded = 0
    with pytest.raises(DataError, match="longer"):
        for piece in mnist.verified(io.BufferedReader(io.BytesIO(content)), IMAGES, layers):
            decoded += len(piece)
    assert decoded == IMAGES.size + 1


def test_a_file_that_ends_early_is_told_from_a_wrong_one() -> None:
    for content in (RAW["images"][:-1], PACKED["images"][:-1], b""):
        with pytest.raises(CutShortError):
            list(mnist.verified(io.BufferedReader(io.BytesIO(content)), IMAGES))
    for content in (HTML, flip(RAW["images"], 40), b"\x1f", b"\x1f\x8b\x07" + bytes(20)):
        with pytest.raises(DataError) as caught:
            list(mnist.verified(io.BufferedReader(io.BytesIO(content)), IMAGES))
        assert not isinstance(caught.value, CutShortError) or content == b"\x1f"


# ---------------------------------------------------------------- the command

Mlp = Callable[..., subprocess.CompletedProcess[str]]


def test_the_command_fetches_from_a_folder(mlp: Mlp, mnist_source: Path, tmp_path: Path) -> None:
    done = mlp("download-data", "--data-dir", "d", "--mirror", mnist_source)
    assert (done.returncode, done.stdout) == (0, "d/mnist\n")
    assert "fetched 4 files" in done.stderr
    assert "\r" not in done.stderr
    for file in mnist.MNIST_FILES:
        content = (tmp_path / "d" / "mnist" / file.name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file.sha256
    again = mlp("download-data", "--data-dir", "d", "--mirror", "none")
    assert (again.returncode, again.stdout) == (0, "d/mnist\n")
    assert "all files were there" in again.stderr


def test_the_command_fails_by_its_mirrors_in_their_order(mlp: Mlp, tmp_path: Path) -> None:
    with Server(lambda c: c.answer(b"", status="404 Not Found")) as server:
        mirrors = [f"{server.url}/{n}" for n in range(3)]
        done = mlp(
            *("download-data", "--mirror", mirrors[0], "--mirror", mirrors[1]),
            MLP_MIRROR=mirrors[2],
            MLP_DATA_DIR="d",
            https_proxy=closed_port(),
        )
    assert (done.returncode, done.stdout) == (4, "")
    message = done.stderr[done.stderr.index("Error: ") :]
    sources = re.findall(r"^  (https?://\S+): (HTTP 404|the proxy)", message, re.MULTILINE)
    assert [url for url, _ in sources] == [*mirrors, *_real_mirrors()]
    assert "Traceback" not in done.stderr
    assert names(tmp_path / "d" / "mnist") == []


def _real_mirrors() -> list[str]:
    code = "from mlp_cli.download import MIRRORS; print(*MIRRORS)"
    return subprocess.check_output([sys.executable, "-c", code], text=True).split()


def test_a_full_disk_is_told_from_a_bad_mirror(tmp_path: Path) -> None:
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / mnist.TEST_LABELS.name).write_bytes(bytes(mnist.TEST_LABELS.size))
    command = 'ulimit -f 8; exec "$0" -m mlp_cli download-data --data-dir d --mirror shelf'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable],  # files of at most 8 blocks
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (7, "")
    assert "d/mnist/t10k-labels-idx1-ubyte: File too large" in done.stderr
    assert names(tmp_path / "d" / "mnist") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_dies_by_the_signal_and_leaves_nothing(number: int, tmp_path: Path) -> None:
    def stall(client: Client) -> None:
        client.reply(b"\0\0\x08\x01", "Content-Length: 4542")
        client.stall()

    with Server(stall) as server:
        before = signal.signal(number, signal.SIG_DFL)  # else a background job's child ignores it
        try:
            process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "mlp_cli", "download-data"],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(ROOT), "MLP_MIRROR": server.url},
                stderr=subprocess.PIPE,
                text=True,
            )
        finally:
            signal.signal(number, before)
        folder = tmp_path / "data" / "mnist"
        while not (folder.is_dir() and any(folder.glob(".t10k-labels-idx1-ubyte.*.tmp"))):
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.1)
        process.send_signal(number)
        assert process.communicate(timeout=5)[1] == ""
        assert process.returncode == -number
    assert names(folder) == []
