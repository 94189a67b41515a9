"""A configuration that comes through a pipe, and predictions that go into one."""

from __future__ import annotations

import csv
import fcntl
import os
import pty
import shlex
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from mlp_cli import load_config
from mlp_cli.config import reading
from mlp_cli.errors import ConfigError

Mlp = Callable[..., CompletedProcess[str]]
ROOT = Path(__file__).parents[2]
ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT)}
COMMAND = [sys.executable, "-W", "error", "-m", "mlp_cli"]
MLP = shlex.join(COMMAND)


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., CompletedProcess[str]]:
    def run(line: str, **options: Any) -> CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            **{"cwd": tmp_path, "env": ENVIRON, "capture_output": True, "text": True, **options},
            timeout=60,
            check=False,
        )

    return run


@pytest.mark.long
@pytest.mark.parametrize(
    "line",
    [
        "{mlp} {command} --config <(cat {config}) {rest}",
        "{mlp} {command} <(cat {config}) {rest}",
        "cat {config} | {mlp} {command} --config /dev/stdin {rest}",
        "cat {config} | {mlp} {command} --config - {rest}",
        "{mlp} {command} - {rest} <{config}",
        "(head -c 20 {config}; sleep 0.5; tail -c +21 {config}) | {mlp} {command} - {rest}",
        "mkfifo f; (sleep 0.3; cat {config} >f) & {mlp} {command} f {rest}",
    ],
)
def test_a_configuration_through_a_pipe(
    line: str, shell: Mlp, config: Path, tmp_path: Path
) -> None:
    rest = "--out run --quiet --set training.epochs=1"
    done = shell(line.format(mlp=MLP, command="train", config=shlex.quote(str(config)), rest=rest))
    assert (done.returncode, done.stderr) == (0, "")
    expected = load_config(config, ["training.epochs=1"])
    assert load_config(tmp_path / "run" / "config.yaml") == expected


def test_the_other_commands_read_pipes_too(shell: Mlp, config: Path) -> None:
    done = shell(f"cat {shlex.quote(str(config))} | {MLP} gradcheck -")
    assert done.returncode == 0, done.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("yes 'seed: 1' | {mlp} train -; exit ${{PIPESTATUS[1]}}", "-: larger than 32768 bytes"),
        ("{mlp} train <(yes)", "larger than 32768 bytes"),
        ("{mlp} train <(true)", "the file is empty"),
        ("{mlp} train - </dev/null", "-: the file is empty"),
        (
            "printf 'seed: 1\\nsed: 2\\n' | {mlp} train -",
            "-:2: sed: unknown key. Did you mean seed",
        ),
        ("printf 'a: \\xff' | {mlp} train -", "-:1: not UTF-8"),
        ("{mlp} train /dev/zero", "/dev/zero: a folder or device"),
    ],
)
def test_what_comes_through_a_pipe_has_the_usual_limits(line: str, said: str, shell: Mlp) -> None:
    done = shell(line.format(mlp=MLP))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_closed_standard_input_is_an_error_of_reading(shell: Mlp) -> None:
    done = shell(f"{MLP} train - <&-")
    assert done.returncode == 7
    assert "cannot read -: standard input is closed" in done.stderr


@pytest.mark.serial
@pytest.mark.parametrize("writer", ["none", "silent"])
def test_a_pipe_through_which_nothing_comes_is_not_waited_for_without_end(
    writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PATIENCE", 0.2)
    os.mkfifo(tmp_path / "f")
    silent = os.open(tmp_path / "f", os.O_RDWR) if writer == "silent" else None
    started = time.monotonic()
    with pytest.raises(ConfigError, match=r"f: nothing came through this pipe for 0\.2 s\. Check"):
        load_config(tmp_path / "f")
    assert 0.2 <= time.monotonic() - started < 10
    if silent is not None:
        os.close(silent)


def test_a_signal_ends_the_wait_for_a_pipe(tmp_path: Path) -> None:
    command = [*COMMAND, "train", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=ENVIRON
    ) as process:
        assert process.stdin is not None
        process.stdin.write(b"seed: 1\n")
        process.stdin.flush()
        unread = b"some"
        while any(unread):  # until the process has read it, and waits for the rest
            time.sleep(0.02)
            unread = fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4))
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_at_a_terminal_a_user_may_take_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PATIENCE", 0.1)
    ours, theirs = pty.openpty()

    def type_slowly() -> None:
        time.sleep(0.5)
        os.write(ours, b"seed: 7\n\x04")

    thread = threading.Thread(target=type_slowly)
    thread.start()
    try:
        assert reading._read_stream(theirs, Path("-")) == b"seed: 7\n"
    finally:
        thread.join()
        os.close(ours)
        os.close(theirs)


@pytest.mark.long
def test_predictions_to_standard_output(mlp: Mlp, config: Path, tmp_path: Path) -> None:
    assert mlp("train", config, "--out", "run", "--quiet").returncode == 0
    to_file = mlp("eval", "run", "--predictions", "p.csv")
    to_stdout = mlp("eval", "run", "--predictions", "-")
    assert (to_stdout.returncode, to_stdout.stderr) == (0, "")
    assert to_stdout.stdout == (tmp_path / "p.csv").read_text()
    assert len(list(csv.DictReader(StringIO(to_stdout.stdout)))) == 150
    assert not (tmp_path / "-").exists()
    assert "accuracy" in to_file.stdout
    checked = mlp("eval", "run", "--predictions", "-", "--max-error", "0", "--split", "train")
    assert checked.returncode in (0, 1)
    assert checked.stdout.startswith("index,label,prediction,probability\n")
    both = mlp("eval", "run", "--predictions", "-", "--json")
    assert (both.returncode, both.stdout) == (2, "")
    assert "--predictions - and --json would both print to stdout" in both.stderr
