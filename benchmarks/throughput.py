"""Measure training speed in images per second, for `mlp`, JAX, PyTorch and scikit-learn.

    python benchmarks/throughput.py --data data/mnist

trains the four networks N, S, M and L with `mlp_cli.train`, and with the other libraries if they
are installed. All contenders do equal work: real images as uint8 in memory, a new random order
every epoch, gathering, scaling, forward pass, loss, backward pass and update, in the same
precision, with the same distribution of initial weights and the same update rule. The accuracy of
each contender after the first epoch must equal ours within a tolerance. Each contender has a
separate process for each number of threads. They take turns, and medians over the repetitions
count. Ratios are taken in each repetition: the tables have their median, and in brackets the least
and the largest. A rival counts with its better number of threads, ours with the number that
`mlp train` chooses (marked *).

The limit is the speed that the machine would reach if only matrix products took time, at the rate
of the cores themselves (see `lib/rate.py`). Most pixels are 0, and products with them can be left
out. So there is a second limit, for the products that are left, in the images as they are stored.
Whoever multiplies the zeros too does more work than that. Peak memory is that of the whole
process, including data and compiler. If an epoch of a large network would take long, an epoch is
only a part of the images (see `--samples`), and the check of the accuracy is less strict.

JAX and PyTorch, eager, have batch normalisation, dropout and distorted images too, each by its own
means: JAX by `map_coordinates`, PyTorch by `grid_sample`. The other rivals sit those rows out.

Only ratios from one run on a quiet machine are meaningful. In a hurry, beside busy processes, and
for other networks:

    python benchmarks/throughput.py --quick               # four rows against JAX, in 3 minutes
    python benchmarks/throughput.py --quick --busy 1
    python benchmarks/throughput.py --hidden 300,100 --batch 32 --optimizer adam
    python benchmarks/throughput.py --rows shapes         # unusual shapes
    python benchmarks/throughput.py --rows held-out       # and what else a training may have
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from lib.command import SETTINGS, data_option, json_option, log, repeats_option, seconds_option
from lib.comparison import Comparison, Measured, compare
from lib.contenders import KERNELS, OURS, RIVALS, Contender, ours
from lib.images import half_lit
from lib.machine import describe_machine, thread_counts
from lib.tables import count, percent, ratio, table
from lib.workload import EVERY_ROW, GROUPS, LEARNING_RATES, Workload, workload

QUICK_COST = 1e11  # of an epoch; see `COST_OF_EPOCH`


def detail(comparison: Comparison) -> str:
    """Return the table of one row: every contender on every number of threads."""
    work, threads = comparison.work, sorted(comparison.cores)
    rates = " / ".join(f"{comparison.cores[n] / 1e9:.0f}" for n in threads)
    images = f"{work.samples:,} images an epoch" + ("" if work.whole else " (not all)")
    title = (
        f"{work.name}: {work.title}; {images}; {work.flops / 1e6:.3g} Mflop per image, "
        f"{work.flops_of_lit / 1e6:.3g} with the {percent(work.lit)} of pixels that are lit; limit "
        f"{count(comparison.limit)} and {count(comparison.limit_of_lit)} images/s ({rates} GFLOP/s "
        f"on {'/'.join(map(str, threads))}); "
        f"accuracies may differ by {100 * comparison.tolerance:.0f} %"
    )
    mine = comparison.as_trained()

    by_contender: dict[str, list[Measured]] = {}
    for one in comparison.measured:
        by_contender.setdefault(one.contender.name, []).append(one)
    rows = []
    for name, runs in by_contender.items():
        chosen = next((one for one in runs if one in mine), max(runs, key=lambda one: one.rate))
        by_threads = {one.threads: f"{count(one.rate)}{'*' * one.by_rule}" for one in runs}
        rows.append(
            [
                name,
                *(by_threads.get(n, "–") for n in threads),
                spread(mine[0].over(chosen)) if mine else ratio(None),
                percent(chosen.rate / comparison.limit),
                percent(chosen.rate / comparison.limit_of_lit),
                f"{chosen.peak_memory:.0f}",
                f"{chosen.first_epoch:.1f}",
                f"{100 * chosen.accuracy:.2f} %",
            ]
        )
    head = ["images/s", *(f"{n} thread{'s' if n > 1 else ''}" for n in threads)]
    head += [f"{mine[0].contender.name} ÷ it" if mine else "–"]
    head += ["of limit", "of limit, lit", "peak MB", "1st epoch s", "accuracy"]
    return f"{title}\n\n{table(head, rows)}\n"


def spread(found: Sequence[float]) -> str:
    """Return a ratio with its range as text."""
    middle, least, largest = found
    return f"{middle:.2f} ({least:.2f}–{largest:.2f})"


def summary(comparisons: Sequence[Comparison]) -> str:
    """Return the table of all rows: our speed relative to the rivals and to the limit."""
    rows = []
    for comparison in comparisons:
        for one in comparison.as_trained():
            found = comparison.ratios(one)
            fastest, middle = found["fastest_rival"], found["over_fastest_rival"]
            between = found["over_fastest_rival_range"]
            rows.append(
                [
                    comparison.work.name,
                    found["name"],
                    count(one.rate),
                    f"{spread([middle, *between])} {fastest}" if fastest else ratio(None),
                    ratio(found["over_jax"]),
                    ratio(found["over_pytorch"]),
                    ratio(found["over_sklearn"]),
                    percent(found["share_of_limit"]),
                    percent(found["share_of_limit_of_lit"]),
                    f"{one.peak_memory:.0f}",
                ]
            )
    head = ["row", "ours", "images/s", "÷ fastest rival", "÷ JAX", "÷ PyTorch", "÷ scikit-learn"]
    return table([*head, "of limit", "of limit, lit", "peak MB"], rows)


def chosen_contenders(kernels: str, rivals: str | None) -> tuple[list[Contender], dict[str, str]]:
    """Return who takes part, and of those who do not, why."""
    unknown = {*kernels.split(",")} - {*KERNELS}
    if unknown:
        raise click.BadParameter(f"unknown kernels {unknown}; choose from {', '.join(KERNELS)}")
    names = list(RIVALS) if rivals is None else [name for name in rivals.split(",") if name]
    if {*names} - {*RIVALS}:
        raise click.BadParameter(
            f"unknown rivals { ({*names} - {*RIVALS}) }; choose from {list(RIVALS)}"
        )
    field = [ours(name) for name in kernels.split(",")] + [RIVALS[name] for name in names]
    absent = {one.name: f"{one.package} is not installed" for one in field if not one.installed}
    return [one for one in field if one.installed], absent


def chosen_rows(rows: str, hidden: str | None, **own: Any) -> list[Workload]:
    """Return the workloads: those named, or the one that the options describe."""
    if hidden is not None:
        widths = tuple(int(width) for width in hidden.split(",") if width)
        return [workload("own", widths, **own)]
    names = [part for name in rows.split(",") for part in GROUPS.get(name, [name])]
    if unknown := {*names} - {*EVERY_ROW}:
        raise click.BadParameter(f"unknown rows {unknown}; choose from {list(EVERY_ROW)}")
    return [EVERY_ROW[name] for name in names]


@click.command(context_settings=SETTINGS)
@data_option
@click.option(
    "--rows", default="N,S,M,L", help=f"Some of {', '.join([*EVERY_ROW])}; or {', '.join(GROUPS)}."
)
@click.option("--hidden", help="Another network: its hidden layers, such as 512,512.")
@click.option("--batch", type=click.IntRange(1), default=128)
@click.option("--optimizer", type=click.Choice(list(LEARNING_RATES)), default="sgd")
@click.option(
    "--learning-rate", type=float, help="Default: 0.1 (1 − momentum) for sgd, 0.001 for adam."
)
@click.option("--momentum", type=click.FloatRange(0, 1, max_open=True), default=0.0)
@click.option("--dtype", type=click.Choice(["float32", "float64"]), default="float32")
@click.option("--kernels", default=",".join(KERNELS), help="Our kernels to measure.")
@click.option("--rivals", help=f"Some of {','.join(RIVALS)}; empty for none. Default: all.")
@click.option("--threads", help="Numbers of threads, such as 1,2. Default: 1 and all cores.")
@click.option(
    "--samples", type=click.IntRange(1), help="Images of an epoch. Default: as time allows."
)
@repeats_option
@seconds_option
@click.option(
    "--quick",
    is_flag=True,
    help="In 3 minutes: only JAX as a rival, fewer images an epoch, 4 repetitions of 0.3 s.",
)
@click.option("--busy", type=click.IntRange(0), default=0, help="Processes that never rest beside.")
@json_option
def main(
    data: Path,
    rows: str,
    hidden: str | None,
    batch: int,
    optimizer: str,
    learning_rate: float | None,
    momentum: float,
    dtype: str,
    kernels: str,
    rivals: str | None,
    threads: str | None,
    samples: int | None,
    repeats: int,
    seconds: float,
    quick: bool,
    busy: int,
    as_json: bool,
) -> None:
    """Measure training speed against JAX, PyTorch and scikit-learn, and against the machine."""
    how: dict[str, Any] = {}
    if quick:
        rivals, repeats, seconds = "jax,jax-usual", 4, 0.3
        how = {"cost": QUICK_COST, "most_starts": 1}
    where = describe_machine()
    field, absent = chosen_contenders(kernels, rivals)
    for name, reason in absent.items():
        log(f"skipped: {name}: {reason}")
    own = {"optimizer": optimizer, "learning_rate": learning_rate, "momentum": momentum}
    work_to_do = chosen_rows(rows, hidden, batch=batch, dtype=dtype, **own)
    counts = [int(n) for n in threads.split(",")] if threads else thread_counts()
    comparisons = []
    for work in work_to_do:
        able = [one for one in field if one.does(work, asked_for=bool(rivals))]
        with tempfile.TemporaryDirectory() as folder:
            images = half_lit(Path(folder) / "data") if work.half_lit else data
            comparison = compare(
                work.on(images, samples, **how),
                able,
                counts,
                repeats=repeats,
                seconds=seconds,
                busy_processes=busy,
                quick=quick,
            )
        for name, reason in comparison.skipped.items():
            log(f"{work.name}: failed: {name}: {reason}")
        comparisons.append(comparison)
        if not as_json:
            print(detail(comparison), flush=True)
    if as_json:
        result = {"machine": where, "rows": [one.to_dict() for one in comparisons]}
        print(json.dumps({**result, "skipped": absent}, indent=2))
    else:
        print(summary(comparisons))
    faults = [fault for comparison in comparisons for fault in comparison.faults()]
    for fault in faults:
        log(f"does not learn as ours does: {fault}")
    lost = any(not one.best(OURS) for one in comparisons)
    sys.exit(1 if faults or lost else 0)


if __name__ == "__main__":
    main()
