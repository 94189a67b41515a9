"""Completion in real shells: keys and values after `--set`, configurations, runs and paths."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.shells import ROOT, STARTUP, Shell

Mlp = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=STARTUP)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shell]:
    for name in ("runs/mnist-1", "runs/mnist-2", "sweeps/rates", "my nets/a b"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "env.json").touch()
        (tmp_path / name / "best.npz").touch()
    (tmp_path / "wide.yaml").touch()
    with Shell(request.param, tmp_path) as shell:
        yield shell


@pytest.mark.long
def test_a_shell_completes_words_and_lists_what_may_come_next(shell: Shell, tmp_path: Path) -> None:
    for line, arguments in {
        "mlp eval x --split va\t": "eval x --split validation",
        # Keys and values, in each way of writing them.
        "mlp train --set model.activation=re\t": "train --set model.activation=relu",
        "mlp train --set=model.act\tre\t": "train --set=model.activation=relu",
        "mlp train --set 'model.activation=re\t": "train --set model.activation=relu",
        "true; mlp train --set seed=1 --set data.down\tf\t": "train --set seed=1 --set "
        "data.download=false",
        # Configurations by name and by file, and runs.
        "mlp train recipes/hi\t": "train recipes/hinton-dropout",
        "mlp gradcheck --config=wi\t": "gradcheck --config=wide.yaml",
        "mlp config show ~/wi\t": f"config show {tmp_path}/wide.yaml",
        "mlp eval r\t1\t": "eval runs/mnist-1",
        "mlp train --resume --out runs/\t2\t": "train --resume --out runs/mnist-2",
        "mlp eval 'my nets/\t": "eval my nets/a b",
        # Other paths. zsh removes the slash at the end of a line.
        "mlp train --set data.path=swe\t": "train --set data.path=sweeps",
    }.items():
        assert " ".join(shell.called(line)).removesuffix("/") == arguments, line
    shell.type("mlp train --set training.\t\t")
    shell.shows("epochs=", "patience=")


@pytest.mark.parametrize("name", STARTUP)
def test_a_script_gets_a_line_for_each_candidate(name: str, mlp: Mlp) -> None:
    asked = mlp(
        COMP_WORDS="mlp\ntrain\n--set=training.dtype=float\n",
        COMP_CWORD="--set=training.dtype=float" if name == "fish" else "2",
        _MLP_COMPLETE=f"{name}_complete",
    )
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout == (
        "plain\t--set=training.dtype=float32\t\nplain\t--set=training.dtype=float64\t\n"
    )


def test_completion_does_not_load_numpy() -> None:
    program = (
        "import sys\nfrom mlp_cli.cli.main import main\ntry: main([])\nfinally: print(*sys.modules)"
    )
    asked = {"COMP_WORDS": "mlp train --set=m", "COMP_CWORD": "2", "_MLP_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **asked, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "plain\t--set=model.hidden=\t" in done.stdout
    assert "numpy" not in done.stdout.splitlines()[-1].split()


def test_names_that_would_break_the_answer_are_left_out(tmp_path: Path, mlp: Mlp) -> None:
    for name in ("a", "b\nplain\tc"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "best.npz").touch()
    asked = mlp(COMP_WORDS="mlp eval", COMP_CWORD="2", _MLP_COMPLETE="bash_complete")
    assert asked.stdout == "plain\truns/a\t\n"
