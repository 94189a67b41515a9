"""Wrong mirrors of every kind: the right bytes come from another mirror, or none, in time."""

from __future__ import annotations

import gzip
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers.proofs import Proof
from helpers.selection import few
from helpers.servers import Client, Server
from helpers.stand_ins import IMAGES, LABELS, PACKED, RAW, Fetch, flip, name_of, packed_for

from mlp_cli.data import download

pytestmark = [pytest.mark.serial, pytest.mark.usefixtures("short_limits")]

HTML = b"<!doctype html><title>Hotel Wi-Fi: please sign in</title>"
BOMB = gzip.compress(b"\0\0\x08\x03" + bytes(30_000_000))

Behaviour = Callable[[Client, bytes, int], object]  # the file, and a random position in it


def drip_header(client: Client, content: bytes, at: int) -> None:
    client.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(1000):
        client.send(b"X-%d: y\r\n" % number)
        if not client.stall(0.05):
            return


def reset_within(client: Client, content: bytes, at: int) -> None:
    client.reply(content[:at], f"Content-Length: {len(content)}")
    client.reset()


def stall_within(client: Client, content: bytes, at: int) -> None:
    client.reply(content[:at], f"Content-Length: {len(content)}")
    client.stall()


def endless(client: Client, content: bytes, at: int) -> None:
    client.reply(b"")
    empty = gzip.compress(b"") * 1000  # it decodes to nothing, for ever
    for _ in range(1000):
        client.send(empty)


def chunked(content: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content) + end


def in_chunks(change: Callable[[bytes, int], bytes]) -> Behaviour:
    return lambda c, x, at: c.reply(change(x, at), "Transfer-Encoding: chunked")


def length(value: object) -> Behaviour:
    return lambda c, x, at: c.reply(x[:at], f"Content-Length: {value}")


def status(text: str, *headers: str) -> Behaviour:
    return lambda c, x, at: c.answer(x, *headers, status=text)


def redirect(target: str) -> Behaviour:
    return lambda c, x, at: c.answer(b"", f"Location: {target}", status="302 Found")


def body(change: Callable[[bytes, int], bytes], *headers: str) -> Behaviour:
    return lambda c, x, at: c.answer(change(x, at), *headers)


class Wrong(NamedTuple):
    """What a server does, words of the reason, and its requests for one file (None: any number)."""

    behave: Behaviour
    words: str
    requests: int | None


ENDED, EARLY = "the connection ended", "ends early|ends after"

