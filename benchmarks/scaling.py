"""Measure how our training speed and memory change with width, depth, batch size and data."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from contenders import Worker, gemm_rate, ours, thread_counts
from ours import threads_by_rule
from tables import count, percent, table
from workload import Workload, training_images, workload

WIDTHS = (32, 128, 512, 1024, 2048)
DEPTHS = (1, 2, 4, 8, 16)
BATCHES = (1, 10, 32, 128, 512, 1000)
COST = 5e10  # of an epoch, in operations: a tenth of the usual, because no rivals are compared
DATA = (0.25, 0.5, 1.0, 2.0, 4.0)  # multiples of the size of MNIST


@dataclass(frozen=True)
class Point:
    """The measurements at one size: `grows` says what is varied, and `size` its value."""

    grows: str
    size: int
    kernels: str
    threads: int
    samples_per_second: float
    share_of_limit: float
    peak_memory_mb: float


@dataclass(frozen=True)
class Scaling:
    """All points."""

    points: list[Point]

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the points as plain data."""
        return [asdict(point) for point in self.points]

    def text(self) -> str:
        """Return one table for each varied quantity and each set of kernels."""
        parts: dict[tuple[str, str], list[Point]] = {}
        for point in self.points:
            parts.setdefault((point.grows, point.kernels), []).append(point)
        return "\n\n".join(
            table(
                [f"{grows} ({kernels})", "threads", "images/s", "of limit", "peak MB"],
                [
                    [
                        f"{point.size:,}",
                        str(point.threads),
                        count(point.samples_per_second),
                        percent(point.share_of_limit),
                        f"{point.peak_memory_mb:.0f}",
                    ]
                    for point in found
                ],
            )
            for (grows, kernels), found in parts.items()
        )


def scaling(
    data: Path,
    kernels: Sequence[str],
    *,
    repeats: int,
    seconds: float,
    log: Callable[[str], None],
) -> Scaling:
    """Measure ours at several sizes, on the threads that `mlp train` chooses.

    The data are MNIST's images, repeated if necessary, in raw files as `mlp download-data` stores
    them. Raw files are mapped, so only the used images are in memory.
    """
    limit = max(gemm_rate("float32", threads) for threads in thread_counts())
    points = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for grows, size, work in _sizes(data, folder):
            for name in kernels:
                log(f"{grows} {size:,}, {name} kernels")
                points.append(_point(grows, size, work, name, limit, repeats, seconds))
    return Scaling(points)


def _sizes(data: Path, folder: Path) -> list[tuple[str, int, Workload]]:
    whole = raw_copy(data, folder / "1", 1.0)
    found = [
        (
            "width of two layers",
            width,
            workload("", (width, width), 128, "adam").on(whole, cost=COST),
        )
        for width in WIDTHS
    ]
    found += [
        ("layers of 256", depth, workload("", (256,) * depth, 128, "adam").on(whole, cost=COST))
        for depth in DEPTHS
    ]
    found += [
        (
            "batch on 784-512-512-10",
            batch,
            workload("", (512, 512), batch, "adam").on(whole, cost=COST),
        )
        for batch in BATCHES
    ]
    for times in DATA:
        part = raw_copy(data, folder / str(times), times)
        images = training_images(part)
        work = workload("", (128,), 64, "sgd").on(part, images)
        found.append(("images on 784-128-10", images, work))
    return found


def _point(
    grows: str,
    size: int,
    work: Workload,
    kernels: str,
    limit: float,
    repeats: int,
    seconds: float,
) -> Point:
    threads = threads_by_rule(kernels, work.hidden, work.batch)
    worker = Worker(ours(kernels), work, threads)
    try:
        peak = worker.ask("learn", starts=1, seconds=seconds)["peak_memory"]
        found = [worker.ask("measure", seconds=seconds) for _ in range(repeats)]
    finally:
        worker.close()
    rate = median(one["samples"] / one["seconds"] for one in found)
    share = rate * work.flops / limit
    return Point(grows, size, kernels, threads, rate, share, peak)


def raw_copy(data: Path, folder: Path, times: float) -> Path:
    """Write MNIST's files unpacked, with `times` its number of training images."""
    folder.mkdir()
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        raw = _unpacked(data / name)
        header = 4 + 4 * raw[3]
        n, body = int.from_bytes(raw[4:8], "big"), raw[header:]
        wanted = int(n * times)
        item = len(body) // n
        copies, rest = divmod(wanted, n)
        with (folder / name).open("wb") as file:
            file.write(raw[:4] + wanted.to_bytes(4, "big") + raw[8:header])
            for _ in range(copies):
                file.write(body)
            file.write(body[: rest * item])
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (folder / name).write_bytes(_unpacked(data / name))
    return folder


def _unpacked(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else gzip.decompress(Path(f"{path}.gz").read_bytes())
