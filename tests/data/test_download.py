"""Downloads from real servers, hostile ones too: verified files or none, within time limits."""

from __future__ import annotations

import email.utils
import fcntl
import gzip
import io
import os
import random
import re
import socket
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from helpers.proofs import Proof
from helpers.selection import few
from helpers.servers import Client, Server, black_hole, certified, closed_port
from helpers.stand_ins import (
    FILES,
    IMAGES,
    LABELS,
    PACKED,
    RAW,
    Fetch,
    flip,
    name_of,
    names,
    serve_packed,
)

from mlp_cli.data import download, mnist, transfer
from mlp_cli.data.download import fetch_mnist
from mlp_cli.data.mnist import CutShortError, MnistFile
from mlp_cli.errors import DataError, DownloadError, StorageError

pytestmark = [pytest.mark.serial, pytest.mark.usefixtures("short_limits")]

HTML = b"<!doctype html><title>Hotel Wi-Fi: please sign in</title>"


def drip(client: Client, content: bytes) -> None:
    client.reply(b"", f"Content-Length: {len(content)}")
    for at in range(len(content)):
        client.send(content[at : at + 1])
        if not client.stall(0.05):
            return


def test_the_reason_says_how_much_was_received(fetch: Fetch) -> None:
    def cut(client: Client) -> None:
        client.reply(bytes(4_100_000), "Content-Length: 9900000")

    large = MnistFile("large", 40_000_000, "")
    with Server(cut) as server:
        assert "got 4.1 of 9.9 MB: the connection ended" in fetch.fails(server.url, files=[large])


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


def test_requests_ask_for_unencoded_bytes_and_the_smaller_file_first(
    fetch: Fetch, good: Server
) -> None:
    fetch(good.url)
    paths = [request.path for request in good.requests]
    assert paths == ["/mnist/labels.gz", "/mnist/images.gz"]  # the smaller file first
    assert {request.headers["Accept-Encoding"] for request in good.requests} == {"identity"}


def test_progress_grows_to_the_length_of_each_file(fetch: Fetch, good: Server) -> None:
    fetch(good.url)
    for name, content in PACKED.items():
        steps = [(done, total) for step, done, total in fetch.progress if step == name]
        assert steps == sorted(steps)
        assert steps[-1] == (len(content), len(content))


def test_one_line_is_logged_for_each_file(fetch: Fetch, good: Server) -> None:
    fetch(good.url)
    assert fetch.lines == [f"labels: 0.0 kB from {good.url}", f"images: 31.4 kB from {good.url}"]


# ---------------------------------------------------------------- time


def times(fetch: Fetch, *headers: str) -> list[float]:
    """Return the times between three requests that are all answered by 503."""
    with Server(lambda c: c.answer(b"", *headers, status="503 No")) as server:
        fetch.fails(server.url, files=[LABELS])
        asked = [request.time for request in server.requests]
    return [later - earlier for earlier, later in pairwise(asked)]


@pytest.mark.long
def test_retry_after_is_followed_up_to_a_limit(fetch: Fetch, monkeypatch) -> None:
    monkeypatch.setattr(download, "LONGEST_BACKOFF", 0.3)
    assert max(times(fetch)) < 0.3
    for value in ("1", "1000000", email.utils.formatdate(time.time() + 100, usegmt=True)):
        found = times(fetch, f"Retry-After: {value}")
        assert min(found) >= 0.3
        assert max(found) < 0.9


@pytest.mark.long
def test_waits_between_retries_grow_and_are_random(fetch: Fetch, monkeypatch) -> None:
    monkeypatch.setattr(download, "BACKOFF", 0.1)
    monkeypatch.setattr(download, "LONGEST_BACKOFF", 1.0)
    first, second = times(fetch)
    assert 0.05 <= first < 0.15
    assert 0.1 <= second < 0.3
    assert first != times(fetch)[0]


