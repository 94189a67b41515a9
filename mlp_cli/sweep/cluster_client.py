"""The connection of a sweep to the scheduler of a Dask cluster."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mlp_cli._version import __version__
from mlp_cli.errors import ClusterError, ConfigError, reason
from mlp_cli.storage.files import exists, storage_errors
from mlp_cli.storage.strict_json import from_json
from mlp_cli.sweep.cluster_task import version

CONNECT_SECONDS = 10


def check_dask() -> None:
    """Check that Dask is installed.

    Raises
    ------
    ConfigError
        If it is missing.
    """
    if find_spec("distributed") is None:
        raise ConfigError("--cluster needs Dask. Run: pip install 'mlp-cli[cluster]'")


@contextmanager
def connected(given: str) -> Iterator[Any]:
    """Give the block a `distributed.Client`, and close it at the end.

    Parameters
    ----------
    given
        The address of the scheduler, or its scheduler file.

    Raises
    ------
    ConfigError
        If `given` is neither an address nor a scheduler file.
    ClusterError
        If no scheduler answers.
    """
    address = _address(given)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"distributed|tornado|dask|asyncio")
        import distributed

        for name in list(logging.root.manager.loggerDict):  # what matters is raised anyway
            if name.split(".")[0] in ("distributed", "tornado", "asyncio"):
                logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        try:
            # First, because a client does not give up on a server that is none of Dask's.
            kind = asyncio.run(asyncio.wait_for(_kind(address), CONNECT_SECONDS))
            if kind != "Scheduler":
                raise ValueError(f"this is no Dask scheduler, but a {kind}")
            client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except ValueError as error:
            raise ConfigError(f"--cluster {given}: {reason(error)}.") from error
        except OSError as error:
            raise ClusterError(
                f"--cluster {given}: no Dask scheduler answers at {address}. Start one with "
                "`dask scheduler`; it prints its address."
            ) from error
        try:
            yield client
        finally:
            with suppress(Exception):  # it may have lost the scheduler
                client.close(timeout=2)


async def _kind(address: str) -> str:
    """Return the kind of server that answers at an address."""
    from distributed import Security, rpc

    arguments = Security().get_connection_args("client")
    async with rpc(address, connection_args=arguments) as server:
        return str((await server.identity())["type"])


def _address(given: str) -> str:
    """Return the address of a scheduler, which may stand in its scheduler file."""
    if "://" in given:
        return given
    path = Path(given)
    if exists(path):
        with storage_errors("read", path):
            text = path.read_bytes()
        try:
            return str(from_json(text)["address"])
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"--cluster {given}: this is not a Dask scheduler file.") from error
    if ":" in given:
        return f"tcp://{given}"
    raise ConfigError(
        f"--cluster {given}: there is no such scheduler file. Give one, or the address of a "
        "scheduler, as in tcp://host:8786."
    )


def threads_of_workers(client: Any, known: Container[str]) -> dict[str, int]:
    """Return the number of threads of each worker, by address.

    Those that are not `known` are checked first, because a worker without `mlp_cli` dies when it
    gets a task.

    Raises
    ------
    ConfigError
        If a worker or the scheduler has no `mlp_cli`, or another version of it.
    ClusterError
        If the connection to the scheduler is lost.
    """
    if client.status != "running":
        raise lost(client)
    try:
        threads: dict[str, int] = client.nthreads()
        new = [address for address in threads if address not in known]
        if not new:
            return threads
        found = client.run(version, workers=new, on_error="return")
        found = {f"worker {address}": here for address, here in found.items()}
        try:
            found["the scheduler"] = client.run_on_scheduler(version)
        except ImportError as error:
            found["the scheduler"] = error
    except OSError as error:
        raise lost(client) from error
    for name, here in found.items():
        if here != __version__ and not isinstance(here, OSError):  # else it has just gone
            told = reason(here) if isinstance(here, Exception) else f"it has {here}"
            raise ConfigError(
                f"{name} cannot use mlp-cli {__version__}: {told}. Install this version on all "
                f"machines: pip install 'mlp-cli[cluster]=={__version__}'"
            )
    return threads


def lost(client: Any) -> ClusterError:
    """Return the error of a connection that is lost."""
    return ClusterError(
        f"the connection to the Dask scheduler at {client.scheduler.address} is lost. All that its "
        "workers have sent is kept. Start the scheduler and its workers again if they are gone; "
        "the same command continues."
    )
