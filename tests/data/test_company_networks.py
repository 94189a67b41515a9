"""Mirrors behind proxies, certificates and access tokens, as companies have them."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.servers import Server, certified, closed_port
from helpers.stand_ins import LABELS, PACKED, RAW, Fetch

from mlp_cli.data.download import SettingError
from mlp_cli.errors import ConfigError, DownloadError

pytestmark = [pytest.mark.serial, pytest.mark.usefixtures("short_limits")]
Mlp = Callable[..., subprocess.CompletedProcess[str]]

needs_no_socks = pytest.mark.skipif(
    importlib.util.find_spec("socks") is not None, reason="the package for SOCKS proxies is there"
)


# ---------------------------------------------------------------- access tokens

QUERIES = [
    "?sig=SECRET",
    "?sv=2024&sig=SECRET%2F%3D&se=2030",
    "?SECRET",
    "?X-Amz-Signature=SECRET&path=/a/b?c",
    "/?sig=SECRET",
    "?sig=SECRET#SECRET",
]


@pytest.mark.parametrize("query", QUERIES)
def test_the_name_goes_before_the_query(query: str, fetch: Fetch) -> None:
    with Server(lambda c: c.answer(PACKED["labels"])) as server:
        assert fetch(server.url + query, files=[LABELS]) == ["labels"]
        sent = query.removeprefix("/").partition("#")[0]
        assert [r.path for r in server.requests] == [f"/mnist/labels.gz{sent}"]
    assert (fetch.folder / "labels").read_bytes() == RAW["labels"]
    assert fetch.lines == [f"labels: 0.0 kB from {server.url}{query[: query.index('?')]}?…"]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize(
    "way", ["refused", "status", "busy", "redirect", "loop", "bytes", "no URL"]
)
def test_a_query_is_never_shown(way: str, query: str, fetch: Fetch) -> None:
    answers = {
        "status": lambda c: c.answer(b"", status="403 Forbidden"),
        "busy": lambda c: c.answer(b"", status="503 Busy"),
        "redirect": lambda c: c.answer(
            b"", "Location: ftp://127.0.0.1/x?sig=SECRET", status="302 Found"
        ),
        "loop": lambda c: c.answer(b"", f"Location: {c.request.path}", status="302 Found"),
        "bytes": lambda c: c.answer(b"<html>", "Content-Type: text/html"),
    }
    with Server(answers.get(way, lambda c: None)) as server:
        url = {"refused": closed_port(), "no URL": "http://["}.get(way, server.url)
        with pytest.raises(DownloadError) as caught:
            fetch(url + query, files=[LABELS])
    told = str(caught.value) + "".join(fetch.lines)
    assert "SECRET" not in told
    assert "2030" not in told
    assert f"  {url}{query[: query.index('?')]}?…: " in told


def test_a_folder_may_have_a_question_mark_in_its_name(fetch: Fetch, tmp_path: Path) -> None:
    shelf = tmp_path / "which?mnist"
    shelf.mkdir()
    (shelf / "labels").write_bytes(RAW["labels"])
    assert fetch(shelf, files=[LABELS]) == ["labels"]
    assert str(shelf) in fetch.lines[0]


# ---------------------------------------------------------------- certificates


@pytest.fixture
def no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable names a file of certificates."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_certificates")
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_of_ones_own_are_trusted(
    variable: str, fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, certificate = certified(tmp_path, "IP:127.0.0.1")
    with Server(lambda c: c.answer(PACKED["labels"]), context) as server:
        message = fetch.fails(server.url, files=[LABELS])
        for name in ("HTTPS_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            assert name in message
        monkeypatch.setenv(variable, str(certificate))
        assert fetch(server.url, files=[LABELS]) == ["labels"]


@pytest.mark.usefixtures("no_certificates")
def test_the_variables_of_requests_go_first(
    fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, certificate = certified(tmp_path, "IP:127.0.0.1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    with Server(lambda c: c.answer(PACKED["labels"]), context) as server:
        assert fetch(server.url, files=[LABELS]) == ["labels"]


def test_certificates_are_named_only_if_they_matter(fetch: Fetch) -> None:
    assert "SSL_CERT_FILE" not in fetch.fails(closed_port())


# ---------------------------------------------------------------- settings that are wrong

PACKAGE = re.escape("pip install 'requests[socks]'")
WRONG = [
    pytest.param("ALL_PROXY", "socks5://127.0.0.1:1", PACKAGE, marks=needs_no_socks),
    pytest.param("HTTPS_PROXY", "socks5h://me:SECRET@h:1", PACKAGE, marks=needs_no_socks),
    pytest.param("https_proxy", "socks4a://127.0.0.1:1", PACKAGE, marks=needs_no_socks),
    ("HTTPS_PROXY", "ftp://127.0.0.1:1", "unsupported scheme ftp, .*HTTPS_PROXY"),
    ("HTTPS_PROXY", "http://", "malformed.*HTTPS_PROXY"),
    ("SSL_CERT_FILE", "/none/ca.pem", "/none/ca.pem .*SSL_CERT_FILE"),
    ("REQUESTS_CA_BUNDLE", "/none/ca.pem", "/none/ca.pem .*REQUESTS_CA_BUNDLE"),
]


@pytest.mark.usefixtures("no_certificates")
@pytest.mark.parametrize(("variable", "value", "words"), WRONG)
def test_a_wrong_setting_is_not_worth_trying_again(
    variable: str, value: str, words: str, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingError, match=words) as caught:
        fetch("https://mirror.invalid/a", "https://mirror.invalid/b", "no-folder")
    assert caught.value.exit_code == ConfigError.exit_code == 2
    assert "Correct the setting" in str(caught.value)
    assert "SECRET" not in str(caught.value)


@needs_no_socks
def test_a_mirror_that_a_setting_does_not_concern_is_still_tried(
    fetch: Fetch, good: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1")
    with pytest.raises(DownloadError) as caught:
        fetch("https://mirror.invalid/mnist", closed_port())
    assert caught.value.exit_code == 4
    fetch("https://mirror.invalid/mnist", good.url)
    fetch.check()


@pytest.mark.long
@needs_no_socks
def test_the_command_names_the_package_and_the_fallback_still_works(
    mlp: Mlp, tmp_path: Path
) -> None:
    proxy = {"https_proxy": "socks5://127.0.0.1:1", "no_proxy": ""}
    (tmp_path / "c.yaml").write_text("model: {hidden: []}\ntraining: {epochs: 1}\n")
    train = ("train", "--config", "c.yaml", "--out", "run")
    for command in (("download-data",), train):
        done = mlp(*command, **proxy)
        assert (done.returncode, done.stdout) == (2, "")
        assert "pip install 'requests[socks]'" in done.stderr
        assert "Traceback" not in done.stderr
    done = mlp(*train, "--set", "data.fallback=synthetic", **proxy)
    assert done.returncode == 0, done.stderr