@pytest.mark.proof("D7 a byte at a time")
def test_a_slow_mirror_is_left_and_not_asked_again(
    proof: Proof, tmp_path: Path, good: Server, monkeypatch
) -> None:
    monkeypatch.setattr(transfer, "WINDOW", 0.3)
    for trial in proof.trials(quick=1, long=5):
        fetch = Fetch(tmp_path / str(trial) / "mnist")
        with Server(lambda c: drip(c, PACKED["images"])) as slow:
            started = time.monotonic()
            fetch(slow.url, good.url)
            assert time.monotonic() - started < 1.5
            assert len(slow.requests) == 1
        fetch.check()
        assert "slower than 10 kB/s" in fetch.lines[0]


@pytest.mark.long
def test_all_mirrors_together_have_a_deadline(fetch: Fetch, monkeypatch) -> None:
    monkeypatch.setattr(download, "DEADLINE", 0.6)
    with (
        Server(lambda c: drip(c, PACKED["images"])) as slow,
        Server(lambda c: drip(c, PACKED["images"])) as next_one,
    ):
        started = time.monotonic()
        assert "no time was left" in fetch.fails(slow.url, next_one.url, files=[IMAGES])
        assert time.monotonic() - started < 1.2


def test_closed_ports_fail_at_once(fetch: Fetch) -> None:
    started = time.monotonic()
    assert fetch.fails(*(closed_port() for _ in range(5))).count("Connection refused") == 5
    assert time.monotonic() - started < 1


@pytest.mark.long
@pytest.mark.parametrize("mirrors", few([4, 1], 2))
def test_if_no_mirror_answers_the_wait_for_the_first_answer_has_a_limit(
    mirrors: int, fetch: Fetch, monkeypatch
) -> None:
    monkeypatch.setattr(transfer, "CONNECT", 5.0)
    monkeypatch.setattr(transfer, "PATIENCE", 5.0)
    started = time.monotonic()
    with Server(lambda c: c.stall() and None) as silent, black_hole() as hole:
        fetch.fails(*[f"{url}/{n}" for n in range(mirrors) for url in (silent.url, hole)])
    assert 1.1 < time.monotonic() - started < 1.8


@pytest.mark.long
def test_a_good_mirror_after_silent_ones_is_still_reached(
    fetch: Fetch, good: Server, monkeypatch
) -> None:
    monkeypatch.setattr(transfer, "PATIENCE", 5.0)
    with Server(lambda c: c.stall() and None) as silent, black_hole() as hole:
        fetch(silent.url, hole, silent.url + "/2", good.url)
        assert len(silent.requests) == 2  # the second file does not ask it again
    fetch.check()


@pytest.mark.long
def test_a_name_server_that_does_not_answer_has_a_time_limit(fetch: Fetch, monkeypatch) -> None:
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


@pytest.mark.long
def test_after_an_answer_of_one_mirror_others_have_more_time(fetch: Fetch, monkeypatch) -> None:
    monkeypatch.setattr(download, "FIRST_ANSWER", 0.3)
    monkeypatch.setattr(transfer, "PATIENCE", 5.0)

    def slow(client: Client) -> None:
        if client.stall(0.4):
            serve_packed(client)

    with Server(lambda c: c.answer(b"", status="404 Not Found")) as empty, Server(slow) as server:
        fetch(empty.url, server.url)
    fetch.check()


def test_an_abandoned_transfer_closes_its_connection(fetch: Fetch) -> None:
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


# ---------------------------------------------------------------- proxies and certificates


