"""Why mirrors failed is said once: when another one serves the file, or in the error."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.servers import Server
from helpers.stand_ins import LABELS, Fetch

from mlp_cli.errors import DownloadError

pytestmark = pytest.mark.usefixtures("short_limits")


def test_the_reasons_are_in_the_error_alone_if_no_mirror_serves(
    fetch: Fetch, tmp_path: Path
) -> None:
    shelves = [tmp_path / "one", tmp_path / "two"]
    with pytest.raises(DownloadError) as caught:
        fetch(*shelves, files=[LABELS])
    assert fetch.lines == []
    for shelf in shelves:
        assert str(caught.value).count(f"{shelf}: ") == 1


def test_the_reasons_are_logged_once_if_another_mirror_serves(
    fetch: Fetch, tmp_path: Path, good: Server
) -> None:
    missing = tmp_path / "none"
    with Server(lambda client: client.answer(b"", status="410 Gone")) as gone:
        fetch(missing, gone.url, good.url, files=[LABELS])
    assert [line.rpartition(": ")[0] for line in fetch.lines] == [
        str(missing),
        gone.url,
        "labels",
    ]


@pytest.mark.long
@pytest.mark.parametrize("command", ["download-data", "train softmax"])
def test_a_command_prints_each_reason_once(
    command: str, mlp: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    no_network = {"HTTPS_PROXY": "http://127.0.0.1:9"}
    done = mlp(*command.split(), "--mirror", tmp_path / "none", **no_network)
    assert done.returncode == 4, done.stderr
    assert done.stderr.count(f"{tmp_path / 'none'}: ") == 1
    for url in ("ossci-datasets", "cvdf-datasets", "fgnt"):
        assert done.stderr.count(url) == 1, done.stderr
