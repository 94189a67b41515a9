"""Compare the results of the recipes with the published ones, and write the tables.

    python scripts/results.py

reads `result.json` of every run in results/<recipe>/<seed>. It writes the tables of
results/README.md, and adds the results to the comment at the head of each recipe.

    python scripts/results.py runs

only prints the table of the runs in runs/<recipe>/<seed>, which scripts/recipe.sh makes.

Error rates are those on MNIST's test set, in percent: the median over the seeds, the lowest and the
highest, and the 95 % Wilson interval of the median on 10,000 images. The errors of several seeds
are not pooled, because all seeds are tested on the same images. The published rate is read from the
recipe's head.

results/<name>.json is what `mlp eval --json` printed for several networks, or with `--average`, and
results/against/<name>.json what `mlp compare RUN... --against RUN --json` printed. Each kind has a
table of its own.

results/validation/<group>/<run> holds the runs by which the recipes were chosen. The table of a
group shows how each run differs from `base`, and its errors on the held-out images, averaged over
its last epochs.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from mlp_cli import load_config

ROOT = Path(__file__).parent.parent
RECIPES, RESULTS = ROOT / "configs" / "recipes", ROOT / "results"
PAGE = RESULTS / "README.md"
TEST_IMAGES = 10_000
PIXELS, CLASSES = 784, 10
LAST = 5  # epochs whose validation errors are averaged
UNDISTORTED = "-undistorted"  # a recipe with this suffix is another recipe without distortions


@dataclass(frozen=True)
class Figures:
    """The results of a recipe's runs: the seed, the test errors and the minutes of each run.

    `intervals` has the 95 % interval of the error rate of each run.
    """

    recipe: str
    seeds: list[str]
    errors: list[int]
    intervals: list[tuple[float, float]]
    minutes: list[float]

    @classmethod
    def read(cls, recipe: str, folder: Path = RESULTS) -> Figures | None:
        """Read the finished runs of a recipe in a folder; return None if there are none."""
        runs = sorted(folder.glob(f"{recipe}/*/result.json"), key=lambda run: int(run.parent.name))
        results = [json.loads(run.read_text()) for run in runs]
        if not results:
            return None
        return cls(
            recipe,
            [run.parent.name for run in runs],
            [result["test_errors"] for result in results],
            [result["test_error_ci95"] for result in results],
            [result["seconds"] / 60 for result in results],
        )

    @property
    def median(self) -> float:
        """The median error rate, in percent."""
        return statistics.median(self.errors) / TEST_IMAGES * 100

    @property
    def range(self) -> str:
        """The lowest and the highest error rate, in percent."""
        low, high = min(self.errors), max(self.errors)
        return " to ".join(f"{100 * errors / TEST_IMAGES:.2f}" for errors in sorted({low, high}))

    @property
    def interval(self) -> str:
        """The 95 % confidence interval of the (lower) median error rate, in percent."""
        low, high = self.intervals[self.errors.index(statistics.median_low(self.errors))]
        return f"{100 * low:.2f} to {100 * high:.2f}"

    @property
    def time(self) -> str:
        """The median of the minutes that a run takes."""
        return f"{statistics.median(self.minutes):.1f}"


def head(text: str) -> str:
    """Return the comment at the start of a recipe as one line."""
    lines = text.splitlines()
    end = next(n for n, line in enumerate(lines) if not line.startswith("#"))
    return " ".join(line.removeprefix("#").strip() for line in lines[:end])


def published(recipe: str) -> str:
    """Return the first error rate in a recipe's head, or a dash."""
    found = re.search(r"([\d.]+) % errors", head((RECIPES / f"{recipe}.yaml").read_text()))
    return found[1] if found else "–"


def with_figures(text: str, figures: Figures) -> str:
    """Return a recipe's text with our results at the end of its head."""
    kept = re.sub(r"^# Ours: .*\n#     .*\n", "", text, flags=re.MULTILINE)
    lines = kept.splitlines(keepends=True)
    end = next(n for n, line in enumerate(lines) if not line.startswith("#"))
    seeds = " ".join(figures.seeds)
    minutes = "minute" if figures.time == "1.0" else "minutes"
    lines.insert(
        end,
        f"# Ours: {figures.median:.2f} % in the median of seeds {seeds} ({figures.range}), "
        f"{figures.time} {minutes} each:\n"
        f"#     scripts/recipe.sh {figures.recipe} {seeds}\n",
    )
    return "".join(lines)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in [header, rule, *rows])


def link(recipe: str) -> str:
    """Return a link from results/README.md to a recipe."""
    return f"[{recipe}](../configs/recipes/{recipe}.yaml)"


def shape(recipe: str) -> tuple[str, str]:
    """Return the views of a recipe's network, a dash for the image alone, and its weights."""
    config = load_config(RECIPES / f"{recipe}.yaml")
    views = config.data.views
    sizes = PIXELS * len(views), *config.model.hidden, CLASSES
    weights = sum(n * m for n, m in pairwise(sizes))
    return "–" if [*views] == ["raw"] else ", ".join(views), f"{weights:,}"


def results_table(found: dict[str, Figures]) -> str:
    """Return the table of the published results and ours."""
    rows = [
        [
            link(name), published(name), f"{of.median:.2f}", of.range, of.interval,
            " ".join(of.seeds), of.time, *shape(name),
        ]
        for name, of in found.items()
        if not name.endswith(UNDISTORTED)
    ]  # fmt: skip
    header = [
        "recipe", "published %", "ours %", "range", "95 % interval", "seeds", "minutes a run",
        "views", "weights",
    ]  # fmt: skip
    return table(header, rows)


