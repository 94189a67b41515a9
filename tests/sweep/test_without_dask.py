"""`--cluster` without the extra."""

from __future__ import annotations

import sys

import pytest

from mlp_cli.errors import ConfigError
from mlp_cli.sweep.cluster_client import connected


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    told = r"--cluster needs Dask. Run: pip install 'mlp-cli\[cluster\]'"
    with pytest.raises(ConfigError, match=told), connected("tcp://host:8786"):
        pass