def test_the_proxy_of_the_environment_is_used(fetch: Fetch, good: Server, monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{good.port}")
    fetch("http://mirror.invalid/mnist")
    assert good.requests[0].path == "http://mirror.invalid/mnist/labels.gz"
    fetch.check()


def test_the_message_names_a_proxy_that_refuses(fetch: Fetch, monkeypatch) -> None:
    monkeypatch.setenv("https_proxy", closed_port())
    assert "the proxy: Connection refused" in fetch.fails("https://mirror.invalid/mnist")


def test_the_certificate_of_a_mirror_is_checked(fetch: Fetch, tmp_path: Path, monkeypatch) -> None:
    context, certificate = certified(tmp_path, "IP:127.0.0.1")
    with Server(serve_packed, context) as server:
        assert "self-signed certificate" in fetch.fails(server.url, files=[LABELS])
        assert server.requests == []
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))  # the user trusts it
        fetch(server.url)
    fetch.check()
    context, certificate = certified(tmp_path, "DNS:mirror.example")
    with Server(serve_packed, context) as server:
        message = Fetch(tmp_path / "other" / "mnist").fails(server.url, files=[LABELS])
        assert "IP address mismatch" in message


@pytest.mark.parametrize("right", [True, False])
def test_a_redirect_to_plain_http_gets_no_password_and_its_bytes_are_verified(
    right: bool, fetch: Fetch, tmp_path: Path, monkeypatch
) -> None:
    context, certificate = certified(tmp_path, "IP:127.0.0.1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with Server(serve_packed if right else lambda c: c.answer(HTML)) as plain:

        def send_on(client: Client) -> None:
            target = f"Location: {plain.url}/{name_of(client)}"
            client.answer(b"", target, status="302 Found")

        with Server(send_on, context) as server:
            if right:  # the digest proves it
                fetch(server.url.replace("//", "//me:secret@"))
                fetch.check()
            else:
                fetch.fails(server.url)
            assert right == ("Authorization" in server.requests[0].headers)
            assert plain.requests
            assert all("Authorization" not in request.headers for request in plain.requests)


def test_a_password_in_a_mirror_is_not_shown(fetch: Fetch) -> None:
    with Server(lambda c: c.answer(b"", status="401 Unauthorized")) as server:
        with pytest.raises(DownloadError) as caught:
            fetch(server.url.replace("//", "//me:secret@"))
        assert "Authorization" in server.requests[0].headers
    assert "secret" not in str(caught.value) + "".join(fetch.lines)
    assert f"  {server.url}: HTTP 401" in str(caught.value)


def test_a_defect_of_the_program_is_not_hidden(fetch: Fetch, good: Server, monkeypatch) -> None:
    monkeypatch.setattr(transfer, "_refusal", lambda response: response.no_such_attribute)
    with pytest.raises(AttributeError):
        fetch(good.url)


# ---------------------------------------------------------------- folders as mirrors


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Return a folder with the gzipped files."""
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
        (HTML, "not an IDX file"),
        (None, "there is no images, gzipped or raw"),
    ],
)
def test_after_a_wrong_folder_the_next_mirror_is_used(
    content: bytes | None, words: str, fetch: Fetch, shelf: Path, good: Server
) -> None:
    (shelf / "images.gz").unlink() if content is None else (shelf / "images.gz").write_bytes(
        content
    )
    fetch(shelf, good.url)
    fetch.check()
    assert [request.path for request in good.requests] == ["/mnist/images.gz"]
    assert len(fetch.lines) == 3  # two files and one reason
    assert re.search(words, fetch.lines[1])


def test_the_message_names_a_mirror_that_is_no_folder(fetch: Fetch, tmp_path: Path) -> None:
    for mirror in (tmp_path / "none", "s3://bucket/mnist", "file:///none", "file://["):
        assert f"{mirror}: there is no such folder" in fetch.fails(mirror)


@pytest.mark.parametrize("mirror", ["http://[", "http:/x", "https://", "http://a b", "http://é..x"])
def test_an_invalid_url_fails_as_a_mirror(mirror: str, fetch: Fetch) -> None:
    fetch.fails(mirror)


# ---------------------------------------------------------------- the folder that is filled


def test_right_files_are_not_fetched_again_unless_forced(fetch: Fetch, good: Server) -> None:
    fetch.folder.mkdir(parents=True)
    (fetch.folder / "images").write_bytes(RAW["images"])
    (fetch.folder / "labels.gz").write_bytes(PACKED["labels"])
    assert fetch(closed_port()) == []
    assert fetch.lines == []
    assert fetch(good.url, force=True) == ["labels", "images"]
    assert (fetch.folder / "labels").read_bytes() == RAW["labels"]


@pytest.mark.parametrize("content", [b"", bytes(99), RAW["images"][:-1], flip(RAW["images"], 5000)])
def test_a_damaged_file_is_replaced_once_a_mirror_works(
    content: bytes, fetch: Fetch, good: Server
) -> None:
    fetch(good.url)
    (fetch.folder / "images").write_bytes(content)
    with pytest.raises(DownloadError):
        fetch(closed_port())
    assert (fetch.folder / "images").read_bytes() == content
    assert fetch(good.url) == ["images"]
    fetch.check()


def test_the_permissions_of_files_follow_the_umask(fetch: Fetch, good: Server) -> None:
    before = os.umask(0o027)
    try:
        fetch(good.url)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in fetch.folder.iterdir()} == {0o640}


def test_old_temporary_files_of_the_program_are_removed(fetch: Fetch, good: Server) -> None:
    fetch.folder.mkdir(parents=True)
    old, new, foreign = (fetch.folder / n for n in (".images.a1.tmp", ".images.b2.tmp", ".my.tmp"))
    for path in (old, new, foreign):
        path.write_bytes(b"")
        os.utime(path, (time.time() - 2 * 86_400,) * 2)
    os.utime(new)
    fetch(good.url)
    assert names(fetch.folder) == [".images.b2.tmp", ".my.tmp", "images", "labels"]


def test_a_folder_that_cannot_be_made_is_refused_before_any_request(
    tmp_path: Path, good: Server
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="file/mnist"):
        Fetch(tmp_path / "file" / "mnist")(good.url)
    assert good.requests == []


def test_an_interruption_leaves_no_file(fetch: Fetch, good: Server) -> None:
    class Stop(BaseException):
        pass

    def stop(*_: object) -> None:
        raise Stop

    with pytest.raises(Stop):
        fetch_mnist(fetch.folder, [good.url], files=FILES, log=print, progress=stop)
    assert names(fetch.folder) == []


# ---------------------------------------------------------------- several processes


@pytest.mark.parametrize("has_temporary_file", [True, False])
def test_a_lock_without_a_transfer_is_waited_for_only_briefly(
    has_temporary_file: bool, fetch: Fetch, good: Server, monkeypatch
) -> None:
    monkeypatch.setattr(download, "FETCHER_PATIENCE", 0.3)
    fetch.folder.mkdir(parents=True)
    if has_temporary_file:  # of a process that was killed or stopped a while ago
        (fetch.folder / ".images.x.tmp").write_bytes(b"")
        os.utime(fetch.folder / ".images.x.tmp", (time.time() - 100,) * 2)
    descriptor = os.open(fetch.folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        started = time.monotonic()
        fetch(good.url)
        assert 0.3 < time.monotonic() - started < 1
        assert {name: (fetch.folder / name).read_bytes() for name in RAW} == RAW
        assert fetch.lines[0].startswith("waiting for another process")
    finally:
        os.close(descriptor)


@pytest.mark.long
def test_the_files_of_another_process_that_fetches_are_waited_for_and_used(
    fetch: Fetch, good: Server, monkeypatch
) -> None:
    monkeypatch.setattr(download, "FETCHER_PATIENCE", 0.3)
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


# ---------------------------------------------------------------- files in the folder


@pytest.mark.parametrize("name", ["images-idx3", "images-idx3.gz", "images.idx3", "images.idx3.gz"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
def test_a_copy_is_recognised_by_its_bytes_under_each_name(name: str, pack, tmp_path: Path) -> None:
    file = IMAGES._replace(name="images-idx3")
    assert mnist.find(tmp_path / "none", file) is None
    assert mnist.find(tmp_path, file) is None
    (tmp_path / name).write_bytes(pack(RAW["images"]))
    assert mnist.find(tmp_path, file) == tmp_path / name
    assert mnist.rejected(tmp_path, file) == {}
    for wrong in (pack(RAW["images"])[:-1], pack(RAW["images"][:-1]), pack(RAW["images"] + b"0")):
        (tmp_path / name).write_bytes(wrong)
        assert mnist.find(tmp_path, file) is None
        assert list(mnist.rejected(tmp_path, file)) == [tmp_path / name]


@pytest.mark.proof("D21 a bit of a kept file is flipped")
def test_a_flipped_bit_of_a_file_is_found_or_harmless(proof: Proof, tmp_path: Path) -> None:
    for trial in proof.trials(quick=50, long=1000):
        kept = (RAW if trial % 2 else PACKED)["images"]
        changed, bit = bytearray(kept), random.Random(trial).randrange(8 * len(kept))
        changed[bit // 8] ^= 1 << bit % 8
        path = tmp_path / ("images" if trial % 2 else "images.gz")
        path.write_bytes(changed)
        if (
            mnist.find(tmp_path, IMAGES) is not None
        ):  # a bit of the date in the header of a gzip file
            assert gzip.decompress(changed) == RAW["images"]
        path.unlink()


def test_a_right_copy_is_found_beside_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(flip(RAW["images"], 700))
    (tmp_path / "images.gz").write_bytes(PACKED["images"])
    assert mnist.find(tmp_path, IMAGES) == tmp_path / "images.gz"
    assert list(mnist.rejected(tmp_path, IMAGES)) == [tmp_path / "images"]


def test_a_file_that_the_reader_of_idx_files_refuses_is_not_found(tmp_path: Path) -> None:
    for content in (gzip.compress(PACKED["images"]), PACKED["images"] + b"junk"):
        (tmp_path / "images.gz").write_bytes(content)
        assert mnist.find(tmp_path, IMAGES) is None


def test_a_copy_that_is_far_too_large_is_not_found(tmp_path: Path) -> None:
    padded = gzip.compress(b"") * (IMAGES.size // 10) + PACKED["images"]  # it would verify
    (tmp_path / "images.gz").write_bytes(padded)
    with (tmp_path / "images").open("wb") as file:
        file.truncate(1 << 40)
    assert mnist.find(tmp_path, IMAGES) is None


def test_a_file_that_cannot_be_read_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to("/proc/self/mem")  # a file whose first byte cannot be read
    with pytest.raises(StorageError, match=str(tmp_path / "images")):
        mnist.find(tmp_path, IMAGES)


@pytest.mark.parametrize("layers", [1, 2])
def test_at_most_one_byte_more_than_the_file_has_is_decoded(layers: int) -> None:
    content = b"\0" + bytes(5_000_000)
    for _ in range(layers):
        content = gzip.compress(content)
    decoded = 0
    with pytest.raises(DataError, match="longer"):
        for piece in mnist.verified(io.BufferedReader(io.BytesIO(content)), IMAGES, layers):
            decoded += len(piece)
    assert decoded == IMAGES.size + 1


def test_a_file_that_ends_early_raises_another_error_than_a_wrong_one() -> None:
    for content in (RAW["images"][:-1], PACKED["images"][:-1], b""):
        with pytest.raises(CutShortError):
            list(mnist.verified(io.BufferedReader(io.BytesIO(content)), IMAGES))
    for content in (HTML, flip(RAW["images"], 40), b"\x1f", b"\x1f\x8b\x07" + bytes(20)):
        with pytest.raises(DataError) as caught:
            list(mnist.verified(io.BufferedReader(io.BytesIO(content)), IMAGES))
        assert not isinstance(caught.value, CutShortError) or content == b"\x1f"