# For each fault: the number of trials of each server in a proof, and the servers.
WRONG: dict[str, tuple[int, dict[str, Wrong]]] = {
    "D1 the body is cut, its length known": (
        64,
        {
            "short": Wrong(
                lambda c, x, at: c.reply(x[:at], f"Content-Length: {len(x)}"), " of ", 3
            ),
            "by 1": Wrong(lambda c, x, at: c.reply(x[:-1], f"Content-Length: {len(x)}"), ENDED, 3),
        },
    ),
    "D2 the body is cut, its length unknown": (
        20,
        {
            "short": Wrong(lambda c, x, at: c.reply(x[:at]), EARLY, 3),
            "by 1": Wrong(lambda c, x, at: c.reply(x[:-1]), EARLY, 3),
            "empty": Wrong(lambda c, x, at: c.answer(b""), "ends after 0 of 31,376 bytes", 3),
        },
    ),
    "D3 junk at the end, cut chunks": (
        20,
        {
            "junk": Wrong(lambda c, x, at: c.reply(x + b"junk" * at), "damaged gzip|more than", 1),
            "cut chunk": Wrong(
                in_chunks(lambda x, at: chunked(x)[: at + 9]), f"{ENDED}|{EARLY}", 3
            ),
            "no last chunk": Wrong(in_chunks(lambda x, at: chunked(x, b"")), ENDED, 3),
            "no chunks": Wrong(in_chunks(lambda x, at: x), "got 0.0 kB", 3),
        },
    ),
    "D4 a wrong Content-Length": (
        10,
        {
            "in words": Wrong(length("many"), EARLY, 3),
            "below 0": Wrong(length(-5), EARLY, 3),
            "1 TB": Wrong(length(10**12), "of 1000000.0 MB", 3),
            "two": Wrong(length("100\r\nContent-Length: 200"), "Content-Length", 1),
        },
    ),
    "D5 the connection is reset": (
        100,
        {
            "within": Wrong(reset_within, "got ", 3),
            "at once": Wrong(lambda c, x, at: c.reset(), "reset by peer", 3),
        },
    ),
    "D6 silence": (
        10,
        {
            "no answer": Wrong(lambda c, x, at: c.stall(), "no data for|timed out", 1),
            "header by the byte": Wrong(drip_header, "no data for", 1),
            "within": Wrong(stall_within, "got .* of ", 3),
        },
    ),
    "D8 statuses that are final": (
        2,
        {
            **{
                str(code): Wrong(status(f"{code} No"), f"HTTP {code}", 2)
                for code in range(400, 452)
                if code not in (408, 425, 429)
            },
            **{
                str(code): Wrong(status(f"{code} No"), f"HTTP {code}", 1)
                for code in (201, 202, 203, 206, 226, 300, 304)
            },
        },
    ),
    "D9 temporary statuses": (
        10,
        {
            "408": Wrong(status("408 Request Timeout"), "HTTP 408", 3),
            "500": Wrong(status("500 Internal Server Error"), "HTTP 500", 3),
            "502": Wrong(status("502 Bad Gateway"), "HTTP 502", 3),
            "503, 1 s": Wrong(status("503 No", "Retry-After: 1"), "HTTP 503", 3),
            "503, 10⁶ s": Wrong(status("503 No", "Retry-After: 1000000"), "HTTP 503", 3),
            "503, 10⁵⁰⁰⁰ s": Wrong(status("503 No", "Retry-After: " + "9" * 5000), "HTTP 503", 3),
            "503, a date": Wrong(
                status("503 No", "Retry-After: Fri, 31 Dec 2100 23:59:59 GMT"), "503", 3
            ),
            "429, past": Wrong(
                status("429 No", "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT"), "429", 3
            ),
            "429, garbage": Wrong(status("429 Slow down", "Retry-After: soon, 31"), "HTTP 429", 3),
        },
    ),
    "D10 redirects": (
        5,
        {
            "loop": Wrong(lambda c, x, at: redirect(c.request.path)(c, x, at), "redirects", 6),
            "file": Wrong(redirect("file:///etc/passwd"), "file:///etc/passwd", 1),
            "ftp": Wrong(redirect("ftp://127.0.0.1/x"), "ftp://127.0.0.1/x", 1),
            "nowhere": Wrong(redirect("http://[::1"), "IPv6", 1),
        },
    ),
    "D11 a server that is no mirror": (
        5,
        {
            "captive portal": Wrong(
                body(lambda x, at: HTML, "Content-Type: text/html"), "text/html, 0.1 kB", 1
            ),
            "control characters": Wrong(body(lambda x, at: b"\x1b[2J"), "not an IDX file", 1),
            "header of 1 MB": Wrong(
                lambda c, x, at: c.send(b"HTTP/1.1 200 " + b"x" * 10**6), "", None
            ),
            "no HTTP": Wrong(lambda c, x, at: c.send(b"220 ftp.example.org\r\n"), "", None),
            "nothing": Wrong(lambda c, x, at: None, "closed connection", 3),
        },
    ),
    "D12 wrong bytes": (
        100,
        {
            "flipped bit": Wrong(body(lambda x, at: flip(x, max(at, 10))), "", None),
            "flipped bit in the raw file": Wrong(
                body(lambda x, at: flip(gzip.decompress(x), max(at, 4))), "SHA-256", 1
            ),
            "the other file": Wrong(body(lambda x, at: RAW["labels"][:8] + bytes(at)), "", None),
        },
    ),
    "D14 bombs": (
        10,
        {
            "gzip": Wrong(body(lambda x, at: BOMB), "longer than 31,376 bytes", 1),
            "by encoding": Wrong(
                body(lambda x, at: gzip.compress(BOMB), "Content-Encoding: gzip"),
                "longer than 31,376 bytes",
                1,
            ),
            "too many layers": Wrong(
                body(lambda x, at: gzip.compress(gzip.compress(x))), "not an IDX file", 1
            ),
            "endless": Wrong(endless, "more than the file can be", 1),
        },
    ),
}


