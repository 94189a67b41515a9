"""Errors, streams, threads and kernels of the commands as users run them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Mlp = Callable[..., subprocess.CompletedProcess[str]]


DAMAGED = [
    (["eval", "nowhere"], 2, "no such checkpoint"),
    (["eval", "."], 2, "no best.npz"),
    (["eval", "text.npz"], 5, "damaged"),
    (["train", "--config", "nowhere.yaml"], 2, "nowhere.yaml"),
    (["train", "--config", "bad.yaml"], 2, "bad.yaml:1"),
    (["train", "--config", "empty.yaml", "--set", "data.download=false"], 2, "empty"),
    (["train", "--config", "ok.yaml", "--set", "data.download=false"], 3, "download-data"),
    (["train", "--config", "ok.yaml", "--set", "data.path=nowhere"], 3, "there is no such file"),
    (["train", "--config", "ok.yaml", "--resume"], 2, "--out"),
    (["train", "--config", "ok.yaml", "--out", "text.npz"], 7, "cannot use"),
    (["train", "--config", "ok.yaml", "--out", "full"], 2, "not empty"),
    (["train", "--config", "ok.yaml", "--threads", "0"], 2, "--threads"),
    (["gradcheck", "--config", "bad.yaml"], 2, "bad.yaml:1"),
]


@pytest.mark.long
@pytest.mark.parametrize(("arguments", "code", "words"), DAMAGED)
def test_an_error_is_one_message_with_the_documented_exit_code(
    arguments: list[str], code: int, words: str, mlp: Mlp, tmp_path: Path
) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "bad.yaml").write_text("modle: {}\n")
    (tmp_path / "empty.yaml").write_text("")
    (tmp_path / "ok.yaml").write_text("{}\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("")
    before = {path.name for path in tmp_path.iterdir()}
    done = mlp(*arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.long
def test_a_closed_stderr_is_ignored_and_a_full_stdout_is_an_error(
    mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = f"{shlex.quote(sys.executable)} -m mlp_cli"

    def shell(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    train = f"{command} train --config {shlex.quote(str(config))}"
    assert shell(f"{train} --out a 2>&-").returncode == 0  # no stderr at all
    assert (tmp_path / "a" / "result.json").exists()
    assert shell(f"{train} --out b 2>/dev/full >&-").returncode == 0
    full = shell(f"{command} eval a >/dev/full")
    assert full.returncode == 7
    assert full.stderr.startswith("Error: cannot write to standard output")
    piped = shell(f"{{ sleep 1; {command} eval a; echo $? >code; }} | true")
    assert piped.stderr == ""
    assert (tmp_path / "code").read_text() == f"{128 + signal.SIGPIPE}\n"


@pytest.mark.long
def test_the_number_of_threads_follows_option_variable_and_default(
    mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    def threads(*arguments: str, **environ: str) -> int:
        done = mlp("train", "--config", config, "--out", "t", "--overwrite", *arguments, **environ)
        assert done.returncode == 0, done.stderr
        return int(json.loads((tmp_path / "t" / "env.json").read_text())["threads"])

    assert threads() == 1  # a small net
    assert threads(OMP_NUM_THREADS="2") == 2
    assert threads("--threads", "3", OMP_NUM_THREADS="2") == 3
    wrong = mlp("train", "--config", config, OMP_NUM_THREADS="many")
    assert wrong.returncode == 2
    assert "OMP_NUM_THREADS" in wrong.stderr


@pytest.mark.long
def test_the_kernels_follow_the_variable_and_a_change_is_a_warning(
    mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    def kernels(*arguments: str, **environ: str) -> tuple[str, str]:
        done = mlp("train", "--config", config, "--out", "k", *arguments, **environ)
        assert done.returncode == 0, done.stderr
        return json.loads((tmp_path / "k" / "env.json").read_text())["kernels"], done.stderr

    wrong = mlp("train", "--config", config, MLP_KERNELS="quick")
    assert wrong.returncode == 2
    assert wrong.stderr == "Error: MLP_KERNELS=quick: give numpy or fast, or unset it.\n"
    assert mlp("gradcheck", "--config", config, MLP_KERNELS="numpy").returncode == 0
    assert kernels(MLP_KERNELS="numpy")[0] == "numpy"
    if find_spec("numba") is None:
        assert kernels("--overwrite")[0] == "numpy"
        return
    assert mlp("gradcheck", "--config", config, MLP_KERNELS="fast").returncode == 0
    found, stderr = kernels("--resume", "--set", "training.epochs=4", MLP_KERNELS="fast")
    assert found.startswith("numba ")
    assert f"kernels: numpy then, {found} now" in stderr


@pytest.mark.long
@pytest.mark.parametrize("error", ["ImportError", "OSError"])
def test_a_numba_that_does_not_load_is_one_message(
    error: str, mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "site" / "numba"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text(f"raise {error}('Numba needs another NumPy')")
    path = f"{broken.parent}:{ROOT}"
    nothing = str(tmp_path / "nothing")  # compiled kernels would be loaded without Numba
    done = mlp(
        "train", "--config", config, PYTHONPATH=path, MLP_KERNELS="fast", NUMBA_CACHE_DIR=nothing
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: the compiled kernels do not load: Numba needs another")
    assert "MLP_KERNELS=numpy" in done.stderr
    again = mlp("train", "--config", config, PYTHONPATH=path, MLP_KERNELS="numpy")
    assert again.returncode == 0


@pytest.mark.long
def test_the_schema_is_json_and_both_help_options_agree(mlp: Mlp) -> None:
    schema = json.loads(mlp("config", "schema").stdout)
    assert "training" in schema["properties"]
    assert mlp("train", "-h").stdout == mlp("train", "--help").stdout
    assert mlp().returncode == 2
