"""Downloads as whole processes: many at once, killed, interrupted, and with limits."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.proofs import Proof
from helpers.quick_training import ROOT
from helpers.selection import few
from helpers.servers import Client, Server, closed_port
from helpers.stand_ins import FILES, MLP, RAW, names, packed_for, serve_packed

from mlp_cli.data import mnist

Mlp = Callable[..., subprocess.CompletedProcess[str]]
STAND_IN = [sys.executable, "-W", "error", "-c", MLP, json.dumps(FILES), "download-data"]
ENVIRON = {
    **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
    "PYTHONPATH": str(ROOT),
}


def execute(*command: object, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**ENVIRON, **environ},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


# ---------------------------------------------------------------- many at once

# It forks processes, so that they start at once. Each line of its input is a folder, a mirror, the
# number of processes, and the seconds after which they are killed.
FLEET = """
import fcntl, json, os, signal, sys, time, traceback
from pathlib import Path
from mlp_cli.data import download
from mlp_cli.data.mnist import MnistFile, find
files, locks = json.loads(sys.argv[1])
files = [MnistFile(*file) for file in files]
download.MIRRORS, download.FETCHER_PATIENCE = (), 20.0
if not locks:
    fcntl.flock = lambda *_: None

def fetch(folder, url):
    try:
        download.fetch_mnist(
            Path(folder), [url], files=files, log=lambda _: None, progress=lambda *_: None
        )
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    # Its files must be whole from now on, whatever the other processes do.
    os._exit(0 if all(find(Path(folder), file) for file in files for _ in range(20)) else 2)

for line in sys.stdin:
    folder, url, count, patience = json.loads(line)
    waiting, go = os.pipe()
    children = []
    for _ in range(count):
        children.append(os.fork())
        if not children[-1]:
            os.close(go)
            os.read(waiting, 1)  # which ends when the parent closes the other end
            fetch(folder, url)
    os.close(go)
    os.close(waiting)
    if patience is not None:
        time.sleep(patience)
        for child in children:
            os.kill(child, signal.SIGKILL)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    print(json.dumps(codes), flush=True)
"""
Fleet = Callable[..., list[int]]


@contextmanager
def fleet(locks: bool) -> Iterator[Fleet]:
    """Yield a function that lets many processes fetch at once and returns their exit codes."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", FLEET, json.dumps([FILES, locks])],
        env=ENVIRON,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def fetch(
            folder: Path, url: str, count: int = 1, patience: float | None = None
        ) -> list[int]:
            print(json.dumps([str(folder), url, count, patience]), file=process.stdin, flush=True)
            return list(json.loads(process.stdout.readline()))

        yield fetch
        process.stdin.close()