@pytest.mark.parametrize(
    "row", few([pytest.param(row, marks=pytest.mark.proof(row)) for row in WRONG], 2)
)
def test_a_wrong_mirror_is_reported_and_the_next_one_is_used(
    row: str, proof: Proof, good: Server, tmp_path: Path
) -> None:
    long, servers = WRONG[row]
    for trial in proof.trials(quick=len(servers), long=long * len(servers)):
        name, wrong = list(servers.items())[trial % len(servers)]
        at = random.Random(trial).randrange(1, len(RAW["images"]))
        folder = Fetch(tmp_path / str(trial) / "mnist")

        def answer(client: Client, wrong: Wrong = wrong, at: int = at) -> None:
            wrong.behave(client, packed_for(client), at)

        started = time.monotonic()
        with Server(answer) as server:
            message = folder.fails(server.url, files=[IMAGES])
            assert wrong.requests in (None, len(server.requests)), f"{name}: {message}"
            assert re.search(wrong.words, message), f"{name}: {message}"
            assert message.replace("\n", "").isprintable(), f"{name}: {message!r}"
            # A good mirror after it is used.
            folder.lines.clear()
            assert folder(server.url, good.url, files=[IMAGES]) == ["images"], name
            assert (folder.folder / "images").read_bytes() == RAW["images"], name
            assert any(line.startswith(f"{server.url}: ") for line in folder.lines), name
            for request in server.requests + good.requests:
                assert "Range" not in request.headers
                assert request.headers["Accept-Encoding"] == "identity"
        assert time.monotonic() - started < 15, name


@pytest.mark.proof("D1 D2 a body is cut at each 64th")
def test_a_body_cut_anywhere_is_refused(proof: Proof, fetch: Fetch, monkeypatch) -> None:
    monkeypatch.setattr(download, "BACKOFF", 0)
    content = PACKED["images"]
    headers = ((), (f"Content-Length: {len(content)}",))
    for n, header in proof.points([(n, h) for n in range(64) for h in headers], quick=32):
        cut = content[: n * len(content) // 64]
        with Server(lambda c, cut=cut, header=header: c.reply(cut, *header)) as server:  # type: ignore[misc]
            message = fetch.fails(server.url, files=[IMAGES])
            assert ("of 31.4 kB" in message) == bool(header)


@pytest.mark.proof("D12 a bit is flipped in each byte")
def test_a_bit_flipped_anywhere_is_refused(proof: Proof, fetch: Fetch) -> None:
    content = PACKED["labels"]
    # The first 10 bytes are the header of gzip, which is not decoded.
    for at in proof.points(range(10, len(content)), quick=20):
        with Server(lambda c, at=at: c.answer(flip(content, at))) as server:  # type: ignore[misc]
            fetch.fails(server.url, files=[LABELS])


# ---------------------------------------------------------------- unusual servers

UNUSUAL: dict[str, Behaviour] = {
    "raw": body(lambda x, at: gzip.decompress(x)),
    "raw under its name only": lambda c, x, at: (
        c.answer(b"", status="404 Not Found")
        if name_of(c).endswith(".gz")
        else c.answer(gzip.decompress(x))
    ),
    "no length": lambda c, x, at: c.reply(x),
    "chunks": in_chunks(lambda x, at: chunked(x)),
    "more than its length": lambda c, x, at: c.reply(x + b"junk", f"Content-Length: {len(x)}"),
    "encoding of the .gz itself": body(lambda x, at: x, "Content-Encoding: gzip"),
    "encoding of a raw file": body(lambda x, at: gzip.decompress(x), "Content-Encoding: gzip"),
    "encoding around the .gz": body(lambda x, at: gzip.compress(x), "Content-Encoding: gzip"),
    "two members": body(
        lambda x, at: (
            gzip.compress(gzip.decompress(x)[:at]) + gzip.compress(gzip.decompress(x)[at:])
        )
    ),
    "stored": body(lambda x, at: gzip.compress(gzip.decompress(x), 0)),
    "a wrong Content-Type": body(lambda x, at: x, "Content-Type: text/html"),
    "redirect": lambda c, x, at: (
        c.answer(x) if "moved" in c.request.path else redirect(f"/moved/{name_of(c)}")(c, x, at)
    ),
    "in pieces": lambda c, x, at: [
        c.reply(b""),
        *(c.send(x[i : i + 999]) for i in range(0, len(x), 999)),
    ],
}


@pytest.mark.proof("D15 the right bytes come in an unusual way")
def test_the_right_bytes_are_accepted_from_unusual_servers(proof: Proof, tmp_path: Path) -> None:
    for trial in proof.trials(quick=len(UNUSUAL), long=5 * len(UNUSUAL)):
        name = list(UNUSUAL)[trial % len(UNUSUAL)]
        fetch, at = Fetch(tmp_path / str(trial)), random.Random(trial).randrange(900)
        with Server(lambda c, name=name, at=at: UNUSUAL[name](c, packed_for(c), at)) as server:  # type: ignore[misc]
            fetch(server.url + "/")
            assert all(request.path.count("//") == 0 for request in server.requests), name
        fetch.check()
