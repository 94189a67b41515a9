"""Local servers that can misbehave: real sockets and threads, and a minimum of HTTP."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest


class Request(NamedTuple):
    """A client's request: the path, the headers, and the time of its arrival."""

    path: str
    headers: dict[str, str]
    time: float


class Client:
    """One connection, seen from the server."""

    def __init__(self, connection: socket.socket, request: Request, stopped: threading.Event):
        self.connection = connection
        self.request = request
        self._stopped = stopped

    def send(self, content: bytes) -> None:
        with suppress(OSError):  # the client may have left
            self.connection.sendall(content)

    def reply(self, body: bytes = b"", *headers: str, status: str = "200 OK") -> None:
        """Send a header with only these lines, and a body."""
        lines = [f"HTTP/1.1 {status}", "Connection: close", *headers]
        self.send("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body)

    def answer(self, body: bytes, *headers: str, status: str = "200 OK") -> None:
        """Send a correct response."""
        self.reply(body, f"Content-Length: {len(body)}", *headers, status=status)

    def stall(self, seconds: float = 30) -> bool:
        """Send nothing for some seconds; return False if the test ended meanwhile."""
        return not self._stopped.wait(seconds)

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Server:
    """Calls `behave` for each connection to `url` on 127.0.0.1, and keeps the requests."""

    def __init__(self, behave: Callable[[Client], None], tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self._behave = behave
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._socket.getsockname()[1]
        self._tls = tls
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/mnist"

    def __enter__(self) -> Server:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while not self._stopped.is_set():
                self._start(self._serve, self._socket.accept()[0])

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(10)
            if self._tls is None:
                self._converse(connection)
                return
            with self._tls.wrap_socket(connection, server_side=True) as secured:
                self._converse(secured)

    def _converse(self, connection: socket.socket) -> None:
        text = b""
        while b"\r\n\r\n" not in text:
            chunk = connection.recv(1 << 16)
            if not chunk:
                return
            text += chunk
        first, *lines = text.decode("latin-1").split("\r\n")
        headers = dict(re.split(": *", line, maxsplit=1) for line in lines if line)
        request = Request(first.split(" ")[1], headers, time.monotonic())
        self.requests.append(request)
        self._behave(Client(connection, request, self._stopped))


@contextmanager
def black_hole() -> Iterator[str]:
    """Yield a URL whose connections are never established, because the server's queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = [socket.socket() for _ in range(3)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}/mnist"
        for client in waiting:
            client.close()


def closed_port() -> str:
    """Return a URL that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}/mnist"


def certified(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """A certificate for a name, and what a server needs to show it."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=mirror", "-addext", f"subjectAltName={name}"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate
