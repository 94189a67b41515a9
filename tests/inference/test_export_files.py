"""`mlp export`: the file it writes, the files it does not replace, and what it says."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.exports import random_model

from mlp_cli.cli.export import export as command
from mlp_cli.errors import ConfigError, StorageError
from mlp_cli.inference.export import formats
from mlp_cli.inference.export.formats import FORMATS, check_file, write_export
from mlp_cli.inference.model import load

Mlp = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run with a checkpoint."""
    return random_model(tmp_path / "run").path.parent


def test_the_command_names_the_checkpoint_and_prints_the_file(
    run: Path, mlp: Mlp, tmp_path: Path
) -> None:
    done = mlp("export", "run", "net.NPZ")
    assert (done.returncode, done.stdout) == (0, "net.NPZ\n"), done.stderr
    assert done.stderr == "network: run/best.npz, epoch 3, trained on mnist\n"
    assert (tmp_path / "net.NPZ").read_bytes().startswith(b"PK")


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_older_export_is_replaced(suffix: str, run: Path, tmp_path: Path) -> None:
    for library in FORMATS[suffix].libraries:
        pytest.importorskip(library, reason=f"needs the extra `{FORMATS[suffix].extra}`")
    file, other = tmp_path / f"net{suffix}", random_model(tmp_path / "other", seed=1)
    write_export(other, file, tmp_path)
    before = file.read_bytes()
    write_export(random_model(tmp_path / "again"), file, tmp_path)
    assert file.read_bytes() != before
    assert {path.name for path in tmp_path.iterdir()} == {"run", "other", "again", file.name}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("content", [b"", b"int main(void) { return 0; }\n"], ids=["empty", "own"])
def test_a_file_of_the_user_is_never_replaced(
    suffix: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda _: True)
    file = tmp_path / f"net{suffix}"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="is already there, and `mlp export` did not write it"):
        check_file(file)
    assert file.read_bytes() == content


def test_a_checkpoint_is_never_replaced(run: Path, mlp: Mlp) -> None:
    before = (run / "best.npz").read_bytes()
    done = mlp("export", run, run / "best.npz")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Choose another name." in done.stderr
    assert (run / "best.npz").read_bytes() == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("net.txt", f"net.txt: the suffix must be one of {', '.join(FORMATS)}."),
        ("net", "net: the suffix must be one of "),
        ("net.onx", "Did you mean net.onnx?"),
        ("net.safetensor", "Did you mean net.safetensors?"),
    ],
)
def test_an_unknown_suffix_is_a_usage_error_that_lists_the_known_ones(
    given: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_file(tmp_path / given)
    assert said in str(caught.value)


def test_the_help_names_every_suffix() -> None:
    assert all(f"{suffix} " in str(command.help) for suffix in FORMATS)


@pytest.mark.parametrize("suffix", [suffix for suffix, each in FORMATS.items() if each.libraries])
def test_without_its_library_a_format_names_the_extra(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda _: None)
    extra = FORMATS[suffix].extra
    with pytest.raises(
        ConfigError, match=rf"the extra `{extra}`: pip install 'mlp-cli\[{extra}\]'"
    ):
        check_file(tmp_path / f"net{suffix}")


@pytest.mark.parametrize("older", [False, True], ids=["no file", "an older export"])
def test_a_full_disk_leaves_what_was_there(
    older: bool, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "net.npz"
    if older:
        write_export(random_model(tmp_path / "other", seed=1), file, tmp_path)
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.iterdir()}

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"cannot write .*net\.npz: No space left on device"):
        write_export(load(run), file, tmp_path)
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["none", "net.c"], 2, "none: there is no such checkpoint."),
        (["run", "no-folder/net.c"], 7, "cannot write no-folder/net.c: No such file or directory."),
        (["run", "fifo.c"], 7, "it is a folder or a device"),
        (["run", "-"], 2, "a stream (-) is not possible here"),
        (["run"], 2, "Missing argument 'FILE'."),
    ],
)
def test_what_cannot_be_exported_is_one_message(
    words: list[str], code: int, said: str, run: Path, mlp: Mlp, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "fifo.c")
    done = mlp("export", *words)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"run", "fifo.c"}


def test_an_unfinished_run_is_exported_with_a_warning(run: Path, mlp: Mlp) -> None:
    (run / "env.json").write_text("{}")
    done = mlp("export", run, "net.c")
    assert done.returncode == 0
    assert "WARNING: " in done.stderr
    assert "has not finished its training" in done.stderr


def test_the_libraries_of_other_formats_are_not_loaded(run: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom mlp_cli.cli.main import main\n"
        "try: main(['export', 'run', 'net.npz'])\n"
        "finally: print('LOADED', *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not {"onnx", "onnxruntime", "safetensors"} & set(done.stdout.split())
