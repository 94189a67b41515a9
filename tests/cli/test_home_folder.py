"""`~` is the home folder wherever a path is read, and nothing makes a folder of that name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from mlp_cli import Config, SilentObserver, evaluate, load, load_config, train
from mlp_cli.errors import ConfigError
from mlp_cli.storage.paths import given_mirror, given_path

Mlp = Callable[..., CompletedProcess[str]]
QUIET = {"training.epochs": 1}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, while the working folder is another one."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def no_tilde(tmp_path: Path) -> object:
    yield
    assert not list(tmp_path.rglob("~*"))


@pytest.mark.long
def test_every_path_of_train_and_eval(
    home: Path, config: Path, mlp: Mlp, no_tilde: None, own_images: Callable[..., Path]
) -> None:
    shutil.move(config, home / "c.yaml")
    shutil.move(config.parent / "own-8x8-10", home / "own")
    where = {"HOME": str(home)}
    data = "data.path=~/own"
    done = mlp("train", "~/c.yaml", "--set", data, "--out=~/run", "--quiet", **where)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, [str(home / "run")]), done.stderr
    stored = load_config(home / "run" / "config.yaml")
    assert stored.data.path == str(home / "own")
    again = mlp("train", "--config=~/run/config.yaml", "--out", "~/run", "--resume", **where)
    assert again.returncode == 0, again.stderr
    paths = ["--predictions=~/p.csv"]
    if find_spec("matplotlib"):
        paths.append("--mistakes=~/m.png")
        preview = mlp("config", "preview", "~/c.yaml", "--set", data, "~/look.png", **where)
        assert (preview.returncode, (home / "look.png").is_file()) == (0, True), preview.stderr
    done = mlp("eval", "~/run", "~/run/last.npz", *paths, **where)
    assert done.returncode == 0, done.stderr
    assert (home / "p.csv").is_file()
    assert (home / "m.png").is_file() == (len(paths) == 2)
    assert mlp("gradcheck", "~/c.yaml", "--set", data, **where).returncode == 0


@pytest.mark.parametrize("by", ["option", "variable"])
def test_the_folders_of_data_and_mirrors(
    by: str, home: Path, mlp: Mlp, no_tilde: None, mnist_source: Path
) -> None:
    (home / "mirror").symlink_to(mnist_source)
    if by == "option":
        arguments, variables = ["--data-dir=~/data", "--mirror=~/mirror"], {}
    else:
        arguments, variables = [], {"MLP_DATA_DIR": "~/data", "MLP_MIRROR": "~/mirror"}
    done = mlp("download-data", *arguments, HOME=str(home), **variables)
    assert (done.returncode, done.stdout) == (0, f"{home}/data/mnist\n"), done.stderr
    assert len(list((home / "data" / "mnist").iterdir())) == 4


def test_every_path_from_python(
    home: Path, config: Path, no_tilde: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.move(config, home / "c.yaml")
    run = train("~/c.yaml", out="~/run", set=QUIET, observer=SilentObserver(), data_dir="~/data")
    assert run.path == home / "run"
    assert load("~/run").path == home / "run" / "best.npz"
    assert evaluate("~/run", data_dir="~/data").errors == evaluate([run]).errors
    assert load_config({"data": {"path": "~/own"}}).data.path == str(home / "own")
    assert Config(data={"path": "~"}).data.path == str(home)
    assert given_mirror("~/mirror") == str(home / "mirror")
    assert given_mirror(" https://example.org/~mnist/\r") == "https://example.org/~mnist/"


def test_a_name_that_begins_with_a_tilde_can_still_be_given(home: Path) -> None:
    named = Path.cwd() / "~run"
    assert given_path("./~run") == named
    assert given_path(given_path("./~run")) == named
    assert given_path("a/~run") == Path("a/~run")


def test_the_home_folder_of_nobody_is_refused_by_name(mlp: Mlp, home: Path) -> None:
    for arguments in (["--out=~nobody-here/x"], ["--set", "data.path=~nobody-here/x"]):
        done = mlp("train", "mnist", *arguments)
        assert done.returncode == 2
        assert "the path '~nobody-here/x' names a home folder that is unknown." in done.stderr
    with pytest.raises(ConfigError, match="'~nobody-here' names a home folder"):
        load("~nobody-here")