def slowly(client: Client) -> None:
    """Serve a file in pieces, to each client at another speed, so that the writes mix."""
    content, pause = packed_for(client), 0.01 * (client.connection.getpeername()[1] % 7)
    client.reply(b"", f"Content-Length: {len(content)}")
    for at in range(0, len(content), 1 + len(content) // 4):
        client.stall(pause)
        client.send(content[at : at + 1 + len(content) // 4])


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def race(proof: Proof, locks: bool, count: int, tmp_path: Path) -> None:
    with fleet(locks) as fetch, Server(slowly) as server:
        for trial in proof.trials(quick=2, long=50):
            folder, asked = tmp_path / str(trial) / "mnist", len(server.requests)
            assert fetch(folder, server.url, count) == [0] * count
            assert content(folder) == RAW  # and so no temporary file
            transfers = len(server.requests) - asked
            assert transfers == len(FILES) if locks else transfers > len(FILES)


@pytest.mark.long
@pytest.mark.proof("D17 32 processes fetch at once")
def test_processes_fetch_once_if_locks_work(proof: Proof, tmp_path: Path) -> None:
    race(proof, True, 32, tmp_path)


@pytest.mark.long
@pytest.mark.proof("D18 32 processes fetch at once, locks do nothing")
def test_processes_that_fetch_at_once_without_locks_leave_whole_files(
    proof: Proof, tmp_path: Path
) -> None:
    race(proof, False, 32, tmp_path)


# ---------------------------------------------------------------- killed and interrupted


@pytest.mark.long
@pytest.mark.proof("D19 SIGKILL at a random instant of a download")
def test_the_next_download_repairs_a_killed_one(proof: Proof, tmp_path: Path) -> None:
    with fleet(locks=True) as fetch, Server(slowly) as server:
        killed = 0
        for trial in proof.trials(quick=6, long=300):
            folder, generator = tmp_path / str(trial) / "mnist", random.Random(trial)
            killed += fetch(folder, server.url, 2, generator.uniform(0, 0.35)) != [0, 0]
            for name in names(folder) if folder.exists() else []:
                assert name.endswith(".tmp") or (folder / name).read_bytes() == RAW[name]
            left = list(folder.glob(".*.tmp"))
            for path in left:
                os.utime(path, (time.time() - 2 * 86_400,) * 2)
            (folder / "images").unlink(missing_ok=True)  # so that there is something to fetch
            assert fetch(folder, server.url) == [0]
            assert content(folder) == RAW
        assert killed > proof.begun / 4


@pytest.mark.parametrize(
    "number",
    few(
        [
            pytest.param(
                number,
                marks=pytest.mark.proof(f"{row} {number.name} at a random instant of a download"),
            )
            for row, number in zip(
                ("S1", "S2", "S3"), (signal.SIGINT, signal.SIGTERM, signal.SIGHUP), strict=True
            )
        ],
        3,
    ),
)
def test_the_command_dies_by_the_signal_and_leaves_only_whole_files(
    number: signal.Signals, proof: Proof, tmp_path: Path
) -> None:
    for trial in proof.trials(quick=2, long=50):
        with Server(slowly) as server:
            before = signal.signal(number, signal.SIG_DFL)  # because a background job ignores it
            try:
                process = subprocess.Popen(
                    [*STAND_IN, "--mirror", server.url, "--data-dir", str(trial)],
                    cwd=tmp_path,
                    env=ENVIRON,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            finally:
                signal.signal(number, before)
            while not server.requests:
                assert process.poll() is None
                time.sleep(0.001)
            time.sleep(random.Random(trial).uniform(0, 0.3))
            process.send_signal(number)
            stderr = process.communicate(timeout=10)[1]
            assert process.returncode == -number or "fetched 2 files" in stderr
            assert "Error" not in stderr
            found = content(tmp_path / str(trial) / "mnist")
            assert found == {name: RAW[name] for name in found}


# ---------------------------------------------------------------- little memory, no rights, no net


@pytest.mark.long
@pytest.mark.proof("D14 bombs, with 512 MB of memory")
def test_a_bomb_is_refused_within_512_mb(proof: Proof, tmp_path: Path) -> None:
    zeros = gzip.compress(bytes(1 << 24))
    bomb = gzip.compress(b"\0\0\x08\x03") + zeros * 64  # 1 GB
    bodies = (bomb, gzip.compress(bomb), zeros * 128)
    large = json.dumps([("train-images-idx3-ubyte", 47_040_016, "0" * 64)])

    def answer(client: Client) -> None:
        number = int(client.request.path.split("/")[1])
        encoding = () if number < 3 else ("Content-Encoding: gzip",)
        client.answer(bodies[number % 3], *encoding)

    command = [large if word == json.dumps(FILES) else word for word in STAND_IN]
    command = ["prlimit", "--as=536870912", *command]
    with Server(answer) as server:
        for trial in proof.trials(quick=3, long=60):
            mirror = f"http://127.0.0.1:{server.port}/{trial % 6}"
            done = execute(*command, "--mirror", mirror, cwd=tmp_path)
            assert done.returncode == 4, done.stderr
            assert re.search("longer than 47,040,016 bytes", done.stderr)
            assert names(tmp_path / "data" / "mnist") == []


@pytest.mark.long
@pytest.mark.proof("D20 the folder may only be read")
def test_a_complete_read_only_folder_is_accepted_and_force_is_refused(
    proof: Proof, tmp_path: Path
) -> None:
    command = [*STAND_IN, "--data-dir", "d"]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("needs setpriv: root may write everywhere")
        command = ["setpriv", "--bounding-set=-dac_override", *command]
    folder = tmp_path / "d" / "mnist"
    with Server(serve_packed) as server:
        for _ in proof.trials(quick=1, long=5):
            assert execute(*command, "--mirror", server.url, cwd=tmp_path).returncode == 0
            folder.chmod(0o555)
            try:
                complete = execute(*command, "--mirror", closed_port(), cwd=tmp_path)
                asked = len(server.requests)
                forced = execute(*command, "--force", "--mirror", server.url, cwd=tmp_path)
            finally:
                folder.chmod(0o755)
            assert complete.returncode == 0, complete.stderr
            assert forced.returncode == 7, forced.stderr
            assert "Error: cannot write into d/mnist: Permission denied" in forced.stderr
            assert len(server.requests) == asked  # refused before any request
            assert content(folder) == RAW
            shutil.rmtree(tmp_path / "d")


@pytest.mark.serial
@pytest.mark.long
@pytest.mark.proof("D16 no network, no name server, a proxy that is not there")
def test_without_a_network_the_command_fails_in_ten_seconds(proof: Proof, tmp_path: Path) -> None:
    apart = ["unshare", "-Urn"]
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"]).returncode != 0:
        pytest.skip("needs unshare, to run without a network")
    environs: Sequence[dict[str, str]] = (
        {},
        {"MLP_MIRROR": "http://127.0.0.1:9"},
        {"MLP_MIRROR": "http://10.255.255.1", "https_proxy": "http://proxy.invalid:3128"},
    )
    command = [*apart, sys.executable, "-W", "error", "-m", "mlp_cli", "download-data"]
    for trial in proof.trials(quick=len(environs), long=5 * len(environs)):
        started = time.monotonic()
        done = execute(*command, cwd=tmp_path, **environs[trial % len(environs)])
        assert time.monotonic() - started < 10
        assert done.returncode == 4, done.stderr
        assert "cannot fetch t10k-labels-idx1-ubyte from any mirror:" in done.stderr
        assert "Traceback" not in done.stderr
        assert names(tmp_path / "data" / "mnist") == []


# ---------------------------------------------------------------- the command


@pytest.mark.long
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
    assert "all files were already there" in again.stderr


def test_the_message_lists_the_mirrors_in_their_order(mlp: Mlp, tmp_path: Path) -> None:
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
    code = "from mlp_cli.data.download import MIRRORS; print(*MIRRORS)"
    return subprocess.check_output([sys.executable, "-c", code], text=True).split()


def test_a_file_that_cannot_be_written_is_not_blamed_on_the_mirror(tmp_path: Path) -> None:
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