def scores_table() -> str:
    """Return the table of committees, and of answers averaged over distortions."""
    rows = []
    for path in sorted(RESULTS.glob("*.json")):
        score = json.loads(path.read_text())
        seeds: dict[str, list[str]] = {}
        for checkpoint in score["checkpoint"].split(", "):
            *_, recipe, seed, _ = Path(checkpoint).parts
            seeds.setdefault(recipe, []).append(seed)
        of = score.get("averaging")
        averaged = f"{of['distortions']}, {of['strength']:g}" if of else "–"
        low, high = (100 * bound for bound in score["error_ci95"])
        rows.append(
            [
                f"[{path.stem}]({path.name})",
                ", ".join(f"`{recipe}` {' '.join(each)}" for recipe, each in seeds.items()),
                averaged,
                f"{100 * score['errors'] / TEST_IMAGES:.2f}",
                f"{low:.2f} to {high:.2f}",
            ]
        )
    return table(["score", "networks and seeds", "averaged", "%", "95 % interval"], rows)


def against_table() -> str:
    """Return the table of runs that were compared with another run, image by image."""
    rows = []
    for path in sorted((RESULTS / "against").glob("*.json")):
        found = json.loads(path.read_text())
        for line in found["lines"]:
            if (of := line["difference"]) is not None:
                assert (of["images"], of["n"]) == ("test", TEST_IMAGES)
                rows.append(
                    [
                        f"[{named(line['run'])}](against/{path.name})",
                        named(found["against"]),
                        str(of["only_reference"] - of["only_this"]),
                        f"{of['p']:.2g}",
                    ]
                )
    return table(["run", "against", "more errors", "p"], rows)


def named(run: str) -> str:
    """Return the recipe of a run, and its seed."""
    recipe, seed = Path(run).parts[-2:]
    return f"`{recipe}` {seed}"


def pairs_table(found: dict[str, Figures]) -> str:
    """Return the table of recipes with and without distortions, all else equal."""
    rows = []
    for name, without in found.items():
        partner = found.get(name.removesuffix(UNDISTORTED))
        if name.endswith(UNDISTORTED) and partner is not None:
            cells = [f"{of.median:.2f} ({of.interval})" for of in (without, partner)]
            rows.append([link(partner.recipe), *cells, f"{without.median / partner.median:.1f}"])
    return table(["recipe", "without %", "with %", "ratio"], rows)


def flat(section: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return a configuration as dotted keys with their values as JSON."""
    found = {}
    for key, value in section.items():
        is_section = isinstance(value, dict)
        found |= flat(value, f"{prefix}{key}.") if is_section else {prefix + key: json.dumps(value)}
    return found


def settings_of(run: Path) -> dict[str, str]:
    """Return the settings of a run that is kept, as dotted keys with their values as JSON."""
    file = run / "config.yaml"
    # An option for a while: the factors of products were rounded to this type.
    if "dtype: bfloat16" not in file.read_text():
        return flat(load_config(file).to_dict())
    settings = flat(load_config(file, ["training.dtype=float32"]).to_dict())
    return settings | {"training.dtype": '"bfloat16"'}


def validation_table(group: Path) -> str:
    """Return the table of a group of validation runs, the best first."""
    base, rows = settings_of(group / "base"), []
    for run in group.iterdir():
        settings = settings_of(run)
        changed = [f"`{k}={v}`" for k, v in settings.items() if base.get(k) != v]
        epochs = (run / "metrics.jsonl").read_text().splitlines()[-LAST:]
        wrong = statistics.mean(1 - json.loads(epoch)["val_accuracy"] for epoch in epochs)
        errors = wrong * int(settings["data.validation"])
        rows.append((errors, [" ".join(changed) or "(base)", f"{errors:.1f}"]))
    return table(["changed", "errors"], [row for _, row in sorted(rows)])


def page(text: str, tables: dict[str, str]) -> str:
    """Return the page with new tables; each follows the comment with its name."""
    for name, made in tables.items():
        text, times = re.subn(
            rf"(<!-- {name} -->\n)(\|.*\n)*", lambda found, made=made: found[1] + made, text
        )
        assert times == 1, name
    return text


def read_all(folder: Path) -> dict[str, Figures]:
    """Return the results of all recipes that have finished runs in a folder."""
    recipes = sorted(path.stem for path in RECIPES.glob("*.yaml"))
    return {name: of for name in recipes if (of := Figures.read(name, folder)) is not None}


def updated() -> dict[Path, str]:
    """Return the new texts of all files that hold results."""
    found = read_all(RESULTS)
    paths = [RECIPES / f"{name}.yaml" for name in found]
    files = {path: with_figures(path.read_text(), found[path.stem]) for path in paths}
    tables = {
        "results": results_table(found),
        "pairs": pairs_table(found),
        "scores": scores_table(),
        "against": against_table(),
    }
    for group in sorted((RESULTS / "validation").iterdir()):
        tables[group.name] = validation_table(group)
    return {**files, PAGE: page(PAGE.read_text(), tables)}


def main() -> None:
    """Print the table of a folder, or write the files that hold results."""
    if len(sys.argv) > 1:
        print(results_table(read_all(Path(sys.argv[1]))), end="")
        return
    for path, text in updated().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
