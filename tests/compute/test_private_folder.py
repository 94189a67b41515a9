"""The private folder for compiled code: no other user can have put anything there."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("numba") is None:
    pytest.skip("needs the extra `fast`", allow_module_level=True)

from mlp_cli.compute.fast.folder import private_folder


def test_a_private_folder_is_made_once_and_found_again(tmp_path: Path) -> None:
    made = private_folder(tmp_path)
    assert made is not None and made.parent == tmp_path
    assert private_folder(tmp_path) == made


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o720, 0o702])
def test_a_folder_in_which_others_have_rights_is_not_private(mode: int, tmp_path: Path) -> None:
    made = private_folder(tmp_path)
    assert made is not None
    made.chmod(mode)
    assert private_folder(tmp_path) is None


def test_a_link_or_a_file_is_no_private_folder(tmp_path: Path) -> None:
    made = private_folder(tmp_path)
    assert made is not None
    made.rename(tmp_path / "elsewhere")
    made.symlink_to(tmp_path / "elsewhere")
    assert private_folder(tmp_path) is None
    made.unlink()
    made.touch()
    assert private_folder(tmp_path) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a folder to another user")
@pytest.mark.parametrize("which", ["the folder", "the folder above it"])
def test_a_folder_of_another_user_is_not_private(which: str, tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    made = private_folder(parent)
    assert made is not None
    os.chown(made if which == "the folder" else parent, 12345, 12345)
    assert private_folder(parent) is None


@pytest.mark.parametrize(("mode", "is_safe"), [(0o777, False), (0o775, False), (0o1777, True)])
def test_no_other_user_may_be_able_to_replace_a_private_folder(
    mode: int, is_safe: bool, tmp_path: Path
) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    parent.chmod(mode)
    assert (private_folder(parent) is not None) == is_safe
    (parent / "below").mkdir(mode=0o700)
    assert (private_folder(parent / "below") is not None) == is_safe
