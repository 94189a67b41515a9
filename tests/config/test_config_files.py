"""Files that are no configuration are refused by one message, with little time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from string import ascii_lowercase

import pytest
from helpers.outcomes import outcome
from helpers.proofs import Proof

from mlp_cli.config.schema import Config

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "c.yaml").write_text("{}")
    return tmp_path / "c.yaml"


# Files that are no configuration: a name, the content or code that makes the file, and words of the
# message.
BOMB = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [*{last}, *{last}]\n" for last, name in pairwise(ascii_lowercase)
)
FILES: list[tuple[str, bytes | str, str]] = [
    ("duplicate keys", b"seed: 1\nseed: 1\n", "c.yaml:2: seed: given twice"),
    ("an alias", b"a: &x [1]\nb: *x\n", "anchors (&x) are not supported"),
    ("an alias bomb", BOMB.encode(), "26 faults"),
    ("merge keys", b"a: {<<: {b: 1}}\n", "merge keys"),
    ("tabs", b"training:\n\tepochs: 1\n", "spaces instead of tabs"),
    ("NUL", b"seed: \0\n", "U+0000"),
    ("UTF-16", "seed: 1\n".encode("utf-16"), "not UTF-8"),
    ("UTF-16 without a byte order mark", "seed: 1\n".encode("utf-16-le"), "U+0000"),
    ("UTF-32", "seed: 1\n".encode("utf-32"), "not UTF-8"),
    ("Latin-1", "data: {path: é}\n".encode("latin-1"), "not UTF-8 (byte 0xe9)"),
    ("empty", b"", "the file is empty"),
    ("only a byte order mark", b"\xef\xbb\xbf", "the file is empty"),
    ("only comments", b"# seed: 1\n", "the file is empty"),
    ("a list", b"- seed: 1\n", "not a mapping"),
    ("a number", b"3\n", "not a mapping"),
    ("two documents", b"seed: 1\n---\nseed: 2\n", "c.yaml:2: not readable as YAML: a second"),
    ("a call", b"seed: !!python/object/apply:os.system ['touch owned']\n", "tags (!!python"),
    ("a name", b"seed: !!python/name:os.system\n", "tags (!!python"),
    ("a binary", b"seed: !!binary aGk=\n", "tags (!!binary"),
    ("a target", b"model: {_target_: os.system}\n", "model._target_: unknown key"),
    ("2 MiB", b"# " + b"x" * 2**21, "larger than 32768 bytes"),
    ("2 MiB of keys", b"".join(b"a%d: 1\n" % i for i in range(200_000)), "larger than"),
    ("depth 10⁴ of lists", b"[" * 10_000, "nested more than 20 levels deep"),
    ("depth 10⁴ of mappings", b"{a: " * 8_000, "nested more than 20 levels deep"),
    ("depth 10⁴ of blocks", b"- " * 10_000, "nested more than 20 levels deep"),
    ("depth 10⁴ of keys", b"? " * 10_000, "a list or mapping is used as a key"),
    ("4,000 unknown keys", b"".join(b"k%d: 1\n" % i for i in range(3_500)), "3500 faults"),
    ("16,000 wrong widths", b"model: {hidden: [" + b"x," * 16_000 + b"]}", "16000 faults"),
    ("a long integer", b"seed: " + b"9" * 30_000, "seed: found 999"),
    ("1 GB, sparse", "file.touch(); os.truncate(file, 2**30)", "larger than 32768 bytes"),
    ("a FIFO", "os.mkfifo(file)", "nothing came through this pipe for 0.1 s"),
    ("a folder", "file.mkdir()", "a folder or device"),
    ("a device", "file.symlink_to('/dev/zero')", "a folder or device"),
    ("a link to itself", "file.symlink_to(file)", "no such file"),
    ("a link to nothing", "file.symlink_to('nowhere')", "no such file"),
    ("nothing", "None", "no such file"),
]
HOSTILE = """
import json, os, resource, sys, time
from contextlib import redirect_stderr
from io import StringIO
from mlp_cli.cli.main import main
import mlp_cli.config.load, mlp_cli.compute.machine
mlp_cli.config.reading.PATIENCE = 0.1
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
for folder in sys.argv[1:]:
    os.chdir(folder)
    before, started, stderr = peak(), time.process_time(), StringIO()
    try:
        with redirect_stderr(stderr):
            main(["train", "--config", "c.yaml"])
    except SystemExit as ended:
        code = ended.code
    seconds = time.process_time() - started
    print(json.dumps([code, seconds, peak() - before, stderr.getvalue(), os.listdir()]))
"""


@pytest.mark.long
@pytest.mark.serial
@pytest.mark.proof("Y3 a file that is no configuration")
def test_hostile_files_are_refused_within_2_seconds_and_100_mb(
    proof: Proof, tmp_path: Path
) -> None:
    folders = []
    for number, (_, content, _) in enumerate(FILES):
        folders.append(tmp_path / str(number))
        folders[-1].mkdir()
        file = folders[-1] / "c.yaml"
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            exec(content, {"file": file, "os": os})
    lines = subprocess.run(
        [sys.executable, "-W", "error", "-c", HOSTILE, *folders],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout.splitlines()
    named = list(zip(FILES, map(json.loads, lines), strict=True))
    for (name, _, words), (code, seconds, megabytes, message, left) in proof.points(
        named, len(FILES)
    ):
        assert code == 2, (name, message)
        assert words in message, (name, message)
        assert message.startswith("Error: "), name
        assert len(message) < 8_000, name
        assert seconds < 2, name  # CPU seconds; below 1 on an idle machine
        assert megabytes < 100, name
        assert left in (["c.yaml"], []), name


def test_a_file_with_a_byte_order_mark_and_crlf_is_read(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf# one\r\nseed: 7\r\nmodel:\r\n  hidden: [3]\r\n")
    found = outcome(path)
    assert isinstance(found, Config)
    assert (found.seed, found.model.hidden) == (7, (3,))
    path.write_bytes(b"\xef\xbb\xbfseed: 7\r\nmodle: 3\r\n")
    assert str(outcome(path)).startswith("c.yaml:2: modle: unknown key")


@pytest.mark.parametrize(("keys", "explained"), [(200, True), (201, False)])
def test_unknown_keys_are_explained_unless_there_are_very_many(
    path: Path, keys: int, explained: bool
) -> None:
    path.write_text("".join(f"seed{number}: 1\n" for number in range(keys)))
    message = str(outcome(path))
    assert f"{keys} faults" in message
    assert ("unknown key. Did you mean seed?" in message) is explained
    assert ("unknown key. `mlp config explain` lists" in message) is not explained
