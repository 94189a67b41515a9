"""Measure how our training speed and memory change with width, depth, batch size and data.

    python benchmarks/scaling.py --data data/mnist

trains on the threads that `mlp train` chooses. The data are MNIST's images, repeated if necessary,
in raw files as `mlp download-data` stores them. Raw files are mapped, so only the used images are
in memory.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click
from lib.command import SETTINGS, data_option, json_option, log, repeats_option, seconds_option
from lib.contenders import Worker, installed_kernels, ours
from lib.images import raw_copy, training_images
from lib.machine import core_rate, describe_machine, thread_counts
from lib.tables import count, percent, table
from lib.workload import Workload, workload

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


def sizes(data: Path, folder: Path) -> Iterator[tuple[str, int, Workload]]:
    """Yield what is varied, its value, and the workload; `folder` gets the data."""
    there = training_images(data)
    whole = raw_copy(data, folder / "1", there)
    for width in WIDTHS:
        work = workload("", (width, width), 128, "adam")
        yield "width of two layers", width, work.on(whole, cost=COST)
    for depth in DEPTHS:
        work = workload("", (256,) * depth, 128, "adam")
        yield "layers of 256", depth, work.on(whole, cost=COST)
    for batch in BATCHES:
        work = workload("", (512, 512), batch, "adam")
        yield "batch on 784-512-512-10", batch, work.on(whole, cost=COST)
    for times in DATA:
        images = int(times * there)
        part = raw_copy(data, folder / f"data-{times}", images)
        yield "images on 784-128-10", images, workload("", (128,), 64, "sgd").on(part, images)


def measure(
    grows: str, size: int, work: Workload, kernels: str, limit: float, repeats: int, seconds: float
) -> Point:
    """Measure one size on one set of kernels; `limit` is the machine's rate in flop/s."""
    log(f"{grows} {size:,}, {kernels} kernels")
    worker = Worker(ours(kernels), work, None)
    try:
        learnt = worker.ask("learn", starts=1, seconds=seconds)
        found = [worker.ask("measure", seconds=seconds) for _ in range(repeats)]
    finally:
        worker.close()
    rate = median(one["samples"] / one["seconds"] for one in found)
    share = rate * work.flops / limit
    return Point(grows, size, kernels, learnt["threads"], rate, share, learnt["peak_memory"])


def tables(points: list[Point]) -> str:
    """Return one table for each varied quantity and each set of kernels."""
    parts: dict[tuple[str, str], list[Point]] = {}
    for point in points:
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


@click.command(context_settings=SETTINGS)
@data_option
@repeats_option
@seconds_option
@json_option
def main(data: Path, repeats: int, seconds: float, as_json: bool) -> None:
    """Measure our training speed and memory as networks, minibatches and data grow."""
    where = describe_machine()
    limit = max(core_rate("float32", threads) for threads in thread_counts())
    with tempfile.TemporaryDirectory() as folder:
        points = [
            measure(*size, kernels, limit, repeats, seconds)
            for size in sizes(data, Path(folder))
            for kernels in installed_kernels()
        ]
    plain = {"machine": where, "scaling": [asdict(point) for point in points]}
    print(json.dumps(plain, indent=2) if as_json else tables(points))


if __name__ == "__main__":
    main()
